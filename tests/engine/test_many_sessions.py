"""What an engine does with many sessions: lists, revocations, cleaning, new ids."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fluidauth import SessionEngine, StoreError
from fluidauth.errors import NotSupported, UsageError
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.engine.calls import Calls
from tests.support import AsyncBasicStore, Browser, live_sessions


@pytest.fixture(params=[False, True], ids=["blocking", "awaited"])
def admin(request: pytest.FixtureRequest, full: SessionEngine) -> Calls:
    return Calls(full, request.param)


@pytest.mark.requirement("23")
def test_a_users_sessions_are_listed_and_revoked(admin: Calls, events: list[SessionEvent]) -> None:
    """Handles list what lives; revoking spares the one named."""
    kept = [admin.create_session("ada")[1].handle for _ in range(3)]
    _, other = admin.create_session("bob")

    listed = admin.list_sessions("ada")
    count = admin.revoke_user("ada", except_handle=kept[1])

    assert {info.handle for info in listed} == set(kept)
    assert {info.user_id for info in listed} == {"ada"}
    assert count == 2
    assert [info.handle for info in admin.list_sessions("ada")] == [kept[1]]
    assert [info.handle for info in admin.list_sessions("bob")] == [other.handle]
    assert [event.count for event in events if event.name == "session_revoked"] == [2]


@pytest.mark.requirement("23")
def test_a_handle_is_no_cookie(admin: Calls, protocol: Any) -> None:
    """What a list shows cannot be used to sign in."""
    admin.create_session("ada")
    browser = Browser(protocol, admin.engine)
    browser.cookie = admin.list_sessions("ada")[0].handle

    assert browser.get(lambda session: session.user_id) is None


def test_lists_leave_out_the_expired(admin: Calls, clock: FakeClock) -> None:
    """A session that idled out is not shown as a device signed in."""
    admin.create_session("ada")
    clock.advance(3_600)

    assert admin.list_sessions("ada") == []


def test_long_list_of_sessions_is_whole(admin: Calls) -> None:
    """More sessions than one page of the store come all the same."""
    for _ in range(1_001):
        admin.engine.create_session("ada")

    assert len(admin.list_sessions("ada")) == 1_001


@pytest.mark.requirement("23")
def test_revoke_all_ends_every_session(calls: Calls) -> None:
    """revoke_all needs no more than the five verbs."""
    for user in ("ada", "bob", None):
        calls.create_session(user)

    assert calls.revoke_all() == 3
    assert live_sessions(calls.engine) == 0


def test_clean_removes_the_expired(calls: Calls, clock: FakeClock) -> None:
    """All that has expired by now goes, in batches, and is counted."""
    for _ in range(3):
        calls.create_session("ada")
    clock.advance(3_600)
    _, live = calls.create_session("ada")

    assert calls.clean() == 3
    assert calls.get_session(live.handle) is not None


def test_missing_capabilities_are_told() -> None:
    """A store of five verbs says which call it does not offer."""
    engine = SessionEngine(secret=new_secret(), store=AsyncBasicStore())

    with pytest.raises(NotSupported, match=r"AsyncBasicStore does not offer list_for_user\(\)"):
        engine.list_sessions("ada")


@pytest.mark.parametrize("name", ["list_sessions", "revoke_user", "create_session"])
def test_user_ids_are_text_here_too(full: SessionEngine, name: str) -> None:
    """A number for a user is a mistake that would otherwise match nobody."""
    with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
        getattr(full, name)(42)


def test_blocking_calls_on_an_event_loop_are_refused() -> None:
    """With an asynchronous store the error names the twin instead of a deadlock."""
    engine = SessionEngine(secret=new_secret(), store=AsyncBasicStore())

    async def handler() -> None:
        with pytest.raises(UsageError, match="use the asynchronous twin"):
            engine.create_session("ada")

    asyncio.run(handler())


@pytest.mark.requirement("6")
def test_an_id_that_is_taken_is_never_adopted(full: SessionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a broken random generator cannot overwrite somebody's session."""
    token, session = full.create_session("ada", {"a": 1})
    real = __import__("secrets").token_bytes
    stored = full.requests.store.get(str(session.handle))
    taken = __import__("base64").urlsafe_b64decode(token[9:41])
    answers = iter([taken, taken])
    monkeypatch.setattr("secrets.token_bytes", lambda size: next(answers, None) or real(size))

    _, other = full.create_session("bob")

    assert other.handle != session.handle
    assert full.requests.store.get(str(session.handle)) == stored


@pytest.mark.requirement("6")
def test_three_taken_ids_are_an_error(full: SessionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that repeats itself stops the login, not the other user."""
    monkeypatch.setattr("secrets.token_bytes", lambda size: b"x" * size)
    full.create_session("ada")

    with pytest.raises(StoreError, match="3 new session ids were taken already"):
        full.create_session("bob")
