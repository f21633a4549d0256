"""What must happen once, and what must have ended, against requests at the same moment."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine, SQLiteStore, StoreError
from fluidauth.errors import NotRedeemable, NotSupported
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.stores import SessionRecord
from fluidauth.testing import FakeClock
from tests.behaviour.concurrency.tabs import running_loop
from tests.handlers import current_user, log_in
from tests.support import (
    AsyncBasicStore,
    BasicStore,
    Browser,
    FlakyStore,
    Protocol,
    each_store,
    live_sessions,
)

from .asking import redeem

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

CALLS = 50
PATIENCE = 60  # seconds
store = each_store("memory", "sqlite", "postgres", "redis", "migrating", "basic", "async-basic")

Blocking = Callable[[Session], Any]


def at_once(browser: Browser, call: Blocking, twin: Blocking) -> Counter[str]:
    """Return what so many requests got that had all read their session: in threads, or tasks of one loop."""
    barrier = threading.Barrier(CALLS)

    def handler(session: Session) -> Any:
        len(session)
        barrier.wait(PATIENCE)
        return call(session)

    def ask(tab: Browser, handler: Any) -> str:
        try:
            return str(tab.get(handler))
        except NotRedeemable as error:
            return type(error).__name__

    if browser.protocol == "wsgi":
        with ThreadPoolExecutor(CALLS) as executor:
            return Counter(executor.map(lambda _: ask(browser.twin(), handler), range(CALLS)))
    with running_loop() as loop, ThreadPoolExecutor(CALLS) as executor:
        met = asyncio.Barrier(CALLS)

        async def ahandler(session: Session) -> Any:
            await session.aload()
            async with asyncio.timeout(PATIENCE):
                await met.wait()
            return await twin(session)

        def request(_: int) -> str:
            tab = browser.twin()
            tab.run = lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE)
            return ask(tab, ahandler)

        return Counter(executor.map(request, range(CALLS)))


def caught(call: Blocking) -> Blocking:
    """Return *call*, which returns the name of a refusal instead of raising it."""

    def called(session: Session) -> Any:
        try:
            return call(session)
        except NotRedeemable:
            return "refused"

    return called


def acaught(call: Blocking) -> Blocking:
    async def called(session: Session) -> Any:
        try:
            return await call(session)
        except NotRedeemable:
            return "refused"

    return called


@pytest.mark.requirement("80")
def test_of_fifty_redemptions_one_wins(browser: Browser) -> None:
    """On each store; the others are told that it is used."""
    browser.request(log_in)
    value = browser.get(lambda session: session.issue("state", "won"))

    got = at_once(
        browser, caught(lambda s: s.redeem("state", value)), acaught(lambda s: s.aredeem("state", value))
    )

    assert got == {"won": 1, "refused": CALLS - 1}


@pytest.mark.requirement("81")
def test_of_fifty_pages_one_shows_the_message(browser: Browser) -> None:
    """On each store."""
    browser.request(log_in)
    browser.request(lambda session: session.flash("hi"))

    got = at_once(browser, lambda s: len(s.take_flashes()), lambda s: _count(s.atake_flashes()))

    assert got == {"1": 1, "0": CALLS - 1}


async def _count(waiting: Any) -> int:
    return len(await waiting)


def _redeem_all(path: Path, secret: str, cookie: str, values: list[str], met: Any, won: Any) -> None:
    with closing(SQLiteStore(path)) as store:
        browser = Browser("wsgi", SessionEngine(secret, store))
        browser.cookie = cookie
        met.wait(PATIENCE)
        won.put([value for value in values if redeem(browser, "state", value) == 1])


@pytest.mark.requirement("80")
def test_of_several_processes_one_wins(tmp_path: Path) -> None:
    """Each of fifty values is redeemed by one of four, and by no other."""
    secret, path = new_secret(), tmp_path / "sessions.db"
    with closing(SQLiteStore(path)) as store:
        browser = Browser("wsgi", SessionEngine(secret, store))
        browser.request(log_in)
        values = browser.get(lambda session: [session.issue("state", 1) for _ in range(CALLS)])
    context = multiprocessing.get_context("fork")
    met, won = context.Barrier(4), context.Queue()
    cookie = browser.cookie or ""
    processes = [
        context.Process(target=_redeem_all, args=(path, secret, cookie, values, met, won)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    wins = [value for _ in processes for value in won.get(timeout=PATIENCE)]
    for process in processes:
        process.join(PATIENCE)

    assert sorted(wins) == sorted(values)


# -- sessions of a user whose password changes ----------------------------------------------


class Midway(MemoryStore):
    """A store in which something happens right after a session was stored."""

    then: Callable[[], object] | None = None

    def create(self, record: SessionRecord) -> None:
        super().create(record)
        self._pass()

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        done = super().replace(tombstone, record)
        self._pass()
        return done

    def _pass(self) -> None:
        then, self.then = self.then, None
        if then is not None:
            then()


@pytest.mark.requirement("78")
@pytest.mark.parametrize("visitor", [True, False], ids=["with a session", "without one"])
@pytest.mark.parametrize("when", ["before the call", "after the call", "after it is stored"])
def test_a_login_under_way_does_not_survive(
    protocol: Protocol, clock: FakeClock, events: list[SessionEvent], when: str, visitor: bool
) -> None:
    """Its request had begun before the password changed, so it may have checked the former one."""
    store = Midway()
    engine = SessionEngine(new_secret(), store, clock=clock, on_event=events.append)
    thief = Browser(protocol, engine)
    if visitor:
        thief.request(lambda session: session.update(cart=1))

    def changes() -> None:
        clock.advance(0.001)
        engine.revoke_before("ada")

    def login(session: Session) -> None:
        if when == "before the call":
            changes()
        session.login("ada")
        if when == "after the call":
            changes()
        elif when == "after it is stored":
            store.then = changes

    thief.request(login, method="POST")

    assert thief.get(current_user) is None
    assert engine.list_sessions("ada") == []
    clock.advance(1)
    thief.request(lambda session: session.login("ada"))
    assert thief.get(current_user) == "ada"


@pytest.mark.requirement("78")
def test_a_way_back_under_way_does_not_survive(protocol: Protocol, clock: FakeClock) -> None:
    """A callback, which is a GET, begins when it redeems its value."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)
    browser = Browser(protocol, engine)
    value = browser.get(lambda session: session.issue("state"))

    def callback(session: Session) -> None:
        session.redeem("state", value)
        clock.advance(0.25)  # so long the provider takes to answer
        engine.revoke_before("ada")
        session.login("ada")

    browser.request(callback)

    assert browser.get(current_user) is None


