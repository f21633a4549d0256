"""What a request holds or does while a save of its own waits, or has met another's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fluidauth import Session, SessionClosed, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.stores import SessionRecord
from tests.behaviour.concurrency.tabs import Tabs, fields, log_in
from tests.support import (
    AsyncBasicStore,
    Browser,
    apart,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.mark.requirement("67")
def test_a_container_held_across_a_save_is_the_sessions_still(tabs: Tabs) -> None:
    """Others changed the same field meanwhile: what is done to the held one then is noticed."""
    first = {"items": [{"id": 1, "tags": ["a"]}, {"id": 2}], "by_name": {"x": [1]}}
    theirs = {"items": [{"id": 0}, *first["items"]], "by_name": {"x": [1, 2], "y": [3]}}

    def change(session: Session) -> tuple[Any, ...]:
        cart = session["cart"]
        held = cart, cart["items"][0], cart["by_name"]["x"]
        tabs.other.request(lambda session: session.update(cart=theirs))
        session["mine"] = 1
        return held

    def use(session: Session, held: tuple[Any, ...]) -> None:
        cart, item, numbers = held
        assert session["cart"] is cart
        cart["more"] = True
        item["tags"].append("b")
        numbers.append(4)

    def handler(session: Session) -> None:
        held = change(session)
        session.save()
        use(session, held)

    async def ahandler(session: Session) -> None:
        await session.aload()
        held = change(session)
        await session.asave()
        use(session, held)

    tabs.mine.request(lambda session: session.update(cart=first))
    tabs.mine.request(handler if tabs.mine.protocol == "wsgi" else ahandler)

    assert tabs.mine.get(lambda session: (session["cart"], session["mine"])) == (
        {
            "items": [{"id": 0}, {"id": 1, "tags": ["a", "b"]}, {"id": 2}],
            "by_name": {"x": [1, 2, 4], "y": [3]},
            "more": True,
        },
        1,
    )


@pytest.mark.requirement("67")
def test_a_change_after_a_save_that_followed_is_told(tabs: Tabs) -> None:
    """The session went on under a new id; what is done to a container that is held since is told."""

    def late(session: Session, prefs: dict[str, str]) -> None:
        prefs["theme"] = "dark"

    def handler(session: Session) -> None:
        prefs = session["prefs"]
        tabs.other.cookie = tabs.mine.cookie
        tabs.other.request(Session.regenerate)
        session["step"] = 1
        session.save()
        late(session, prefs)

    async def ahandler(session: Session) -> None:
        await session.aload()
        prefs = session["prefs"]
        tabs.other.cookie = tabs.mine.cookie
        tabs.other.request(Session.regenerate)
        session["step"] = 1
        await session.asave()
        late(session, prefs)

    tabs.mine.request(lambda session: session.update(prefs={"theme": "light"}))
    tabs.mine.request(handler if tabs.mine.protocol == "wsgi" else ahandler)

    assert tabs.other.get(lambda session: (session["prefs"], session["step"])) == ({"theme": "light"}, 1)
    assert tabs.dropped() == ["followed"]


@pytest.mark.requirement("67")
def test_additions_while_a_save_waits_count_once() -> None:
    """They are the next save's, also where this one has to be made again."""
    store = Gate()
    browser = Browser("asgi", SessionEngine(new_secret(), store))
    browser.request(lambda session: session.update(n=0, log=[]))

    async def handler(session: Session) -> None:
        await session.aload()
        session.add("n")
        session.append("log", "first")
        store.reached = reached = asyncio.Event()
        saving = asyncio.create_task(session.asave())
        await reached.wait()
        browser.twin().request(lambda session: session.update(other=1))
        session.add("n", 10)
        session.append("log", "second")
        store.opened.set()
        await saving

    browser.request(handler)

    assert browser.get(dict) == {"n": 11, "log": ["first", "second"], "other": 1}


class Gate(AsyncBasicStore):
    """Holds up the next update until it is opened."""

    reached: asyncio.Event | None = None

    async def update(self, record: SessionRecord) -> bool:
        if self.reached is not None:
            reached, self.reached, self.opened = self.reached, None, asyncio.Event()
            reached.set()
            await self.opened.wait()
        return await super().update(record)


@pytest.mark.requirement("67")
def test_held_container_changed_while_a_save_waits_is_kept() -> None:
    """Others changed that field meanwhile; of two changes to one field the later counts."""
    store = Gate()
    engine = SessionEngine(new_secret(), store)
    browser = Browser("asgi", engine)
    browser.request(lambda session: session.update(cart=["tea"]))

    async def handler(session: Session) -> bool:
        await session.aload()
        cart = session["cart"]
        session["mine"] = 1
        store.reached = reached = asyncio.Event()
        saving = asyncio.create_task(session.asave())
        await reached.wait()
        browser.twin().request(lambda session: session.update(cart=["theirs"]))
        cart.append("late")
        store.opened.set()
        await saving
        return session["cart"] is cart

    assert browser.get(handler) is True
    assert browser.get(dict) == {"cart": ["tea", "late"], "mine": 1}


@pytest.mark.requirement("67")
def test_a_merged_save_updates_the_application(tabs: Tabs) -> None:
    """After save() the handler sees what others changed, and keeps its own references."""

    def handler(session: Session) -> Any:
        log = session["log"]
        tabs.changed_others()
        session["mine"] = [1]
        mine = session["mine"]
        session.save()
        mine.append(2)
        return dict(session), session["mine"] is mine, log

    async def ahandler(session: Session) -> Any:
        await session.aload()
        log = session["log"]
        tabs.changed_others()
        session["mine"] = [1]
        mine = session["mine"]
        await session.asave()
        mine.append(2)
        return dict(session), session["mine"] is mine, log

    seen, kept, _ = tabs.mine.get(handler if tabs.mine.protocol == "wsgi" else ahandler)

    expected = {"a": 1, "n": 15, "log": ["theirs"], "b": 2, "mine": [1, 2]}
    assert (seen, kept) == (expected, True)
    assert tabs.mine.get(fields) == expected


def test_a_session_that_moved_is_closed_for_writes(tabs: Tabs) -> None:
    """After its save was followed to a new id, a handler cannot go on under the old one."""

    def handler(session: Session) -> None:
        assert session["a"] == 1
        tabs.regenerated()
        session["a"] = "mine"
        session.save()
        with pytest.raises(SessionClosed, match="it goes on under a new id"):
            session["a"] = "again"

    async def ahandler(session: Session) -> None:
        await session.aload()
        tabs.regenerated()
        session["a"] = "mine"
        await session.asave()
        with pytest.raises(SessionClosed, match="it goes on under a new id"):
            session["a"] = "again"

    tabs.mine.request(handler if tabs.mine.protocol == "wsgi" else ahandler)

    assert tabs.other.get(fields)["a"] == "mine"


def test_an_emptied_session_stays_if_others_added(tabs: Tabs) -> None:
    """clear() by an anonymous request does not remove a field that came meanwhile."""
    response = tabs.overtaken(Session.clear, tabs.changed_others)

    assert response.set_cookies == []
    assert tabs.mine.get(fields) == {"b": 2}


def test_revoking_a_user_reaches_a_request_in_flight(
    browser: Browser, engine: SessionEngine, events: list[SessionEvent]
) -> None:
    """A request that began before the revocation cannot write after it."""
    browser.request(log_in)

    def handler(session: Session) -> None:
        session["a"] = 1
        apart(engine.delete_session, str(session.handle))

    browser.request(handler)

    assert browser.get(lambda s: s.user_id) is None
    assert [e.reason for e in events if e.name == "write_dropped"] == ["ended"]
