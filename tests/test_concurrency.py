"""Two tabs of one browser: what each may do while the other one does something else.

Every cell of the table is tried with the two requests nested in one another, in two
threads (WSGI), as two tasks of one event loop (ASGI), and in two processes on one file.
The order is forced by barriers, never by sleeps: a handler reads its session, lets the
other tab's whole request pass, and then goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from fluidauth import Session, SessionClosed, SessionEngine, SessionRecord
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock

from .support import (
    STORES,
    AsyncBasicStore,
    Browser,
    Protocol,
    Response,
    apart,
    live_sessions,
    opened,
    run_apart,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

WORLDS = [
    *itertools.product(("wsgi", "asgi"), STORES, ("nested",)),
    *itertools.product(("wsgi",), STORES, ("threads",)),
    *itertools.product(("asgi",), STORES, ("tasks",)),
    *itertools.product(("wsgi", "asgi"), ("sqlite",), ("processes",)),
]
PATIENCE = 30  # seconds that one side waits for the other


@pytest.fixture(params=WORLDS, ids="-".join)
def world(request: pytest.FixtureRequest) -> tuple[Protocol, str, str]:
    """The protocol, the store and what the two tabs run in."""
    return request.param  # type: ignore[no-any-return]  # pytest does not type it


@pytest.fixture
def protocol(world: tuple[Protocol, str, str]) -> Protocol:
    return world[0]


@pytest.fixture
def store(world: tuple[Protocol, str, str], tmp_path: Path) -> Iterator[Any]:
    with opened(world[1], tmp_path) as store:
        yield store


START = {"a": 1, "n": 10, "log": []}


def fields(session: Session) -> dict[str, Any]:
    return dict(session)


def change(session: Session) -> None:
    session["a"] = "mine"
    session.add("n")
    session.append("log", "mine")


def log_in(session: Session) -> None:
    session.login("ann", {"t": 1})


class Tabs:
    """A tab whose request is overtaken by that of another tab."""

    def __init__(self, browser: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
        self.mine, self.clock, self.events = browser, clock, events
        self.mine.request(lambda session: session.update(START))
        self.other = self.mine.twin()

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        """Run *mine* in a request that has read its session before *meanwhile*."""

        def handler(session: Session) -> Any:
            assert dict(session) == START
            meanwhile()
            return mine(session)

        return self.mine.request(handler)

    @staticmethod
    def beside(request: Callable[[], Response], meanwhile: Callable[[], Any], turn: Turn) -> Response:
        """Run *request* in a thread; at its *turn*, *meanwhile* runs here."""
        with ThreadPoolExecutor(1) as executor:
            answer = executor.submit(request)
            assert turn.begun.wait(PATIENCE)
            try:
                meanwhile()
            finally:
                turn.end()
            return answer.result(PATIENCE)

    # What may happen meanwhile, by the names of the table's rows.

    def changed_others(self) -> None:
        def handler(session: Session) -> None:
            session["b"] = 2
            session.add("n", 5)
            session.append("log", "theirs")

        self.other.request(handler)

    def changed_same(self) -> None:
        self.other.request(lambda session: session.update(a="theirs"))

    def regenerated(self) -> None:
        self.other.request(Session.regenerate)

    def logged_in(self) -> None:
        self.other.request(lambda session: session.login("bob"))

    def logged_out(self) -> None:
        self.other.request(Session.logout)

    def revoked(self) -> None:
        apart(self.mine.engine.revoke_all)

    def expired(self) -> None:
        self.clock.advance(3_600)

    def rows(self) -> int:
        """How many sessions the store holds, tombstones aside."""
        return live_sessions(self.mine.engine)

    def dropped(self) -> list[str | None]:
        """The reasons of the writes dropped so far."""
        return [event.reason for event in self.events if event.name == "write_dropped"]


class Turn:
    """The moment, in one request, at which the other one passes."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.begun = threading.Event()
        self.end = end


class Threads(Tabs):
    """Two WSGI requests in two threads."""

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        passed = threading.Event()
        turn = Turn(passed.set)

        def handler(session: Session) -> Any:
            assert dict(session) == START
            turn.begun.set()
            assert passed.wait(PATIENCE)
            return mine(session)

        return self.beside(lambda: self.mine.request(handler), meanwhile, turn)