@pytest.mark.requirement("78")
def test_logins_since_then_stay(protocol: Protocol, clock: FakeClock) -> None:
    """Only sessions from before the moment end, and not the excepted one."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)
    early, kept, late, other = (Browser(protocol, engine) for _ in range(4))
    early.request(lambda session: session.login("ada"))
    kept.request(lambda session: session.login("ada"))
    other.request(lambda session: session.login("bob"))
    clock.advance(10)
    moment = clock.now
    clock.advance(10)
    late.request(lambda session: session.login("ada"))

    assert engine.revoke_before("ada", moment, except_handle=kept.get(lambda s: s.handle)) == 1

    users = [tab.get(current_user) for tab in (early, kept, late, other)]
    assert users == [None, "ada", "ada", "bob"]


@pytest.mark.parametrize("moment", [True, "now", -1, float("nan"), 1e12])
def test_the_moment_is_a_time_that_was(moment: Any, clock: FakeClock) -> None:
    """Not a date, and not one to come."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)

    with pytest.raises(ValueError, match="moment"):
        engine.revoke_before("ada", moment)
    with pytest.raises(ValueError, match="except_handle"):
        engine.revoke_before("ada", except_handle="x")


@pytest.mark.requirement("78")
def test_only_this_session_stays(protocol: Protocol, clock: FakeClock, full_store: Any) -> None:
    """It gets a new id, and its other fields and its login are as they were."""
    engine = SessionEngine(new_secret(), full_store, clock=clock)
    mine, others = Browser(protocol, engine), [Browser(protocol, engine) for _ in range(3)]
    for tab in (mine, *others):
        tab.request(log_in)
    stolen = mine.twin()
    clock.advance(100)

    mine.request(Session.keep_only_this)

    assert [tab.get(current_user) for tab in others] == [None] * 3
    assert stolen.get(current_user) is None
    assert mine.get(lambda s: (s.user_id, dict(s), s.auth_time)) == (
        "user-42",
        {"theme": "dark"},
        int(clock.now) - 100,
    )
    assert live_sessions(engine) == 1


