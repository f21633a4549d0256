"""The time for which former cookies come in, and what ends it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from fluidauth import ConfigError, MemoryStore, Session, SessionEngine
from fluidauth.adoption import Adopted
from fluidauth.errors import NotSupported
from fluidauth.keys import new_secret
from fluidauth.operations.revoke import _end_all
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import ADA, DAY, OldSystem, whoami
from tests.support import Browser, Protocol

# -- the time for which they come in ---------------------------------------------------------------


@pytest.mark.requirement("64")
def test_adoption_period_ends_by_itself(
    store: Any, protocol: Protocol, clock: FakeClock, old: OldSystem, caplog: pytest.LogCaptureFixture
) -> None:
    """When the last cookie has expired; in every process at that moment, whenever that was started."""
    secret = new_secret()
    first = SessionEngine(secret, store, adopt=[old], clock=clock)
    with caplog.at_level(logging.WARNING, "fluidauth"):
        assert Browser(protocol, first).get(whoami, cookie_header="old=ada") == ADA
        assert Browser(protocol, first).get(whoami, cookie_header="old=anon") == (None, {"n": 1})
    old.sessions["late"] = Adopted({}, "eve")

    clock.advance(14 * DAY - 1)
    later = SessionEngine(secret, store, adopt=[old], clock=clock)
    in_time = Browser(protocol, later).get(whoami, cookie_header="old=late")
    old.sessions["later"] = Adopted({}, "eve")
    clock.advance(1)
    too_late = [
        Browser(protocol, engine).get(whoami, cookie_header="old=later")
        for engine in (first, later, SessionEngine(secret, store, adopt=[old], clock=clock))
    ]

    assert in_time == ("eve", {})
    assert too_late == [(None, {})] * 3
    told = [message for message in caplog.messages if "are adopted until 2" in message]
    assert len(told) == 3  # once for each process
    assert len(set(told)) == 1


@pytest.mark.requirement("64")
def test_adoption_period_ends_at_a_given_time(protocol: Protocol, clock: FakeClock, old: OldSystem) -> None:
    """Sooner or later than by itself; the day is a moment, not a number."""
    until = datetime.fromtimestamp(clock() + 60, UTC)
    engine = SessionEngine(new_secret(), MemoryStore(), adopt=[old], adopt_until=until, clock=clock)
    before = Browser(protocol, engine).get(whoami, cookie_header="old=ada")
    clock.advance(60)
    after = Browser(protocol, engine).get(whoami, cookie_header="old=anon")

    assert (before, after) == (ADA, (None, {}))
    with pytest.raises(ConfigError, match="must be a datetime with a time zone"):
        SessionEngine(new_secret(), MemoryStore(), adopt=[old], adopt_until=datetime(2030, 1, 1))


@pytest.mark.requirement("64")
def test_revoking_a_user_reaches_cookies_that_have_not_come_in(browser: Browser, old: OldSystem) -> None:
    """The laptop's session was taken over; the phone's, a thief's maybe, is not any more."""
    old.sessions["phone"] = Adopted({}, "ada")
    browser.request(whoami, cookie_header="old=ada")
    is_supported = True
    try:
        browser.engine.revoke_user("ada")
    except NotSupported:
        is_supported = False

    assert browser.get(whoami) == ((None, {}) if is_supported else ADA)
    assert browser.with_cookie(None).get(whoami, cookie_header="old=phone") == (None, {})
    assert browser.with_cookie(None).get(whoami, cookie_header="old=anon") == (None, {"n": 1})


@pytest.mark.requirement("64")
@pytest.mark.parametrize("revoke", ["user", "all"])
def test_revoking_reaches_an_adoption_under_way(protocol: Protocol, old: OldSystem, revoke: str) -> None:
    """A request read the old session, not ours yet; what it saves does not outlive the revocation."""
    engine = SessionEngine(new_secret(), MemoryStore(), adopt=[old])
    browser = Browser(protocol, engine)

    def slow(session: Session) -> None:
        assert whoami(session) == ADA
        engine.revoke_user("ada") if revoke == "user" else engine.revoke_all()

    browser.request(slow, cookie_header="old=ada")

    assert browser.get(whoami) == (None, {})
    assert engine.list_sessions("ada") == []


