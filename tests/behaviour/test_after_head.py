"""What a session may do once the response has begun."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Session, SessionClosed
from tests.handlers import fields, nothing, write
from tests.support import Browser


def test_changes_while_streaming_are_saved(browser: Browser) -> None:
    """What a streaming body changes is stored when the application ends."""
    browser.request(write)

    browser.request(fields, later=lambda session: session.update(b=2))

    assert browser.get(fields) == {"a": 1, "b": 2}


def test_a_reference_changed_while_streaming_is_saved(browser: Browser) -> None:
    """A list taken from the session before the head still counts after it."""
    browser.request(lambda session: session.update(log=[]))
    taken: list[Any] = []

    browser.request(
        lambda session: taken.append(session["log"]), later=lambda session: taken[0].append("late")
    )

    assert browser.get(fields) == {"log": ["late"]}


@pytest.mark.parametrize(
    "change", [lambda s: s.login("x"), lambda s: s.regenerate()], ids=["login", "regenerate"]
)
def test_change_that_needs_a_cookie_is_refused_after_the_head(browser: Browser, change: Any) -> None:
    """A new id cannot reach the browser any more."""
    browser.request(write)

    def later(session: Session) -> None:
        with pytest.raises(SessionClosed, match="needs a Set-Cookie header"):
            change(session)

    browser.request(fields, later=later)

    assert browser.get(fields) == {"a": 1}


def test_a_session_cannot_begin_after_the_head(browser: Browser) -> None:
    """A visitor without a session gets none from a streaming body."""

    def later(session: Session) -> None:
        with pytest.raises(SessionClosed, match="a new session needs a Set-Cookie header"):
            session["a"] = 1

    response = browser.request(fields, later=later)

    assert response.error is None


@pytest.mark.requirement("17")
def test_a_first_access_after_the_head_is_refused(browser: Browser) -> None:
    """Vary can no longer be sent, so that what is read must not depend on the cookie."""
    browser.request(write)

    def later(session: Session) -> None:
        with pytest.raises(SessionClosed, match="first used after the response head"):
            session["a"]

    response = browser.request(nothing, later=later)

    assert response.all("vary") == []


def test_logout_works_after_the_head(browser: Browser) -> None:
    """A session can end at any time."""
    browser.request(write)

    browser.request(fields, later=Session.logout)

    assert browser.get(fields) == {}


def test_a_stream_that_fails_keeps_only_its_logout(browser: Browser) -> None:
    """An exception after the head drops what was not saved."""
    browser.request(write)

    def later(session: Session) -> None:
        session["b"] = 2
        raise RuntimeError("stream")

    response = browser.request(fields, later=later, catch=True)

    assert isinstance(response.error, RuntimeError)
    assert browser.get(fields) == {"a": 1}