@pytest.mark.requirement("78")
def test_a_login_by_the_former_password_does_not_survive(protocol: Protocol, clock: FakeClock) -> None:
    """It was under way when the password changed, and saved after that."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)
    mine, thief = Browser(protocol, engine), Browser(protocol, engine)
    mine.request(log_in)

    def login(session: Session) -> None:
        clock.advance(0.25)  # so long it takes to check a password
        mine.request(Session.keep_only_this)
        session.login("user-42")

    thief.request(login, method="POST")

    assert (mine.get(current_user), thief.get(current_user)) == ("user-42", None)


@pytest.mark.requirement("78")
def test_a_failed_request_ends_nothing(protocol: Protocol, full_store: Any) -> None:
    """As with any change: the password was not changed, either."""
    engine = SessionEngine(new_secret(), full_store)
    mine, other = Browser(protocol, engine), Browser(protocol, engine)
    for tab in (mine, other):
        tab.request(log_in)

    mine.request(Session.keep_only_this, status=500)

    assert (mine.get(current_user), other.get(current_user)) == ("user-42", "user-42")


@pytest.mark.requirement("78")
def test_two_tabs_keep_only_this(protocol: Protocol, full_store: Any) -> None:
    """Both are of the one browser, which stays signed in under the id of the first."""
    engine = SessionEngine(new_secret(), full_store)
    mine, other = Browser(protocol, engine), Browser(protocol, engine)
    for tab in (mine, other):
        tab.request(log_in)
    second = mine.twin()

    def outer(session: Session) -> None:
        session.keep_only_this()
        mine.request(Session.keep_only_this)

    second.request(outer)

    assert (mine.get(current_user), other.get(current_user)) == ("user-42", None)
    assert live_sessions(engine) == 1


@pytest.mark.requirement("78")
@pytest.mark.parametrize("call", ["get", "create", "delete_for_user", "list_for_user"])
def test_a_failing_store_signs_nobody_out(protocol: Protocol, call: str) -> None:
    """Not all others may have ended then: the answer says so, and the user can try again."""
    store = FlakyStore()
    engine = SessionEngine(new_secret(), store)
    mine = Browser(protocol, engine)
    mine.request(log_in)
    engine.create_session("user-42")

    def fails(session: Session) -> None:
        session.keep_only_this()
        store.broken = {call}

    assert mine.request(fails).status == 503
    store.broken = set()

    assert mine.get(current_user) == "user-42"
    mine.request(Session.keep_only_this)
    assert mine.get(current_user) == "user-42"
    assert len(engine.list_sessions("user-42")) == 1


@pytest.mark.requirement("78")
def test_another_try_in_the_same_request(protocol: Protocol) -> None:
    """What the handler was told of is not forgotten by the save at the end."""
    store = FlakyStore()
    engine = SessionEngine(new_secret(), store)
    mine = Browser(protocol, engine)
    mine.request(log_in)
    engine.create_session("user-42")

    def again(session: Session) -> None:
        session.keep_only_this()
        store.broken = {"delete_for_user"}
        with pytest.raises(StoreError):
            session.save()
        store.broken = set()

    assert mine.request(again).status == 200
    assert mine.get(current_user) == "user-42"
    assert len(engine.list_sessions("user-42")) == 1


@pytest.mark.requirement("78")
@pytest.mark.parametrize("store", [BasicStore, AsyncBasicStore])
def test_a_store_that_cannot_list(protocol: Protocol, store: Any) -> None:
    """It says so before anything is changed."""
    mine = Browser(protocol, SessionEngine(new_secret(), store()))
    mine.request(log_in)

    with pytest.raises(NotSupported):
        mine.request(Session.keep_only_this)

    assert mine.get(current_user) == "user-42"
