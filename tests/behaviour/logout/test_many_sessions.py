"""A logout ends all that came with the request, and what it was renewed to."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import TooManyCookies
from fluidauth.events import SessionEvent
from fluidauth.formats.cookies import MAX_LEAVING
from fluidauth.keys import new_secret
from tests.behaviour.logout.support import as_function, is_out, user_of
from tests.support import AsyncBasicStore, Browser, FlakyStore, Protocol, apart, live_sessions

pytestmark = pytest.mark.requirement("4")


# -- many cookies ------------------------------------------------------------------------------------


def planted(browser: Browser, count: int) -> str:
    """Return a header with *count* cookies of our name before the genuine one."""
    return "; ".join(
        [*(f"{browser.name}=planted{n}" for n in range(count)), f"{browser.name}={browser.cookie}"]
    )


@pytest.mark.requirement("45")
@pytest.mark.parametrize("count", [1, 4, MAX_LEAVING - 1])
@pytest.mark.parametrize("reads_first", [False, True])
def test_logout_ends_each_genuine_session_among_many_cookies(
    alice: Browser, count: int, reads_first: bool
) -> None:
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
def test_logout_with_too_many_cookies_is_an_error_that_clears_the_cookie(alice: Browser, count: int) -> None:
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


def test_logout_after_a_save_ends_every_session_that_came(alice: Browser) -> None:
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


def test_login_ends_every_session_that_came(alice: Browser) -> None:
    """Which of two was planted nobody can say; who signs in leaves neither behind."""
    other, both = two_live(alice)
    first = alice.twin()

    alice.request(lambda session: session.login("carol"), cookie_header=both)

    assert [first.get(user_of), other.get(user_of), alice.get(user_of)] == [None, None, "carol"]


def test_logout_after_a_reload_ends_every_session_that_came(alice: Browser) -> None:
    other, both = two_live(alice)
    first = alice.twin()

    def leave(session: Session) -> None:
        session.logout()
        session.reload()

    alice.request(leave, cookie_header=both)

    assert [first.get(user_of), other.get(user_of)] == [None, None]


def test_logout_with_a_denied_session_ends_every_session_that_came(
    alice: Browser, outage: FlakyStore
) -> None:
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


def test_logout_cancelled_under_trio_denies_the_session(events: list[SessionEvent]) -> None:
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


def test_logout_of_two_at_once_succeeds_only_when_the_session_has_ended(protocol: Protocol) -> None:
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
def test_logout_under_a_former_id_that_is_refused_denies_the_new_one(
    alice: Browser, outage: FlakyStore
) -> None:
    former = alice.twin()
    alice.request(Session.regenerate)

    def leave(session: Session) -> None:
        session.logout()
        outage.broken = {"delete"}

    assert former.request(leave).status == 503
    assert alice.get(user_of) is None


def test_logout_follows_a_thousand_renewals(protocol: Protocol) -> None:
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


# -- under a key that is gone -----------------------------------------------------------------------


@pytest.mark.requirement("23", "36")
def test_logout_ends_session_renewed_under_a_revoked_key(protocol: Protocol) -> None:
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
