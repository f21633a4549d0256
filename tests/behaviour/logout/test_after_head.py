"""A logout when the response has begun."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.session.session import visit_of
from tests.behaviour.logout.support import as_function, user_of
from tests.support import AsyncBasicStore, BasicStore, Browser, FlakyStore, Protocol, apart, live_sessions

pytestmark = pytest.mark.requirement("4")


@pytest.mark.parametrize("kind", ["memory", "async-basic"])
def test_logout_in_a_stream_is_carried_out_at_once(protocol: Protocol, kind: str) -> None:
    """Another request under that cookie is anonymous while the stream goes on."""
    engine = SessionEngine(new_secret(), MemoryStore() if kind == "memory" else AsyncBasicStore())
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("alice"))
    tab, seen = browser.twin(), list[str | None]()

    def leave(session: Session) -> None:
        session.logout()
        seen.append(tab.get(user_of))

    async def aleave(session: Session) -> None:
        session.logout()
        while (saving := visit_of(session).saving) is not None and not saving.done():
            await asyncio.sleep(0)
        seen.append(await asyncio.to_thread(tab.get, user_of))

    response = browser.request(user_of, later=aleave if protocol == "asgi" else leave)

    assert (response.status, response.value) == (200, "alice")
    assert seen == [None]
    assert tab.get(user_of) is None


@pytest.mark.parametrize(
    ("loop", "store"),
    [
        ("thread", MemoryStore),
        ("thread", BasicStore),
        ("thread", AsyncBasicStore),
        ("trio", MemoryStore),
        ("trio", BasicStore),
    ],
)
def test_logout_in_a_stream_without_asyncio_is_carried_out_at_once(loop: str, store: type[Any]) -> None:
    """As in a blocking generator, which Starlette runs in a thread; and under trio."""
    engine = SessionEngine(new_secret(), store())
    browser = Browser("asgi", engine)
    browser.request(lambda session: session.login("alice"))
    tab, seen = browser.twin(), list[str | None]()

    async def leave(session: Session) -> None:
        if loop == "trio":
            session.logout()
            seen.append(await trio.to_thread.run_sync(tab.get, user_of))
        else:
            await asyncio.to_thread(session.logout)
            seen.append(await asyncio.to_thread(tab.get, user_of))

    if loop == "trio":
        browser.run = lambda coroutine: apart(trio.run, as_function(coroutine))
    browser.request(user_of, later=leave)

    assert seen == [None]


def test_logout_in_a_stream_is_next_after_a_save_that_is_under_way() -> None:
    """That save began without it; the logout does not wait for the end of the stream."""
    browser = Browser("asgi", SessionEngine(new_secret(), AsyncBasicStore()))
    browser.request(lambda session: session.login("alice"))
    tab, seen = browser.twin(), list[str | None]()

    async def leave(session: Session) -> None:
        session["n"] = 1
        saving = asyncio.create_task(session.asave())
        await asyncio.sleep(0)
        session.logout()
        await saving
        for _ in range(100):  # turns of the event loop, in which the store is asked
            await asyncio.sleep(0)
        seen.append(await asyncio.to_thread(tab.get, user_of))

    browser.request(user_of, later=leave)

    assert seen == [None]


def test_logout_in_a_stream_that_the_store_refuses_denies_the_session(
    alice: Browser, outage: FlakyStore, events: list[SessionEvent]
) -> None:
    """It is tried again at the end of the stream."""
    tab, seen = alice.twin(), list[str | None]()

    def leave(session: Session) -> None:
        outage.broken = {"delete"}
        session.logout()
        seen.append(tab.get(user_of))
        outage.broken = set()

    alice.request(user_of, later=leave)

    assert seen == [None]
    assert "revoke_failed" in [event.name for event in events]
    assert live_sessions(alice.engine) == 0