@pytest.mark.requirement("64")
def test_revoking_a_user_before_any_session_came_in(protocol: Protocol, old: OldSystem) -> None:
    engine = SessionEngine(new_secret(), MemoryStore(), adopt=[old])
    engine.revoke_user("ada")

    assert Browser(protocol, engine).get(whoami, cookie_header="old=ada") == (None, {})
    assert Browser(protocol, engine).get(whoami, cookie_header="old=anon") == (None, {"n": 1})


@pytest.mark.requirement("64")
def test_revoking_all_without_adopters_ends_the_adoption_period(protocol: Protocol, old: OldSystem) -> None:
    """A script of an administrator, say, on the same store."""
    secret, store = new_secret(), MemoryStore()
    service = SessionEngine(secret, store, adopt=[old])
    Browser(protocol, service).request(whoami, cookie_header="old=ada")

    SessionEngine(secret, store).revoke_all()

    restarted = SessionEngine(secret, store, adopt=[old])
    assert Browser(protocol, restarted).get(whoami, cookie_header="old=anon") == (None, {})


@pytest.mark.requirement("64")
def test_revoking_all_ends_the_adoption_period(browser: Browser, old: OldSystem, clock: FakeClock) -> None:
    """Who had logged out stays out, and nobody else comes in, in this process and a new one."""
    browser.request(whoami, cookie_header="old=ada")
    browser.request(Session.logout)
    old.sessions["ada"] = Adopted({}, "ada")

    browser.engine.requests.perform(_end_all(), "revoke")  # as far as another process has come
    meanwhile = browser.with_cookie(None).get(whoami, cookie_header="old=anon")
    browser.engine.revoke_all()
    again = SessionEngine(new_secret(), browser.engine.requests.store, adopt=[old], clock=clock)

    assert meanwhile == (None, {})
    for engine in (browser.engine, again):
        for name in ("ada", "anon"):
            assert Browser(browser.protocol, engine).get(whoami, cookie_header=f"old={name}") == (None, {})


# -- ended for good, whatever runs beside -------------------------------------------------------------


@pytest.mark.requirement("64")
def test_adoption_period_begins_with_the_service_not_with_a_forged_cookie(
    protocol: Protocol, clock: FakeClock, old: OldSystem
) -> None:
    """Where no former session ever came in, nobody can open the door later."""
    store = MemoryStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[old], clock=clock))
    clock.advance(OldSystem.lifetime)

    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("26", "64")
def test_forged_beginning_of_the_adoption_period_is_refused(
    protocol: Protocol, clock: FakeClock, old: OldSystem
) -> None:
    """Whoever can write to the database opens nothing again that has ended."""
    store, secret = MemoryStore(), new_secret()
    SessionEngine(secret, store, adopt=[old], clock=clock)
    [note] = store.scan()
    clock.advance(OldSystem.lifetime)
    store._records[note.handle] = note._replace(created_at=int(clock()))

    browser = Browser(protocol, SessionEngine(secret, store, adopt=[old], clock=clock))

    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("64")
def test_adoption_period_goes_on_after_a_rotation(
    protocol: Protocol, clock: FakeClock, old: OldSystem
) -> None:
    """Its beginning is kept under the key in force; that of then may be revoked."""
    store, first, second = MemoryStore(), new_secret(), new_secret()
    SessionEngine(first, store, adopt=[old], clock=clock)
    SessionEngine([second, first], store, adopt=[old], clock=clock)

    browser = Browser(protocol, SessionEngine(second, store, adopt=[old], clock=clock))

    assert browser.get(whoami, cookie_header="old=ada") == ADA
