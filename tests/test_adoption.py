"""Sessions of another system: taken over once, seen by everybody alike, ended for good."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from fluidauth import (
    ConfigError,
    CookieOptions,
    Keyring,
    Lifetime,
    MemoryStore,
    Session,
    SessionEngine,
    SessionRecord,
    StoreError,
)
from fluidauth.adoption import Adopted, Adopter
from fluidauth.engine import housekeeping
from fluidauth.errors import FreshLoginRequired, NotSupported
from fluidauth.events import SessionEvent
from fluidauth.formats.payloads import successor_of
from fluidauth.keys import new_secret
from fluidauth.operations.revoke import _end_all
from fluidauth.stores.bridge import SyncBridge
from fluidauth.testing import FakeClock

from .support import (
    AsyncBasicStore,
    BasicStore,
    Browser,
    FlakyStore,
    Protocol,
    apart,
    live_sessions,
    state_of,
)

DAY = 86_400


class OldSystem(Adopter):
    """Keeps sessions by the text in its cookie."""

    name = "old"
    cookie = CookieOptions("old", secure=False, path="/app", domain="example.org")
    lifetime = 14 * DAY
    blocks = True

    def __init__(self) -> None:
        self.sessions: dict[str, Adopted] = {
            "ada": Adopted({"cart": ["tea"]}, "ada"),
            "anon": Adopted({"n": 1}),
        }
        self.down = False

    def read(self, value: str) -> Adopted | None:
        if self.down:
            raise StoreError("the old store is out of order")
        found = self.sessions.get(value)
        return None if found is None else Adopted({**found.fields}, found.user_id)

    def forget(self, value: str) -> None:
        if self.down:
            raise StoreError("the old store is out of order")
        self.sessions.pop(value, None)


@pytest.fixture
def old() -> OldSystem:
    return OldSystem()


@pytest.fixture
def browser(
    store: Any, protocol: Protocol, clock: FakeClock, events: list[SessionEvent], old: OldSystem
) -> Iterator[Browser]:
    engine = SessionEngine(new_secret(), store, adopt=[old], clock=clock, on_event=events.append)
    yield Browser(protocol, engine)
    engine.close()


REQUEST = ("environ", "scope", "message", "self", "task", "cookie", "messages", "cookie_header", "receive")
"""Local variables that are the request itself, or the test's."""


def whoami(session: Session) -> tuple[str | None, dict[str, Any]]:
    return session.user_id, dict(session)


def nothing(session: Session) -> None:
    """Do as a page that needs no session."""


def sessions_of_ada(engine: SessionEngine) -> int:
    """Return how many there are, 1 where the store cannot list them."""
    try:
        return len(engine.list_sessions("ada"))
    except NotSupported:
        return 1


ADA = ("ada", {"cart": ["tea"]})


@pytest.mark.requirement("63")
def test_an_old_session_goes_on_under_a_fresh_id(
    browser: Browser, old: OldSystem, events: list[SessionEvent]
) -> None:
    """Its fields and its user; the old cookie is removed where it was, and the old system forgets it."""
    response = browser.request(whoami, cookie_header="old=ada")

    assert response.value == ADA
    assert browser.get(whoami) == ADA
    ours, theirs = response.set_cookies
    assert ours.startswith("__Host-session=1.")
    assert theirs.startswith("old=; path=/app; Max-Age=0; expires=Thu, 01 Jan 1970")
    assert "domain=example.org" in theirs
    assert old.sessions.keys() == {"anon"}
    assert [(event.name, event.reason, event.user_id) for event in events] == [
        ("session_adopted", "old", "ada")
    ]
    assert sessions_of_ada(browser.engine) == 1


def test_changes_of_the_first_request_count(browser: Browser) -> None:
    browser.request(lambda session: session["cart"].append("cup"), cookie_header="old=ada")

    assert browser.get(whoami) == ("ada", {"cart": ["tea", "cup"]})


def test_who_signed_in_long_ago_has_not_signed_in_freshly(browser: Browser) -> None:
    def refused(session: Session) -> bool:
        with pytest.raises(FreshLoginRequired):
            session.require_fresh(DAY)
        return session.is_authenticated

    assert browser.get(refused, cookie_header="old=ada") is True
    assert browser.get(refused) is True


