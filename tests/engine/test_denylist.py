"""A logout that the store refused lets nobody in, and is carried out later."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import MemoryStore, Session, StoreError
from fluidauth.engine.denylist import MAX_DENIALS, Denylist
from fluidauth.engine.housekeeping import DENIALS_BATCH
from fluidauth.events import SessionEvent
from fluidauth.testing import FakeClock
from tests.handlers import broken, fields, write
from tests.support import Browser, FlakyStore, live_sessions


@pytest.mark.requirement("52")
def test_failed_logout_denies_the_session(flaky: Browser, events: list[SessionEvent]) -> None:
    """It is never answered with success, and asked for again it is carried out."""
    store = broken(flaky, "delete")
    cookie = flaky.cookie

    failed = flaky.request(Session.logout)
    meanwhile = flaky.get(lambda s: (s.user_id, dict(s)))
    again = flaky.request(Session.logout)
    written = flaky.request(write)
    store.broken = set()
    done = flaky.request(Session.logout)

    assert [response.status for response in (failed, again)] == [503, 503]
    assert failed.set_cookies == again.set_cookies == written.set_cookies == []
    assert meanwhile == (None, {})
    assert done.status == 200
    assert live_sessions(flaky.engine) == 0
    assert flaky.with_cookie(cookie).get(fields) == {}
    assert "revoke_failed" in [event.name for event in events]


@pytest.mark.requirement("52")
def test_a_failed_logout_is_made_up_for(flaky: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
    """Once the store is back, cleaning removes the record, though nobody asks again."""
    store = broken(flaky, "delete")
    visitor = flaky.with_cookie(None)

    assert flaky.request(Session.logout).status == 503
    with pytest.raises(StoreError):
        flaky.engine.delete_session(other_handle := visitor_handle(visitor))
    store.broken = set()
    clock.advance(61)
    flaky.with_cookie(None).request(write)

    assert live_sessions(flaky.engine) == 1  # of the last request
    assert flaky.engine.get_session(other_handle) is None
    assert [e.reason for e in events if e.name == "session_revoked"] == ["late", "late"]


@pytest.mark.requirement("4", "52")
def test_logout_that_fails_halfway_denies_both_ids(flaky: Browser, monkeypatch: Any) -> None:
    """The tombstone is gone, the new id is not: neither opens anything, and the retry ends it."""
    store = broken(flaky)
    old = flaky.twin()
    flaky.request(Session.regenerate)
    delete, calls = MemoryStore.delete, []

    def fail_the_second(self: Any, handle: str, version: int | None = None) -> bool:
        calls.append(handle)
        if len(calls) > 1:
            raise StoreError("the store is down")
        return delete(self, handle, version)

    monkeypatch.setattr(FlakyStore, "delete", fail_the_second, raising=False)
    failed = old.request(Session.logout)
    seen = [browser.get(lambda s: (s.user_id, dict(s))) for browser in (old, flaky)]
    again = old.request(Session.logout)
    monkeypatch.undo()
    done = old.request(Session.logout)

    assert (failed.status, again.status, done.status) == (503, 503, 200)
    assert seen == [(None, {}), (None, {})]
    assert live_sessions(flaky.engine) == 0
    assert store.scan() == []


@pytest.mark.requirement("52")
def test_a_failed_logout_of_two_live_cookies_denies_both(flaky: Browser) -> None:
    """One was planted; none of them may open anything after an attempt to leave."""
    store = broken(flaky)
    other = flaky.with_cookie(None)
    other.request(lambda session: session.login("planted"))
    both = f"{flaky.name}={flaky.cookie}; {flaky.name}={other.cookie}"
    store.broken = {"delete"}

    failed = flaky.request(Session.logout, cookie_header=both)
    seen = [browser.get(lambda s: s.user_id) for browser in (flaky, other)]
    store.broken = set()
    done = [browser.request(Session.logout).status for browser in (flaky, other)]

    assert failed.status == 503
    assert seen == [None, None]
    assert done == [200, 200]
    assert live_sessions(flaky.engine) == 0


def test_a_logout_that_was_carried_out_is_no_failed_one(flaky: Browser, events: list[SessionEvent]) -> None:
    """What fails after it, a fresh session here, does not undo it."""
    broken(flaky, "create")

    def leave_and_begin(session: Session) -> None:
        session.logout()
        session["a"] = 1

    response = flaky.request(leave_and_begin)

    assert response.status == 503
    assert live_sessions(flaky.engine) == 0
    assert "revoke_failed" not in [event.name for event in events]


def test_denials_are_bounded() -> None:
    """The oldest gives way; an expired one is forgotten; one that is done is gone under all its handles."""
    denylist = Denylist()
    for number in range(MAX_DENIALS + 1):
        denylist.add(f"handle {number}", f"handle {number}", 100 + number)
    assert "handle 0" not in denylist.denied
    assert f"handle {MAX_DENIALS}" in denylist.denied

    last = f"handle {MAX_DENIALS}"
    assert denylist.pending(99 + MAX_DENIALS, 5) == [(last, last, 100 + MAX_DENIALS)]
    denylist.add("old", "new", 10**9)
    denylist.remove("new")

    assert not {"old", "new"} & denylist.denied.keys()


@pytest.mark.requirement("52")
def test_denials_take_turns() -> None:
    """Those that cannot be ended, each time they are tried, keep no others waiting."""
    denylist = Denylist()
    for name in "abcde":
        denylist.add(name, name, 10**9)

    tried = ["".join(denial.handle for denial in denylist.pending(100, 2)) for _ in range(3)]

    assert tried == ["ab", "cd", "ea"]


@pytest.mark.requirement("52")
def test_refused_logouts_are_carried_out_while_the_store_does(flaky: Browser, clock: FakeClock) -> None:
    """Once the store is back: some with each response, not some a minute."""
    store = broken(flaky)
    tabs = [flaky.with_cookie(None) for _ in range(3 * DENIALS_BATCH)]
    for tab in tabs:
        tab.request(lambda session: session.login("ada"))
    store.broken = {"delete"}
    for tab in tabs:
        tab.request(Session.logout)
    store.broken = set()
    clock.advance(61)

    left = []
    for _ in range(3):
        flaky.with_cookie(None).request(lambda session: session.user_id)
        left.append(len(store.list_for_user("ada", limit=100)))

    assert left == [2 * DENIALS_BATCH, DENIALS_BATCH, 0]


@pytest.mark.requirement("52")
def test_denial_added_while_another_thread_tidies_stays() -> None:
    """Threads deny and tidy at once; none loses what another noted."""
    denylist = Denylist()

    class Meanwhile(int):
        def __gt__(self, other: int) -> bool:
            denylist.add("late", "late", 10**9)
            return int(self) > other

    denylist.add("first", "first", Meanwhile(10**9))
    denylist.add("second", "second", 10**9)

    assert {denial.left for denial in denylist.pending(100, 5)} >= {"first", "second"}
    assert denylist.denied["late"].left == "late"


def visitor_handle(visitor: Browser) -> str:
    visitor.request(write)
    return str(visitor.get(lambda session: session.handle))
