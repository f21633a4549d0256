"""A logout that was asked for is carried out, or nobody gets in: whatever way its request ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from fluidauth import MemoryStore, Session, SessionEngine, StoreError
from fluidauth.engine.housekeeping import tidy
from fluidauth.errors import SessionNotLoaded, TooManyCookies
from fluidauth.events import SessionEvent
from fluidauth.formats.cookies import MAX_LEAVING
from fluidauth.keys import new_secret
from fluidauth.session.session import visit_of

from .support import AsyncBasicStore, BasicStore, Browser, FlakyStore, Protocol, apart, live_sessions

pytestmark = pytest.mark.requirement("4")


@pytest.fixture
def outage() -> FlakyStore:
    return FlakyStore()


@pytest.fixture
def alice(protocol: Protocol, outage: FlakyStore, events: list[SessionEvent]) -> Iterator[Browser]:
    """Signed in, on a store that can be broken."""
    engine = SessionEngine(new_secret(), outage, on_event=events.append)
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("alice"))
    yield browser
    engine.close()


def user_of(session: Session) -> str | None:
    return session.user_id


def is_out(browser: Browser, cookie: str | None) -> bool:
    return browser.with_cookie(cookie).get(user_of) is None


# -- responses that become a 503 ------------------------------------------------------------------


def test_it_stands_when_the_handler_fails_with_the_store(alice: Browser, outage: FlakyStore) -> None:
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


def test_it_stands_when_an_earlier_save_of_the_request_failed(alice: Browser, outage: FlakyStore) -> None:
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
def test_one_that_is_refused_on_that_way_lets_nobody_in(
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


def test_it_needs_no_store_to_know_what_to_end(
    alice: Browser, outage: FlakyStore, events: list[SessionEvent]
) -> None:
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


def test_it_is_carried_out_where_the_store_comes_back_meanwhile(alice: Browser, outage: FlakyStore) -> None:
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


def test_it_needs_no_aload() -> None:
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


# -- many cookies ------------------------------------------------------------------------------------


def planted(browser: Browser, count: int) -> str:
    """Return a header with *count* cookies of our name before the genuine one."""
    return "; ".join(
        [*(f"{browser.name}=planted{n}" for n in range(count)), f"{browser.name}={browser.cookie}"]
    )


@pytest.mark.requirement("45")
@pytest.mark.parametrize("count", [1, 4, MAX_LEAVING - 1])
@pytest.mark.parametrize("reads_first", [False, True])
def test_it_ends_what_is_genuine_among_many_cookies(alice: Browser, count: int, reads_first: bool) -> None:
    """Planted by a sibling host, they make the visitor anonymous; they do not keep him from leaving."""
    cookie = alice.cookie

    def leave(session: Session) -> None:
        if reads_first:
            _ = session.user_id
        session.logout()

    response = alice.request(leave, cookie_header=planted(alice, count))

    assert response.status == 200
    assert "Max-Age=0" in response.set_cookies[0]
    assert is_out(alice, cookie)


@pytest.mark.requirement("45")
@pytest.mark.parametrize("count", [MAX_LEAVING, 5_000])
def test_beyond_what_is_looked_at_it_is_an_error_that_clears_the_cookie(alice: Browser, count: int) -> None:
    """Never a success that did nothing: by their number, and by a header that is too long."""
    header = planted(alice, count)

    def leave(session: Session) -> str:
        with pytest.raises(TooManyCookies):
            session.logout()
        return "told"

    response = alice.request(leave, cookie_header=header, status=500)
    unhandled = alice.request(Session.logout, cookie_header=header)

    assert response.value == "told"
    assert unhandled.status == 400
    for answer in (response, unhandled):
        assert "Max-Age=0" in answer.set_cookies[0]


def two_live(alice: Browser) -> tuple[Browser, str]:
    """Return another live session's browser, and a header with both cookies: one was planted."""
    other = alice.with_cookie(None)
    other.request(lambda session: session.login("bob"))
    return other, f"{alice.name}={alice.cookie}; {alice.name}={other.cookie}"


def test_it_ends_all_that_came_also_after_a_save(alice: Browser) -> None:
    """That gave the request a session of its own."""
    other, both = two_live(alice)
    first = alice.twin()

    def leave(session: Session) -> None:
        session["a"] = 1
        session.save()
        session.logout()

    alice.request(leave, cookie_header=both)

    assert [first.get(user_of), other.get(user_of)] == [None, None]
    assert live_sessions(alice.engine) == 0


def test_a_login_ends_all_that_came_as_well(alice: Browser) -> None:
    """Which of two was planted nobody can say; who signs in leaves neither behind."""
    other, both = two_live(alice)
    first = alice.twin()

    alice.request(lambda session: session.login("carol"), cookie_header=both)

    assert [first.get(user_of), other.get(user_of), alice.get(user_of)] == [None, None, "carol"]


def test_it_ends_all_that_came_also_after_a_reload(alice: Browser) -> None:
    other, both = two_live(alice)
    first = alice.twin()

    def leave(session: Session) -> None:
        session.logout()
        session.reload()

    alice.request(leave, cookie_header=both)

    assert [first.get(user_of), other.get(user_of)] == [None, None]


