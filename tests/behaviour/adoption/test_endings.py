"""What has ended is never adopted again, whatever runs beside."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from fluidauth import Session, SessionEngine
from fluidauth.adoption import Adopted
from fluidauth.engine import housekeeping
from fluidauth.events import SessionEvent
from fluidauth.formats.payloads import successor_of
from fluidauth.keys import new_secret
from fluidauth.stores import SessionRecord
from fluidauth.stores.bridge import SyncBridge
from tests.behaviour.adoption.former_system import ADA, Between, OldSystem, sessions_of_ada, whoami
from tests.support import BasicStore, Browser, FlakyStore, Protocol, apart, live_sessions


@pytest.mark.requirement("63")
@pytest.mark.parametrize(
    "ending",
    [
        lambda session: session.logout(),
        lambda session: session.login("ada"),
        lambda session: session.regenerate(),
    ],
    ids=["logout", "login", "regenerate"],
)
@pytest.mark.parametrize("when", ["first", "later"])
def test_ended_session_is_never_adopted_again(
    browser: Browser, when: str, ending: Any, old: OldSystem
) -> None:
    """Nor what went on under another id, even if the old system would still let it in."""
    kept = dict(old.sessions)
    if when == "later":
        browser.request(whoami, cookie_header="old=ada")
    browser.request(ending, cookie_header="old=ada" if when == "first" else None)
    old.sessions = kept

    response = browser.with_cookie(None).request(whoami, cookie_header="old=ada")

    assert response.value == (None, {})
    assert response.set_cookies == []


ENDINGS = {
    "logout": Session.logout,
    "login as another": lambda session: session.login("bob"),
    "login again": lambda session: session.login("ada"),
    "regenerate": Session.regenerate,
}

AFTER = dict(zip(ENDINGS.values(), (None, "bob", "ada", "ada"), strict=True))


@pytest.mark.requirement("63")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_logout_ends_session_that_another_request_took_over(browser: Browser, ending: Any) -> None:
    """Two tabs, a poll and a click: the cookie of the poll's response must not outlive the click."""
    poll = browser.with_cookie(None)

    def click(session: Session) -> None:
        assert whoami(session) == ADA
        apart(partial(poll.request, whoami, cookie_header="old=ada"))
        ending(session)

    browser.request(click, cookie_header="old=ada")

    assert poll.cookie is not None
    assert poll.get(whoami) == (None, {})
    assert browser.with_cookie(None).get(whoami, cookie_header="old=ada") == (None, {})
    assert browser.get(lambda session: session.user_id) == AFTER[ending]
    assert sessions_of_ada(browser.engine) <= 1


@pytest.mark.requirement("52", "63")
@pytest.mark.parametrize("broken", [{"create"}, {"create", "get", "update", "delete"}])
def test_refused_end_denies_the_old_session(
    protocol: Protocol, old: OldSystem, broken: set[str], events: list[SessionEvent]
) -> None:
    """Of an old session as of ours; asked for again it is carried out."""
    store = FlakyStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[old], on_event=events.append))

    def leave(session: Session) -> None:
        session.logout()
        store.broken = broken

    refused = browser.request(leave, cookie_header="old=ada")
    store.broken = set()
    meanwhile = browser.request(whoami, cookie_header="old=ada")
    again = browser.request(Session.logout, cookie_header="old=ada")

    assert (refused.status, refused.set_cookies) == (503, [])
    assert "revoke_failed" in [event.name for event in events]
    assert meanwhile.value == (None, {})
    assert again.status == 200
    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("52", "63")
@pytest.mark.parametrize("tidy", ["tidy", "atidy"])
def test_an_end_that_was_refused_is_carried_out_later(
    protocol: Protocol, old: OldSystem, tidy: str, events: list[SessionEvent]
) -> None:
    """Without anybody asking again; then no other process lets it in either."""
    store = FlakyStore()
    secret = new_secret()
    engine = SessionEngine(secret, store, adopt=[old], on_event=events.append)
    browser = Browser(protocol, engine)
    store.broken = {"create", "get", "update", "delete"}
    assert browser.request(Session.logout, cookie_header="old=ada").status == 503
    store.broken = set()

    done = getattr(housekeeping, tidy)(engine.requests)
    if tidy == "atidy":
        asyncio.run(done)

    assert ("session_revoked", "late") in [(event.name, event.reason) for event in events]
    assert engine.requests.denylist.denied == {}
    other = Browser(protocol, SessionEngine(secret, store, adopt=[old]))
    assert other.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("63")
@pytest.mark.parametrize("reads", [True, False])
def test_a_logout_ends_each_old_cookie_that_came(browser: Browser, old: OldSystem, reads: bool) -> None:
    """One may have been planted: who logged out is nobody, whichever is left in the browser."""

    def leave(session: Session) -> None:
        if reads:
            assert session.user_id == "ada"
        session.logout()

    old.sessions["eve"] = Adopted({}, "eve")
    browser.request(leave, cookie_header="old=ada; old=eve")

    for name in ("ada", "eve"):
        assert browser.with_cookie(None).get(whoami, cookie_header=f"old={name}") == (None, {})