def test_a_page_without_a_session_leaves_it_where_it_is(browser: Browser, old: OldSystem) -> None:
    response = browser.request(nothing, cookie_header="old=ada")

    assert response.set_cookies == []
    assert "ada" in old.sessions


@pytest.mark.requirement("62")
@pytest.mark.parametrize("value", ["forged", "", "a" * 4_000, "1." + "x" * 64, "\x00", "é"])
def test_what_the_old_system_refuses_adopts_nothing(
    browser: Browser, value: str, events: list[SessionEvent]
) -> None:
    response = browser.request(whoami, cookie_header=f"old={value}")

    assert response.value == (None, {})
    assert response.set_cookies == []
    assert [event.reason for event in events] == ["old_system"] * bool(value)


@pytest.mark.requirement("63")
def test_a_lost_response_loses_nobody(browser: Browser) -> None:
    """Who comes with the old cookie again gets the same session, and its cookie."""
    first = browser.request(whoami, cookie_header="old=ada")
    browser.request(lambda session: session.update(n=2))
    again = browser.request(whoami, cookie_header="old=ada")

    assert again.value == ("ada", {"cart": ["tea"], "n": 2})
    assert again.set_cookies == first.set_cookies


@pytest.mark.requirement("63")
def test_two_tabs_take_over_one_session(browser: Browser) -> None:
    """Both at once, each with a change of its own."""

    def slow(session: Session) -> None:
        session["slow"] = True
        apart(partial(tab.request, lambda other: other.update(fast=True), cookie_header="old=ada"))

    tab = browser.twin()
    browser.request(slow, cookie_header="old=ada")

    assert tab.cookie == browser.cookie
    assert browser.get(whoami) == ("ada", {"cart": ["tea"], "slow": True, "fast": True})
    assert sessions_of_ada(browser.engine) == 1


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
def test_what_has_ended_is_never_adopted_again(
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


@pytest.mark.requirement("63")
def test_another_user_signs_in_and_takes_nothing(browser: Browser) -> None:
    browser.request(lambda session: session.login("bob"), cookie_header="old=ada")

    assert browser.get(whoami) == ("bob", {})
    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


ENDINGS = {
    "logout": Session.logout,
    "login as another": lambda session: session.login("bob"),
    "login again": lambda session: session.login("ada"),
    "regenerate": Session.regenerate,
}


AFTER = dict(zip(ENDINGS.values(), (None, "bob", "ada", "ada"), strict=True))


@pytest.mark.requirement("63")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_what_a_request_beside_it_took_over_is_ended_as_well(browser: Browser, ending: Any) -> None:
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
def test_an_end_that_the_store_refuses_lets_nobody_in(
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


class Between(MemoryStore):
    """Lets something else happen between a request's looking for a record and its making it."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Any = None

    def create(self, record: SessionRecord) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().create(record)


@pytest.mark.requirement("63")
def test_two_servers_that_take_over_at_the_same_moment_make_one(protocol: Protocol, old: OldSystem) -> None:
    """The marker decides which of their ids lives; who lost joins."""
    store, keys = Between(), [new_secret(), new_secret()]
    first = Browser(protocol, SessionEngine(keys, store, adopt=[old]))
    second = Browser(protocol, SessionEngine(keys[::-1], store, adopt=[old]))

    def slow(session: Session) -> None:
        assert whoami(session) == ADA
        store.meanwhile = partial(apart, partial(second.request, whoami, cookie_header="old=ada"))

    first.request(slow, cookie_header="old=ada")

    assert first.get(whoami) == second.get(whoami) == ADA
    assert sessions_of_ada(second.engine) == 1


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
def test_an_end_refused_beside_a_takeover_is_made_up_for(protocol: Protocol, old: OldSystem) -> None:
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


class Signed(OldSystem):
    """Signs its cookies, in a way that has many spellings: its sessions are named before a dot."""

    def identity(self, value: str) -> str | None:
        name, _, signature = value.partition(".")
        return name if signature.lower() == "genuine" else None

    def read(self, value: str) -> Adopted | None:
        return super().read(value.partition(".")[0])


@pytest.mark.requirement("21", "63")
def test_each_spelling_of_an_old_cookie_is_one_session(protocol: Protocol) -> None:
    """A logout under one ends it under all; and no store is asked for a forged one."""
    store = FlakyStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[Signed()]))
    browser.request(whoami, cookie_header="old=ada.genuine")

    others = ("old=ada.Genuine", "old=ada.GENUINE")
    seen = [browser.with_cookie(None).get(whoami, cookie_header=other) for other in others]
    browser.request(Session.logout)
    left = [browser.with_cookie(None).get(whoami, cookie_header=other) for other in others]
    store.calls.clear()
    forged = browser.with_cookie(None).get(whoami, cookie_header="old=ada.forged; old=ada.forged2")

    assert seen == [ADA, ADA]
    assert left == [(None, {}), (None, {})]
    assert forged == (None, {})
    assert store.calls == []


@pytest.mark.requirement("63")
def test_an_expired_session_stays_expired(browser: Browser, old: OldSystem, clock: FakeClock) -> None:
    """The old cookie may be good for longer than ours."""
    kept = dict(old.sessions)
    browser.request(whoami, cookie_header="old=ada")
    old.sessions = kept
    clock.advance(DAY)

    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


def test_a_genuine_cookie_of_ours_comes_first(browser: Browser, old: OldSystem) -> None:
    browser.request(lambda session: session.login("bob"))

    assert browser.get(whoami, cookie_header=f"old=ada; {browser.name}={browser.cookie}") == ("bob", {})
    assert "ada" in old.sessions


@pytest.mark.parametrize("status", [200, 500])
def test_a_failed_request_takes_nothing_over(browser: Browser, old: OldSystem, status: int) -> None:
    """The next one does; a logout stands all the same."""
    browser.request(whoami, cookie_header="old=ada", status=status)

    assert ("ada" in old.sessions) is (status == 500)
    if status == 500:
        browser.request(lambda session: session.logout(), cookie_header="old=ada", status=500)
    else:
        browser.request(lambda session: session.logout())
    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("62")
def test_an_old_store_that_is_down_is_a_503(browser: Browser, old: OldSystem) -> None:
    """And no logout."""
    old.down = True
    failed = browser.request(whoami, cookie_header="old=ada")
    old.down = False

    assert failed.status == 503
    assert failed.set_cookies == []
    assert browser.get(whoami, cookie_header="old=ada") == ADA


def test_an_old_store_that_cannot_forget_costs_nothing(
    browser: Browser, old: OldSystem, events: list[SessionEvent]
) -> None:
    def go_down(session: Session) -> str | None:
        old.down = True
        return session.user_id

    assert browser.get(lambda session: (session.user_id, go_down(session)), cookie_header="old=ada")
    assert browser.get(whoami) == ADA
    assert ("store_error", "forget") in [(event.name, event.reason) for event in events]


def test_the_secret_rotates_meanwhile(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """The same old cookie leads to the same session under the next key, and to nothing without the first."""
    first, second = new_secret(), new_secret()
    Browser(protocol, SessionEngine(first, store, adopt=[old])).request(whoami, cookie_header="old=ada")

    rotated = Browser(protocol, SessionEngine([second, first], store, adopt=[old]))
    assert rotated.get(whoami, cookie_header="old=ada") == ADA
    assert rotated.get(whoami) == ADA
    without = Browser(protocol, SessionEngine(second, store, adopt=[old]))
    assert without.get(whoami, cookie_header="old=ada") == (None, {})
    assert without.with_cookie(rotated.cookie).get(whoami) == ADA


@pytest.mark.requirement("63")
def test_two_servers_amid_a_rotation_take_over_one(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """Each makes another id; the marker decides, who lost joins, and nothing is left of the other."""
    first, second = new_secret(), new_secret()
    slow = Browser(protocol, SessionEngine([first, second], store, adopt=[old]))
    fast = Browser(protocol, SessionEngine([second, first], store, adopt=[old]))

    def beside(session: Session) -> None:
        assert session.user_id == "ada"
        apart(partial(fast.request, whoami, cookie_header="old=ada"))

    slow.request(beside, cookie_header="old=ada")
    assert slow.get(lambda session: session.handle) == fast.get(lambda session: session.handle)
    assert slow.get(whoami, cookie_header="old=ada") == ADA
    assert sessions_of_ada(fast.engine) == 1


def test_the_same_name_and_place_need_no_second_cookie(
    store: Any, protocol: Protocol, old: OldSystem
) -> None:
    old.cookie = CookieOptions("session", secure=False)
    engine = SessionEngine(new_secret(), store, adopt=[old], cookie=CookieOptions(secure=False))
    browser = Browser(protocol, engine)

    response = browser.request(whoami, cookie_header="session=ada")

    assert [line.partition("=")[0] for line in response.set_cookies] == ["session"]
    assert browser.get(whoami) == ADA


def test_the_same_name_elsewhere_is_removed_there(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """A browser keeps both apart by path and domain."""
    old.cookie = CookieOptions("session", secure=False, path="/app")
    engine = SessionEngine(new_secret(), store, adopt=[old], cookie=CookieOptions(secure=False))

    response = Browser(protocol, engine).request(whoami, cookie_header="session=ada")

    assert ["Max-Age=0" in line for line in response.set_cookies] == [False, True]
    assert "path=/app" in response.set_cookies[1]


def test_a_lifetime_may_be_given(browser: Browser) -> None:
    response = browser.request(lambda session: session.set_lifetime(Lifetime(60)), cookie_header="old=ada")

    assert "Max-Age=60;" in response.set_cookies[0]
    assert browser.get(whoami) == ADA


@pytest.mark.requirement("62")
@pytest.mark.parametrize(
    "found", [Adopted({"x": object()}), Adopted({"x": float("nan")}), Adopted({}, ""), Adopted({}, "u" * 256)]
)
def test_what_cannot_be_kept_is_no_session(
    browser: Browser, old: OldSystem, events: list[SessionEvent], found: Adopted
) -> None:
    """No page is an error for as long as that cookie lasts, and who has it can sign in and out."""
    old.sessions["odd"] = found

    assert browser.get(whoami, cookie_header="old=odd") == (None, {})
    assert browser.request(Session.logout, cookie_header="old=odd").status == 200
    assert events[0].reason == "unstorable"


@pytest.mark.requirement("62")
def test_one_larger_than_we_keep_is_none(
    browser: Browser, old: OldSystem, events: list[SessionEvent]
) -> None:
    """Who has such a cookie sees each page as nobody and can sign in; no page is an error."""
    old.sessions["large"] = Adopted({"text": "x" * 70_000}, "ada")

    assert browser.get(whoami, cookie_header="old=large") == (None, {})
    assert [(event.name, event.reason) for event in events] == [("cookie_rejected", "too_large")]
    browser.request(lambda session: session.login("ada"), cookie_header="old=large")
    assert browser.get(whoami, cookie_header=f"old=large; {browser.name}={browser.cookie}") == ("ada", {})


@pytest.mark.requirement("62")
def test_nothing_of_an_old_cookie_is_shown(browser: Browser) -> None:
    shown = browser.get(
        lambda session: (session.user_id, repr(state_of(session).adoption)), cookie_header="old=ada"
    )

    assert shown == ("ada", "<Adoption old>")


@pytest.mark.parametrize("adopt", ["old", [object()], [OldSystem(), OldSystem()], OldSystem()])
def test_wrong_adopters_are_refused(adopt: Any) -> None:
    with pytest.raises(ConfigError, match="adopt"):
        SessionEngine(new_secret(), "memory://", adopt=adopt)


@pytest.mark.requirement("63")
def test_a_revoked_key_brings_nothing_back(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """What was under it is over, and the old cookie was used."""
    secret = new_secret()
    kept = dict(old.sessions)
    Browser(protocol, SessionEngine(secret, store, adopt=[old])).request(whoami, cookie_header="old=ada")
    old.sessions = kept

    ring = Keyring.from_secrets(new_secret())
    assert Browser(protocol, SessionEngine(ring, store, adopt=[old])).get(
        whoami, cookie_header="old=ada"
    ) == (None, {})


# -- the time for which they come in ---------------------------------------------------------------


@pytest.mark.requirement("64")
def test_it_ends_by_itself(
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
    told = [message for message in caplog.messages if "are taken over until 2" in message]
    assert len(told) == 3  # once for each process
    assert len(set(told)) == 1


@pytest.mark.requirement("64")
def test_it_ends_when_it_is_said_to(protocol: Protocol, clock: FakeClock, old: OldSystem) -> None:
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
def test_revoking_reaches_one_that_is_just_coming_in(protocol: Protocol, old: OldSystem, revoke: str) -> None:
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
def test_revoking_all_by_who_adopts_nothing_ends_it_too(protocol: Protocol, old: OldSystem) -> None:
    """A script of an administrator, say, on the same store."""
    secret, store = new_secret(), MemoryStore()
    service = SessionEngine(secret, store, adopt=[old])
    Browser(protocol, service).request(whoami, cookie_header="old=ada")

    SessionEngine(secret, store).revoke_all()

    restarted = SessionEngine(secret, store, adopt=[old])
    assert Browser(protocol, restarted).get(whoami, cookie_header="old=anon") == (None, {})


@pytest.mark.requirement("64")
def test_revoking_all_ends_it(browser: Browser, old: OldSystem, clock: FakeClock) -> None:
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


@pytest.mark.requirement("59")
def test_an_old_cookie_is_in_no_traceback_of_an_outage(old: OldSystem, protocol: Protocol) -> None:
    """It opens the session, here and there."""
    old.down = True
    cookie = "the-old-cookie-of-ada"
    store = MemoryStore() if protocol == "wsgi" else AsyncBasicStore()  # which is read ahead, and awaited
    with closing(SessionEngine(new_secret(), store, adopt=[old])) as engine:
        browser = Browser(protocol, engine, on_store_error="raise")
        error = browser.request(whoami, cookie_header=f"old={cookie}", catch=True).error
    assert isinstance(error, StoreError)

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    shown = [repr(value) for frame in frames for name, value in frame.f_locals.items() if name not in REQUEST]
    assert [text for text in shown if cookie in text] == []


# -- applications that keep in a field who is signed in ------------------------------------------------


class OldFields(OldSystem):
    """One whose application says in a field who is signed in, and goes on to do so."""

    def user_of(self, fields: dict[str, Any]) -> str | None:
        return fields.get("user")


@pytest.fixture
def by_field(
    store: Any, protocol: Protocol, clock: FakeClock, events: list[SessionEvent]
) -> Iterator[Browser]:
    """Ada, whose session was just taken over."""
    old = OldFields()
    old.sessions["ada"] = Adopted({"user": "ada", "cart": ["tea"]}, "ada")
    with closing(
        SessionEngine(new_secret(), store, adopt=[old], clock=clock, on_event=events.append)
    ) as engine:
        browser = Browser(protocol, engine)
        assert browser.get(whoami, cookie_header="old=ada")[0] == "ada"
        yield browser


def signs_out(session: Session) -> None:
    del session["user"]


def signs_in(user_id: str) -> Any:
    return lambda session: session.update(user=user_id)


@pytest.mark.requirement("66")
def test_who_signs_out_by_a_field_is_signed_out(by_field: Browser, events: list[SessionEvent]) -> None:
    """Other fields stay, under a new id; the old one opens nothing, and a slower request changes nothing."""
    former = by_field.twin()

    def slow(session: Session) -> None:
        session["cart"].append("late")
        by_field.request(signs_out)

    former.request(slow)

    assert by_field.get(whoami) == (None, {"cart": ["tea"]})
    assert by_field.get(lambda session: (session.is_authenticated, session.auth_time)) == (False, None)
    assert former.get(whoami) == (None, {})
    with suppress(NotSupported):
        assert by_field.engine.list_sessions("ada") == []
    assert ("session_logout", "ada") in [(event.name, event.user_id) for event in events]


@pytest.mark.requirement("66")
def test_who_clears_all_fields_is_logged_out(by_field: Browser, events: list[SessionEvent]) -> None:
    former = by_field.twin()
    response = by_field.request(Session.clear)

    assert "Max-Age=0" in response.set_cookies[0]
    assert former.get(whoami) == (None, {})
    assert events[-2].name == "session_logout"


@pytest.mark.requirement("66")
def test_who_signs_in_by_a_field_is_the_user(by_field: Browser) -> None:
    """Under a new id, with a time of login, to be listed and revoked; also where nobody was."""
    former = by_field.twin()
    fresh = by_field.with_cookie(None)

    by_field.request(signs_in("bob"))
    fresh.request(signs_in("eve"))

    assert by_field.get(whoami) == ("bob", {"user": "bob", "cart": ["tea"]})
    assert by_field.get(lambda session: session.require_fresh(1)) is None
    assert former.get(whoami) == (None, {})
    assert fresh.get(lambda session: session.user_id) == "eve"
    with suppress(NotSupported):
        assert by_field.engine.revoke_user("ada") == 0
        assert by_field.engine.revoke_user("bob") == 1
        assert by_field.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_it_counts_in_the_request_that_takes_over(by_field: Browser) -> None:
    """Nobody comes back by the old cookie."""
    old = by_field.engine.requests._adopters._by_name["old"]
    assert isinstance(old, OldFields)
    for name, handler, after in (
        ("one", signs_out, (None, {"n": 1})),
        ("two", Session.clear, (None, {})),
        ("three", signs_in("bob"), ("bob", {"user": "bob", "n": 1})),
    ):
        old.sessions[name] = Adopted({"user": name, "n": 1}, name)
        tab = by_field.with_cookie(None)
        tab.request(handler, cookie_header=f"old={name}")
        assert tab.get(whoami) == after
        old.sessions[name] = Adopted({"user": name, "n": 1}, name)
        assert by_field.with_cookie(None).get(whoami, cookie_header=f"old={name}") == (None, {})


@pytest.mark.requirement("66")
def test_a_login_of_ours_counts_more_than_fields(by_field: Browser) -> None:
    def both(session: Session) -> None:
        session["user"] = "bob"
        session.login("carol")

    def again(session: Session) -> None:
        session["user"] = "bob"
        session.login("ada")

    by_field.request(again)
    assert by_field.get(lambda session: session.user_id) == "ada"
    by_field.request(both)
    by_field.request(lambda session: session.update(user="dave"))

    assert by_field.get(lambda session: session.user_id) == "carol"


@pytest.mark.requirement("66")
@pytest.mark.parametrize("change", [signs_out, signs_in("bob")])
def test_behind_the_head_it_is_a_logout(by_field: Browser, change: Any) -> None:
    """No new cookie can be sent any more, and nobody may go on as who they are not."""
    former = by_field.twin()

    by_field.request(whoami, later=change)

    assert former.get(whoami) == (None, {})
    assert live_sessions(by_field.engine) == 0


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


@pytest.mark.requirement("64")
def test_it_begins_with_the_service_and_not_with_a_forged_cookie(
    protocol: Protocol, clock: FakeClock, old: OldSystem
) -> None:
    """Where no former session ever came in, nobody can open the door later."""
    store = MemoryStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[old], clock=clock))
    clock.advance(OldSystem.lifetime)

    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("26", "64")
def test_a_beginning_that_somebody_wrote_is_none(
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
def test_the_period_goes_on_after_a_rotation(protocol: Protocol, clock: FakeClock, old: OldSystem) -> None:
    """Its beginning is kept under the key in force; that of then may be revoked."""
    store, first, second = MemoryStore(), new_secret(), new_secret()
    SessionEngine(first, store, adopt=[old], clock=clock)
    SessionEngine([second, first], store, adopt=[old], clock=clock)

    browser = Browser(protocol, SessionEngine(second, store, adopt=[old], clock=clock))

    assert browser.get(whoami, cookie_header="old=ada") == ADA
