"""A logout during an outage: it stands, or lets nobody in and is told."""

from __future__ import annotations

import asyncio

import pytest

from fluidauth import Session, SessionEngine, StoreError
from fluidauth.engine.housekeeping import tidy
from fluidauth.errors import SessionNotLoaded
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.behaviour.logout.support import is_out, user_of
from tests.support import AsyncBasicStore, Browser, FlakyStore, live_sessions

pytestmark = pytest.mark.requirement("4")


# -- responses that become a 503 ------------------------------------------------------------------


def test_logout_stands_when_the_handler_fails_with_the_store(alice: Browser, outage: FlakyStore) -> None:
    """As in every view that signs out everywhere: logout(), then revoke_user(), which fails."""
    cookie = alice.cookie

    def everywhere(session: Session) -> None:
        session.logout()
        outage.broken = {"delete_for_user"}
        alice.engine.revoke_user("alice")

    response = alice.request(everywhere)

    assert response.status == 503
    assert "Max-Age=0" in response.set_cookies[0]
    assert is_out(alice, cookie)
    assert live_sessions(alice.engine) == 0


def test_logout_stands_when_an_earlier_save_failed(alice: Browser, outage: FlakyStore) -> None:
    """The framework made a 500 of that; the response is a 503, and the logout is carried out."""
    cookie = alice.cookie

    def save_and_leave(session: Session) -> None:
        session["a"] = 1
        outage.broken = {"update"}
        with pytest.raises(StoreError):
            session.save()
        session.logout()

    response = alice.request(save_and_leave, status=500)

    assert response.status == 503
    assert is_out(alice, cookie)


@pytest.mark.parametrize("broken", [{"delete"}, {"get", "delete"}])
def test_logout_refused_after_a_failed_save_denies_the_session(
    alice: Browser, outage: FlakyStore, broken: set[str], events: list[SessionEvent]
) -> None:
    cookie = alice.cookie

    def everywhere(session: Session) -> None:
        session.logout()
        outage.broken = {*broken, "delete_for_user"}
        alice.engine.revoke_user("alice")

    response = alice.request(everywhere)
    outage.broken = set()

    assert (response.status, response.set_cookies) == (503, [])
    assert "revoke_failed" in [event.name for event in events]
    assert is_out(alice, cookie)


# -- sessions that were not read ---------------------------------------------------------------------


def test_logout_needs_no_read(alice: Browser, outage: FlakyStore, events: list[SessionEvent]) -> None:
    """During an outage it is a 503, and when that is over nobody gets in here, and the record goes."""
    cookie = alice.cookie
    outage.broken = {"get", "update", "delete"}

    response = alice.request(Session.logout)
    outage.broken = set()

    assert (response.status, response.set_cookies) == (503, [])
    assert "revoke_failed" in [event.name for event in events]
    assert is_out(alice, cookie)
    tidy(alice.engine.requests)
    assert live_sessions(alice.engine) == 0


def test_logout_is_carried_out_when_the_store_comes_back(alice: Browser, outage: FlakyStore) -> None:
    """The read failed, the save did not: that is a success."""
    cookie = alice.cookie
    outage.broken = {"get"}

    def leave(session: Session) -> None:
        session.logout()
        outage.broken = set()

    response = alice.request(leave)

    assert response.status == 200
    assert "Max-Age=0" in response.set_cookies[0]
    assert is_out(alice, cookie)


def test_logout_needs_no_aload() -> None:
    """Of a remote store in asynchronous code, where reading without one is an error."""
    engine = SessionEngine(new_secret(), AsyncBasicStore())
    browser = Browser("asgi", engine, autoload=False)
    browser.cookie, _ = asyncio.run(engine.acreate_session("alice"))
    cookie = browser.cookie
    with pytest.raises(SessionNotLoaded):
        browser.request(user_of)

    assert browser.request(Session.logout).status == 200

    async def who(session: Session) -> str | None:
        await session.aload()
        return session.user_id

    assert browser.with_cookie(cookie).get(who) is None