@pytest.mark.requirement("63")
@pytest.mark.parametrize("use", [lambda s: s.update(a=1), Session.regenerate], ids=["save", "regenerate"])
@pytest.mark.parametrize("ends", ["as taken over", "under the old cookie"])
def test_a_slow_request_brings_nothing_back(browser: Browser, old: OldSystem, use: Any, ends: str) -> None:
    """It read the old session, which was ended before it saved: it is closed, and makes no session anew."""
    other = browser.with_cookie(None)
    kept = Adopted(*old.sessions["ada"])

    def slow(session: Session) -> None:
        assert whoami(session) == ADA
        if ends == "as taken over":
            apart(partial(other.request, whoami, cookie_header="old=ada"))
            apart(partial(other.request, Session.logout))
        else:
            apart(partial(other.request, Session.logout, cookie_header="old=ada"))
        old.sessions["ada"] = kept  # the former system took longer to forget it
        use(session)

    browser.request(slow, cookie_header="old=ada")

    assert browser.get(whoami) == (None, {})
    assert browser.with_cookie(None).get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("63")
def test_a_logout_of_an_old_session_needs_no_read(protocol: Protocol, old: OldSystem) -> None:
    """What its cookie names is known without one: it is ended as soon as the store answers."""
    store = FlakyStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[old]))
    store.broken = {"get"}

    def leave(session: Session) -> None:
        session.logout()
        store.broken = set()

    response = browser.request(leave, cookie_header="old=ada")

    assert response.status == 200
    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("63")
def test_refused_end_during_a_takeover_is_carried_out_later(protocol: Protocol, old: OldSystem) -> None:
    """The other request's session is denied as well, and ended by the next try."""
    store = FlakyStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[old]))
    poll = browser.with_cookie(None)

    def leave(session: Session) -> None:
        _ = session.user_id
        apart(partial(poll.request, whoami, cookie_header="old=ada"))
        session.logout()
        store.broken = {"update"}

    refused = browser.request(leave, cookie_header="old=ada")
    store.broken = set()
    again = browser.with_cookie(None).request(Session.logout, cookie_header="old=ada")

    assert (refused.status, again.status) == (503, 200)
    assert poll.get(whoami) == (None, {})
    assert browser.with_cookie(None).get(whoami, cookie_header="old=ada") == (None, {})


# -- ended for good, whatever runs beside -------------------------------------------------------------


@pytest.mark.requirement("5", "63")
@pytest.mark.parametrize("under", ["our cookie", "the old cookie"])
def test_a_slow_takeover_brings_back_nothing_that_was_ended(
    protocol: Protocol, old: OldSystem, under: str
) -> None:
    """It has looked for the marker already; another tab takes over and logs out before it stores anything."""
    store = Between()
    kept = Adopted(*old.sessions["ada"])
    with closing(SessionEngine(new_secret(), store, adopt=[old])) as engine:
        slow, quick = Browser(protocol, engine), Browser(protocol, engine)

        def beside() -> None:
            apart(partial(quick.request, whoami, cookie_header="old=ada"))
            old.sessions["ada"] = kept
            header = None if under == "our cookie" else "old=ada"
            apart(partial(quick.request, Session.logout, cookie_header=header))

        store.meanwhile = beside
        slow.request(whoami, cookie_header="old=ada")
        old.sessions["ada"] = kept

        assert slow.get(whoami) == (None, {})
        assert slow.with_cookie(None).get(whoami, cookie_header="old=ada") == (None, {})
        assert live_sessions(engine) == 0


@pytest.mark.requirement("4", "63")
def test_a_logout_under_both_cookies_ends_both(browser: Browser, old: OldSystem) -> None:
    """As after an upgrade that was taken back for a while."""
    browser.request(lambda session: session.login("bob"))

    response = browser.request(Session.logout, cookie_header=f"{browser.name}={browser.cookie}; old=ada")

    assert sorted(line.partition("=")[0] for line in response.set_cookies) == [browser.name, "old"]
    old.sessions["ada"] = Adopted({}, "ada")
    assert browser.with_cookie(None).get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("23", "64")
@pytest.mark.parametrize("everybody", [True, False])
def test_a_takeover_under_a_new_id_escapes_no_revocation(
    protocol: Protocol, old: OldSystem, everybody: bool
) -> None:
    store = Between()
    with closing(SessionEngine(new_secret(), store, adopt=[old])) as engine:
        browser = Browser(protocol, engine)
        store.meanwhile = partial(
            apart, engine.revoke_all if everybody else partial(engine.revoke_user, "ada")
        )
        browser.request(Session.regenerate, cookie_header="old=ada")

        assert browser.get(whoami) == (None, {})
        assert live_sessions(engine) == 0


@pytest.mark.requirement("63")
def test_the_end_of_a_marker_is_that_of_its_session(browser: Browser, old: OldSystem) -> None:
    """Who ends by its handle what looks like a session leaves the old cookie used up."""
    browser.request(whoami, cookie_header="old=ada")
    handle = browser.get(lambda session: session.handle)
    [marker] = [record for record in all_records(browser.engine) if successor_of(record) == handle]

    browser.engine.delete_session(marker.handle)
    old.sessions["ada"] = Adopted({}, "ada")

    assert browser.get(whoami) == (None, {})
    assert browser.with_cookie(None).get(whoami, cookie_header="old=ada") == (None, {})


def all_records(engine: SessionEngine) -> list[SessionRecord]:
    store: Any = engine.requests.store
    while not hasattr(store, "scan") or isinstance(store, BasicStore | SyncBridge):
        store = store._inner if isinstance(store, BasicStore) else store._store._inner
    return list(store.scan())
