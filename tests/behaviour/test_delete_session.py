"""``engine.delete_session(handle)``: by an admin, and by a user for a device of theirs."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Session
from fluidauth.errors import NotSupported
from tests.handlers import current_user
from tests.support import Browser, each_store, run_apart

# One at once, one that is waited for, and the least that there is.
store = each_store("memory", "redis", "basic")


def handle_of(browser: Browser) -> str:
    return str(browser.get(lambda session: session.handle))


def delete(browser: Browser, handle: str, **options: Any) -> bool:
    """Delete by the blocking call, or by its twin."""
    if browser.protocol == "wsgi":
        return browser.engine.delete_session(handle, **options)
    found: list[bool] = []

    async def call() -> None:
        found.append(await browser.engine.adelete_session(handle, **options))

    run_apart(call())
    return found[0]


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.request(lambda session: session.login("ada"))
    return browser


@pytest.mark.requirement("23")
def test_a_user_ends_only_sessions_of_theirs(ada: Browser) -> None:
    """Whatever handle a page sends back: of a stranger's, and of nobody's, nothing happens."""
    bob = ada.with_cookie(None)
    bob.request(lambda session: session.login("bob"))
    visitor = ada.with_cookie(None)
    visitor.request(lambda session: session.update(n=1))

    for stranger in (bob, visitor):
        assert delete(ada, handle_of(stranger), user_id="ada") is False
        assert stranger.get(lambda session: session.is_new) is False
    assert delete(ada, handle_of(ada), user_id="ada") is True
    assert ada.get(current_user) is None


@pytest.mark.requirement("23")
@pytest.mark.parametrize("renews", [Session.regenerate, lambda session: session.login("ada")])
def test_a_handle_from_before_a_new_id_ends_the_session(ada: Browser, renews: Any) -> None:
    """A page shown before the id changed still lists the old handle."""
    listed = handle_of(ada)
    ada.request(renews)

    assert delete(ada, listed, user_id="bob") is False
    assert delete(ada, listed, user_id="ada") is True
    assert ada.get(current_user) is None


@pytest.mark.requirement("23")
def test_without_a_user_any_session_ends(ada: Browser) -> None:
    assert delete(ada, handle_of(ada)) is True
    assert ada.get(current_user) is None


def test_a_user_that_is_no_text_is_refused(ada: Browser) -> None:
    with pytest.raises(TypeError, match=r"pass str\(user.id\)"):
        ada.engine.delete_session(handle_of(ada), user_id=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("handle", ["", "x", "0" * 64, "1.x", "fact1_x"])
def test_what_names_no_session_ends_none(ada: Browser, handle: str) -> None:
    assert delete(ada, handle, user_id="ada") is False
    try:
        assert len(ada.engine.list_sessions("ada")) == 1
    except NotSupported:
        assert ada.get(current_user) == "ada"