class Tasks(Tabs):
    """Two ASGI requests as tasks of one event loop."""

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        with running_loop() as loop:
            self.mine.run = self.other.run = lambda coroutine: asyncio.run_coroutine_threadsafe(
                coroutine, loop
            ).result(PATIENCE)
            passed = asyncio.Event()
            turn = Turn(lambda: loop.call_soon_threadsafe(passed.set))

            async def handler(session: Session) -> Any:
                await session.aload()
                assert dict(session) == START
                turn.begun.set()
                async with asyncio.timeout(PATIENCE):
                    await passed.wait()
                return mine(session)

            try:
                return self.beside(lambda: self.mine.request(handler), meanwhile, turn)
            finally:
                self.mine.run = self.other.run = run_apart


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop that runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_tasks() -> None:
    """Do as ``asyncio.run`` before a loop closes: a pool of connections has tasks of its own."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Processes(Tabs):
    """The other tab's requests are answered by another process on the same file."""

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        def in_child() -> None:
            context = multiprocessing.get_context("fork")
            here, there = context.Pipe()
            child = context.Process(target=self._answer, args=(meanwhile, there))
            child.start()
            there.close()  # so that a child that dies ends the wait
            assert here.poll(PATIENCE)
            self.other.cookie, now, events = here.recv()
            self.clock.advance(now - self.clock())
            self.events.extend(events)
            child.join(PATIENCE)
            assert child.exitcode == 0

        return super().overtaken(mine, in_child)

    def _answer(self, meanwhile: Callable[[], Any], there: Connection) -> None:
        self.events.clear()
        meanwhile()
        there.send((self.other.cookie, self.clock(), self.events))
        os._exit(0)  # a child of a thread cannot end the usual way: it would join that thread


@pytest.fixture
def tabs(
    world: tuple[Protocol, str, str], browser: Browser, clock: FakeClock, events: list[SessionEvent]
) -> Tabs:
    kinds = {"nested": Tabs, "threads": Threads, "tasks": Tasks, "processes": Processes}
    return kinds[world[2]](browser, clock, events)


ENDINGS = pytest.mark.parametrize("ending", ["logged_out", "revoked", "expired"])


# -- this request changed fields ----------------------------------------------------------


@pytest.mark.requirement("67")
def test_changes_to_different_fields_are_merged(tabs: Tabs) -> None:
    """Of concurrent changes none is lost; add and append combine."""
    response = tabs.overtaken(change, tabs.changed_others)

    assert response.set_cookies == []
    assert tabs.mine.get(fields) == {"a": "mine", "n": 16, "log": ["theirs", "mine"], "b": 2}


def test_on_one_field_the_later_commit_wins(tabs: Tabs) -> None:
    """A plain assignment overwrites an earlier one."""
    tabs.overtaken(change, tabs.changed_same)

    assert tabs.mine.get(fields) == {"a": "mine", "n": 11, "log": ["mine"]}


def test_a_removal_survives_others_changes(tabs: Tabs) -> None:
    """A field that this request removed stays removed."""

    def remove(session: Session) -> None:
        del session["a"]

    tabs.overtaken(remove, tabs.changed_others)

    assert tabs.mine.get(fields) == {"n": 15, "log": ["theirs"], "b": 2}


def test_changes_follow_a_regenerated_id(tabs: Tabs) -> None:
    """A change under the old id arrives in the session's successor, and sets no cookie."""
    response = tabs.overtaken(change, tabs.regenerated)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == {"a": "mine", "n": 11, "log": ["mine"]}
    assert tabs.mine.get(fields) == {}


def test_changes_never_enter_a_login(tabs: Tabs) -> None:
    """What an anonymous request wrote late does not reach the user who signed in."""
    response = tabs.overtaken(change, tabs.logged_in)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == START
    assert tabs.dropped() == ["logged_in"]


@pytest.mark.requirement("5")
@ENDINGS
def test_changes_never_revive_an_ended_session(tabs: Tabs, ending: str) -> None:
    """A slow request cannot bring back what was logged out, revoked or has expired."""
    response = tabs.overtaken(change, getattr(tabs, ending))

    assert response.set_cookies == []
    assert tabs.mine.get(fields) == {}
    assert tabs.dropped() == ["ended"]
    assert tabs.rows() == 0


# -- this request signed in ---------------------------------------------------------------


def test_a_login_carries_others_changes(tabs: Tabs) -> None:
    """What others saved before the login is in the new session."""
    tabs.overtaken(log_in, tabs.changed_others)

    assert tabs.mine.get(fields) == {"a": 1, "n": 15, "log": ["theirs"], "b": 2, "t": 1}
    assert tabs.other.get(fields) == {}


def test_a_login_carries_others_values_of_the_same_field(tabs: Tabs) -> None:
    """A field that only the other request changed keeps its value."""
    tabs.overtaken(log_in, tabs.changed_same)

    assert tabs.mine.get(fields) == {"a": "theirs", "n": 10, "log": [], "t": 1}


@pytest.mark.parametrize("renewal", ["regenerated", "logged_in"])
def test_a_login_beside_a_new_id_makes_a_session_of_its_own(tabs: Tabs, renewal: str) -> None:
    """Each acknowledged login lives, with what its own request saw."""
    tabs.overtaken(log_in, getattr(tabs, renewal))

    assert tabs.mine.get(lambda s: (s.user_id, dict(s))) == ("ann", {**START, "t": 1})
    assert tabs.other.get(fields) == START
    assert tabs.other.get(lambda s: s.user_id) == {"regenerated": None, "logged_in": "bob"}[renewal]


