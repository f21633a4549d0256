"""The cookie of a response: safe by default, moved by rotations and former names."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import CookieOptions, MemoryStore, Session, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.handlers import fields, write
from tests.support import Browser, Protocol


@pytest.mark.requirement("11")
def test_the_cookie_is_safe_by_default(browser: Browser) -> None:
    """Host-only, Secure, HttpOnly, SameSite=Lax, until the absolute deadline."""
    line = browser.request(write).set_cookies[0]

    name, _, rest = line.partition("=")
    assert name == "__Host-session"
    assert rest[66:] == "; path=/; Max-Age=86400; httponly; samesite=lax; secure"


@pytest.mark.requirement("37")
def test_rotation_of_the_secret_keeps_the_session(protocol: Protocol, store: Any, secret: str) -> None:
    """Under a new secret the session goes on, with the same id in a re-signed cookie."""
    old = Browser(protocol, SessionEngine(secret=secret, store=store))
    old.request(lambda session: session.login("user-42", {"a": 1}))
    new = Browser(protocol, SessionEngine(secret=[new_secret(), secret], store=store))
    new.cookie = old.cookie

    tabs = [new.twin() for _ in range(3)]
    responses = [tab.request(fields) for tab in tabs]
    again = tabs[0].request(fields)

    cookies = {tab.cookie for tab in tabs}
    assert [response.value for response in responses] == [{"a": 1}] * 3
    assert len(cookies) == 1
    assert (old.cookie or "")[9:41] == cookies.pop()[9:41]  # type: ignore[index]  # it is set
    assert again.set_cookies == []


@pytest.mark.requirement("29")
def test_a_secret_that_was_removed_ends_its_sessions(
    protocol: Protocol, store: Any, secret: str, events: list[SessionEvent]
) -> None:
    """After the old secret is gone its cookies open nothing, with the reason in the log."""
    old = Browser(protocol, SessionEngine(secret=secret, store=store))
    old.request(write)
    new = Browser(protocol, SessionEngine(secret=new_secret(), store=store, on_event=events.append))
    new.cookie = old.cookie

    response = new.request(fields)

    assert (response.value, response.set_cookies) == ({}, [])
    assert [(event.name, event.reason) for event in events] == [("cookie_rejected", "unknown_key")]


def test_a_former_name_is_read_and_replaced(protocol: Protocol, store: Any, secret: str) -> None:
    """Renaming the cookie logs nobody out; the old name is removed from the browser."""
    old = Browser(protocol, SessionEngine(secret=secret, store=store, cookie=CookieOptions(name="sid")))
    old.request(write)
    options = CookieOptions(former_names=("sid",))
    new = Browser(protocol, SessionEngine(secret=secret, store=store, cookie=options))

    response = new.request(fields, cookie_header=f"sid={old.cookie}")

    assert response.value == {"a": 1}
    assert [line.partition("=")[0] for line in response.set_cookies] == ["__Host-session", "sid"]
    assert "Max-Age=0" in response.set_cookies[1]
    assert new.get(fields) == {"a": 1}


@pytest.mark.requirement("48")
def test_what_a_proxy_says_changes_no_cookie(protocol: Protocol, events: list[SessionEvent]) -> None:
    """Each request here says X-Forwarded-Proto: https; nothing but a warning is left out for that."""
    engine = SessionEngine(secret=new_secret(), store=MemoryStore(), on_event=events.append)
    browser = Browser(protocol, engine)

    lines = [
        browser.request(Session.regenerate if browser.cookie else write, scheme=scheme).set_cookies[0]
        for scheme in ("https", "http", "http")
    ]

    assert [line.partition(";")[2] for line in lines] == [lines[0].partition(";")[2]] * 3
    assert "cookie_insecure" not in [event.name for event in events]
