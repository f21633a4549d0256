"""Messages for the next page: each is shown once."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.keys import new_secret
from tests.handlers import log_in
from tests.support import Browser, Protocol

from .asking import take_flashes


@pytest.mark.requirement("81")
def test_a_message_is_shown_once(browser: Browser) -> None:
    """In their order, with their categories; the next page has none."""

    def handler(session: Session) -> None:
        session.flash("Saved.")
        session.flash("Nearly full.", "warning")

    browser.request(handler)

    assert take_flashes(browser) == [("message", "Saved."), ("warning", "Nearly full.")]
    assert take_flashes(browser) == []


@pytest.mark.requirement("81")
def test_messages_of_two_requests_add_up(browser: Browser) -> None:
    """Neither overwrites the other."""
    browser.request(log_in)

    def outer(session: Session) -> None:
        session.flash("outer")
        browser.twin().request(lambda inner: inner.flash("inner"))

    browser.request(outer)

    assert sorted(text for _, text in take_flashes(browser)) == ["inner", "outer"]


@pytest.mark.requirement("81")
def test_of_two_pages_at_once_one_shows_it(browser: Browser) -> None:
    """The page that was slower finds that the other one has it."""
    browser.request(lambda session: session.flash("once"))
    seen: list[Any] = []

    def outer(session: Session) -> Any:
        len(session)  # it has read the session, and so the message
        seen.append(take_flashes(browser.twin()))
        return session.take_flashes()

    async def aouter(session: Session) -> Any:
        await session.aload()
        seen.append(take_flashes(browser.twin()))
        return await session.atake_flashes()

    seen.append(browser.get(outer if browser.protocol == "wsgi" else aouter))

    assert seen == [[("message", "once")], []]


@pytest.mark.requirement("81")
def test_the_same_page_may_show_it(browser: Browser) -> None:
    """A page that says something and shows it at once leaves nothing for the next."""

    def handler(session: Session) -> Any:
        session.flash("now")
        return session.take_flashes()

    async def ahandler(session: Session) -> Any:
        session.flash("now")
        return await session.atake_flashes()

    assert browser.get(handler if browser.protocol == "wsgi" else ahandler) == [("message", "now")]
    assert take_flashes(browser) == []


def test_a_message_goes_with_the_login(browser: Browser) -> None:
    """As a field of a visitor does; not to another user."""
    browser.request(lambda session: session.flash("kept"))
    browser.request(lambda session: session.login("ada"))
    assert take_flashes(browser) == [("message", "kept")]
    browser.request(lambda session: session.flash("for ada"))

    browser.request(lambda session: session.login("bob"))

    assert take_flashes(browser) == []


@pytest.mark.parametrize("arguments", [(1,), ("a", 2), ("\ud800",)])
def test_only_text_can_be_said(protocol: Protocol, arguments: Any) -> None:
    """Anything else is refused where it is said."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore()))

    with pytest.raises((TypeError, ValueError)):
        browser.request(lambda session: session.flash(*arguments))


def test_encrypted_sessions_encrypt_messages(protocol: Protocol) -> None:
    """With every field encrypted, the engine's notes are as well, also after a new id and a rotation."""
    old, new, store = new_secret(), new_secret(), MemoryStore()
    browser = Browser(protocol, SessionEngine(old, store, encrypted_fields="*"))
    browser.request(lambda session: session.flash("a private message"))
    assert all(b"private" not in record.payload for record in store.scan())
    rotated = Browser(protocol, SessionEngine([new, old], store, encrypted_fields="*"))
    rotated.cookie = browser.cookie

    rotated.request(Session.regenerate)

    assert all(b"private" not in record.payload for record in store.scan())
    alone = Browser(protocol, SessionEngine(new, store, encrypted_fields="*"))
    alone.cookie = rotated.cookie
    assert take_flashes(alone) == [("message", "a private message")]