def test_it_ends_all_that_came_also_where_one_is_denied(alice: Browser, outage: FlakyStore) -> None:
    other, both = two_live(alice)
    first = alice.twin()
    outage.broken = {"delete"}
    alice.request(Session.logout)
    outage.broken = set()

    other.request(Session.logout, cookie_header=both)

    assert [first.get(user_of), other.get(user_of)] == [None, None]
    assert live_sessions(alice.engine) == 0


class UnderTrio(AsyncBasicStore):
    """Somebody's own store for trio, in which the first deletion never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = trio.Event()

    async def get(self, handle: str) -> Any:
        return self._inner.get(handle)

    async def create(self, record: Any) -> None:
        self._inner.create(record)

    async def delete(self, handle: str, version: int | None = None) -> bool:
        if not self.reached.is_set():
            self.reached.set()
            await trio.sleep_forever()
        return self._inner.delete(handle, version)

    async def clean(self, now: int, limit: int | None = None) -> int:
        return self._inner.clean(now, limit)


def test_one_that_is_cancelled_under_trio_lets_nobody_in(events: list[SessionEvent]) -> None:
    """A client goes away while its logout is carried out, and nothing shields that there."""
    store = UnderTrio()
    engine = SessionEngine(new_secret(), store, on_event=events.append)
    browser = Browser("asgi", engine)
    browser.run = lambda coroutine: apart(trio.run, as_function(coroutine))
    browser.request(lambda session: session.login("alice"))

    async def cancelled(coroutine: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(as_function(coroutine))
            await store.reached.wait()
            nursery.cancel_scope.cancel()

    tab = browser.twin()
    tab.run = lambda coroutine: apart(trio.run, cancelled, coroutine)
    tab.request(Session.logout, catch=True)

    assert "revoke_failed" in [event.name for event in events]
    assert browser.get(user_of) is None
    assert live_sessions(engine) == 0


class Overtaken(MemoryStore):
    """Lets something else happen before a session is deleted, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Any = None

    def delete(self, handle: str, version: int | None = None) -> bool:
        if self.meanwhile is not None and getattr(self.get(handle), "user_id", None):  # no tombstone
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().delete(handle, version)


def test_of_two_none_succeeds_before_it_is_done(protocol: Protocol) -> None:
    """Both come under an id that was replaced, and one is on its way to the new one."""
    store, seen = Overtaken(), list[Any]()
    browser = Browser(protocol, SessionEngine(new_secret(), store))
    browser.request(lambda session: session.login("alice"))
    former, other = browser.twin(), browser.twin()
    browser.request(Session.regenerate)

    def beside() -> None:
        response = apart(other.request, Session.logout)
        seen.extend((response.status, apart(browser.get, user_of)))

    def leave(session: Session) -> None:
        session.logout()
        store.meanwhile = beside

    former.request(leave)

    assert seen == [200, None]
    assert browser.get(user_of) is None


@pytest.mark.requirement("52")
def test_one_under_a_former_id_that_is_refused_denies_the_new_one(alice: Browser, outage: FlakyStore) -> None:
    former = alice.twin()
    alice.request(Session.regenerate)

    def leave(session: Session) -> None:
        session.logout()
        outage.broken = {"delete"}

    assert former.request(leave).status == 503
    assert alice.get(user_of) is None


def test_it_follows_a_thousand_renewals(protocol: Protocol) -> None:
    """As many as there may be, from the first id to the last."""
    engine = SessionEngine(new_secret(), MemoryStore())
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("alice"))
    former = browser.twin()

    def renew(session: Session) -> None:
        session.regenerate()
        session.save()

    def renew_all(session: Session) -> None:
        for _ in range(1_500):
            renew(session)

    browser.request(renew_all)
    former.request(Session.logout)

    assert browser.get(user_of) is None
    assert live_sessions(engine) == 0


# -- after the head --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "async-basic"])
def test_it_does_not_wait_for_the_end_of_a_stream(protocol: Protocol, kind: str) -> None:
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
def test_nor_where_no_event_loop_is_at_hand(loop: str, store: type[Any]) -> None:
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


def as_function(coroutine: Any) -> Any:
    async def awaited() -> Any:
        return await coroutine

    return awaited


def test_one_in_a_stream_that_the_store_refuses_lets_nobody_in(
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


# -- under a key that is gone -----------------------------------------------------------------------


@pytest.mark.requirement("23", "36")
def test_what_was_renewed_under_a_revoked_key_is_ended(protocol: Protocol) -> None:
    """The old id's record cannot be verified any more; what took its place lives under the new key."""
    old, new = new_secret(), new_secret()
    store = MemoryStore()
    before = Browser(protocol, SessionEngine(old, store))
    before.request(lambda session: session.login("alice"))
    handle = before.get(lambda session: session.handle)
    before.request(Session.regenerate)
    moved = Browser(protocol, SessionEngine([new, old], store)).with_cookie(before.cookie)
    moved.request(user_of)
    after = SessionEngine(new, store)
    assert len(after.list_sessions("alice")) == 1

    assert after.delete_session(str(handle)) is True

    assert after.list_sessions("alice") == []
