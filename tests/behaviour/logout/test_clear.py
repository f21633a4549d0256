"""``session.clear()`` of somebody who is signed in is a logout, as ``logout()`` itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fluidauth import Session, SessionClosed, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.behaviour.logout.support import is_out, user_of
from tests.support import AsyncBasicStore, Browser, FlakyStore, live_sessions

pytestmark = pytest.mark.requirement("4")


def test_clear_ends_the_session(alice: Browser, events: list[SessionEvent]) -> None:
    """Its record goes, its cookie expires, and a copy of that opens nothing."""
    cookie = alice.cookie

    response = alice.request(Session.clear)

    assert "Max-Age=0" in response.set_cookies[0]
    assert len(response.set_cookies) == 1
    assert is_out(alice, cookie)
    assert live_sessions(alice.engine) == 0
    assert "session_logout" in [event.name for event in events]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("raises", [False, True])
def test_clear_stands_where_the_handler_fails(alice: Browser, status: int, raises: bool) -> None:
    cookie = alice.cookie

    def leave(session: Session) -> None:
        session.clear()
        if raises:
            raise ZeroDivisionError

    alice.request(leave, status=status, catch=True)

    assert is_out(alice, cookie)
    assert live_sessions(alice.engine) == 0


def test_clear_after_the_head_is_carried_out_at_once(alice: Browser) -> None:
    tab, seen = alice.twin(), list[str | None]()

    def leave(session: Session) -> None:
        session.clear()
        seen.append(tab.get(user_of))

    alice.request(user_of, later=leave)

    assert seen == [None]


def test_clear_is_final_against_a_slower_request(alice: Browser) -> None:
    tab = alice.twin()

    def slow(session: Session) -> None:
        session["late"] = 1
        tab.request(Session.clear)

    alice.request(slow)

    assert live_sessions(alice.engine) == 0


def test_what_is_written_after_clear_begins_a_session(alice: Browser) -> None:
    """With one cookie, under another id, and of nobody."""
    cookie = alice.cookie
    alice.request(lambda session: session.update(theme="dark"))

    def leave(session: Session) -> None:
        session.clear()
        session["note"] = "bye"
        session["cart"] = []

    response = alice.request(leave)

    assert len(response.set_cookies) == 1
    assert alice.cookie not in (None, cookie)
    assert is_out(alice, cookie)
    assert alice.get(lambda session: (session.user_id, dict(session))) == (None, {"note": "bye", "cart": []})
    assert live_sessions(alice.engine) == 1


@pytest.mark.parametrize("user", ["bob", "alice"])
def test_clear_and_login_is_one_login(alice: Browser, user: str) -> None:
    """Of another user, and of the same one: with one cookie, and the old id is dead."""
    cookie = alice.cookie
    alice.request(lambda session: session.update(theme="dark"))

    def switch(session: Session) -> None:
        session.clear()
        session.login(user, {"cart": []})

    response = alice.request(switch)

    assert len(response.set_cookies) == 1
    assert is_out(alice, cookie)
    assert alice.get(lambda session: (session.user_id, dict(session))) == (user, {"cart": []})
    assert live_sessions(alice.engine) == 1


def test_login_and_clear_is_a_logout(alice: Browser) -> None:
    """Whoever was to be signed in."""
    cookie = alice.cookie

    def leave(session: Session) -> None:
        session.login("bob")
        session.clear()
        session.clear()

    alice.request(leave)

    assert is_out(alice, cookie)
    assert alice.cookie is None
    assert live_sessions(alice.engine) == 0


def test_clear_of_nobody_keeps_its_rule(alice: Browser) -> None:
    """It removes fields, and the session stays where one is written again."""
    nobody = alice.with_cookie(None)
    nobody.request(lambda session: session.update(a=1))
    cookie = nobody.cookie

    def replace(session: Session) -> None:
        session.clear()
        session["b"] = 2

    response = nobody.request(replace)

    assert response.set_cookies == []
    assert nobody.cookie == cookie
    assert nobody.get(dict) == {"b": 2}


@pytest.mark.parametrize(
    "empty",
    [
        lambda session: session.become({}),
        lambda session: [session.popitem() for _ in range(len(session))],
        lambda session: [session.pop(name) for name in list(session)],
        lambda session: [session.__delitem__(name) for name in list(session)],
    ],
    ids=["become", "popitem", "pop", "del"],
)
def test_to_remove_each_field_is_no_logout(alice: Browser, empty: Any) -> None:
    alice.request(lambda session: session.update(a=1, b=2))

    alice.request(empty)

    assert alice.get(lambda session: (session.user_id, dict(session))) == ("alice", {})


def test_clear_needs_no_read(alice: Browser, outage: FlakyStore) -> None:
    """During an outage it is a 503, and nobody gets in here after it."""
    cookie = alice.cookie
    outage.broken = {"get", "update", "delete"}

    response = alice.request(Session.clear)
    outage.broken = set()

    assert (response.status, response.set_cookies) == (503, [])
    assert is_out(alice, cookie)


def test_clear_needs_no_aload() -> None:
    """Of a remote store in asynchronous code."""
    engine = SessionEngine(new_secret(), AsyncBasicStore())
    browser = Browser("asgi", engine, autoload=False)
    browser.cookie, _ = asyncio.run(engine.acreate_session("alice"))
    cookie = browser.cookie

    response = browser.request(Session.clear)

    assert "Max-Age=0" in response.set_cookies[0]
    assert Browser("asgi", engine).with_cookie(cookie).get(user_of) is None


def test_clear_by_an_administrator_is_a_logout(alice: Browser) -> None:
    handle = str(alice.get(lambda session: session.handle))

    with alice.engine.edit(handle) as session:
        session.clear()

    assert live_sessions(alice.engine) == 0


@pytest.mark.parametrize("leave", [Session.clear, Session.logout])
def test_a_session_that_was_opened_to_be_read_is_not_ended(alice: Browser, leave: Any) -> None:
    """Nothing would carry that out: it is refused."""
    session = alice.engine.get_session(str(alice.get(lambda session: session.handle)))
    assert session is not None

    with pytest.raises(SessionClosed, match="opened to be read"):
        leave(session)

    assert alice.get(user_of) == "alice"