@ENDINGS
def test_a_login_after_an_end_carries_nothing(tabs: Tabs, ending: str) -> None:
    """What was logged out is not carried into the next login."""
    tabs.overtaken(log_in, getattr(tabs, ending))

    assert tabs.mine.get(lambda s: (s.user_id, dict(s))) == ("ann", {"t": 1})


# -- this request regenerated -------------------------------------------------------------


def test_regenerate_merges(tabs: Tabs) -> None:
    """The new id has the changes of both requests."""

    def both(session: Session) -> None:
        session.regenerate()
        change(session)

    response = tabs.overtaken(both, tabs.changed_others)

    assert len(response.set_cookies) == 1
    assert tabs.mine.get(fields) == {"a": "mine", "n": 16, "log": ["theirs", "mine"], "b": 2}
    assert tabs.other.get(fields) == {}


def test_regenerate_twice_gives_one_new_id(tabs: Tabs) -> None:
    """The slower of two has nothing more to do and sets no cookie."""
    response = tabs.overtaken(Session.regenerate, tabs.regenerated)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == START
    assert tabs.rows() == 1


def test_regenerate_with_changes_follows_the_first(tabs: Tabs) -> None:
    """The slower of two brings its changes to the id that the faster one made."""

    def both(session: Session) -> None:
        change(session)
        session.regenerate()

    response = tabs.overtaken(both, tabs.regenerated)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == {"a": "mine", "n": 11, "log": ["mine"]}


def test_regenerate_beside_a_login_is_dropped(tabs: Tabs) -> None:
    """The user's new session stays as the login made it."""
    response = tabs.overtaken(Session.regenerate, tabs.logged_in)

    assert response.set_cookies == []
    assert tabs.other.get(lambda s: (s.user_id, dict(s))) == ("bob", START)
    assert tabs.dropped() == ["logged_in"]


@pytest.mark.requirement("5")
@ENDINGS
def test_regenerate_never_revives_an_ended_session(tabs: Tabs, ending: str) -> None:
    """A new id for a dead session is no session."""
    response = tabs.overtaken(Session.regenerate, getattr(tabs, ending))

    assert response.set_cookies == []
    assert tabs.rows() == 0


# -- this request logged out --------------------------------------------------------------


@pytest.mark.requirement("4")
@pytest.mark.parametrize(
    "meanwhile",
    ["changed_others", "changed_same", "regenerated", "logged_in", "logged_out", "revoked", "expired"],
)
def test_a_logout_is_final(tabs: Tabs, meanwhile: str) -> None:
    """Whatever happened meanwhile, no session is left, not even under a new id."""
    tabs.overtaken(Session.logout, getattr(tabs, meanwhile))

    assert tabs.other.get(lambda s: (s.user_id, dict(s))) == (None, {})
    assert tabs.rows() == 0


@pytest.mark.requirement("4")
def test_a_slow_logout_follows_a_chain_of_new_ids(tabs: Tabs) -> None:
    """Even after the tombstones' minute a logout finds what the session became."""

    def meanwhile() -> None:
        tabs.regenerated()
        tabs.regenerated()
        tabs.clock.advance(90)

    tabs.overtaken(Session.logout, meanwhile)

    assert tabs.other.get(fields) == {}


@pytest.mark.requirement("4")
@pytest.mark.parametrize("renew", [Session.regenerate, log_in], ids=["regenerate", "login"])
def test_a_logout_under_the_old_id_ends_the_new_one(tabs: Tabs, renew: Any) -> None:
    """A tab that has not heard of the new id still logs out."""
    tabs.mine.request(renew)

    tabs.other.request(Session.logout)

    assert tabs.mine.get(lambda s: (s.user_id, dict(s))) == (None, {})


# -- tombstones ---------------------------------------------------------------------------


def test_a_write_under_a_replaced_id_sets_no_cookie(tabs: Tabs) -> None:
    """A late request with the old cookie must not overwrite the new one."""
    tabs.mine.request(log_in)

    response = tabs.other.request(lambda session: session.update(late=1))

    assert response.set_cookies == []
    assert tabs.dropped() == ["replaced"]
    assert tabs.rows() == 1


def test_a_second_login_under_a_replaced_id_works(tabs: Tabs) -> None:
    """A double click on "sign in" leaves the user signed in."""
    tabs.mine.request(log_in)

    tabs.other.request(log_in)

    assert tabs.other.get(lambda s: s.user_id) == "ann"


def test_a_tombstone_lasts_a_minute(tabs: Tabs) -> None:
    """A client that never got its new cookie can begin anew after a minute."""
    tabs.mine.request(log_in)
    tabs.clock.advance(61)

    response = tabs.other.request(lambda session: session.update(late=1))

    assert len(response.set_cookies) == 1
    assert tabs.other.get(fields) == {"late": 1}


# -- within one request -------------------------------------------------------------------


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
def test_what_is_done_to_a_held_container_while_a_save_waits_is_kept() -> None:
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
