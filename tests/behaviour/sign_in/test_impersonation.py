"""Acting in another user's name: who really is there is known, for a short time, and cannot be forged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import FreshLoginRequired, ImpersonationError, SessionClosed
from fluidauth.events import SessionEvent
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import new_secret
from fluidauth.session.notes import Actor
from fluidauth.testing import FakeClock
from tests.handlers import current_user, fields
from tests.support import Browser, FlakyStore, Protocol, live_sessions, state_of

from .asking import refused


def arrive(session: Session) -> None:
    session.login("admin", {"cart": 1}, methods=("pwd",))


def act(session: Session) -> None:
    session.impersonate("ada", "ticket 7")


def who(session: Session) -> tuple[str | None, str | None]:
    return session.user_id, session.actor and session.actor.user_id


@pytest.fixture
def admin(browser: Browser) -> Browser:
    """Somebody who is signed in."""
    browser.request(arrive)
    return browser


@pytest.mark.requirement("79")
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda session: session.confirm(("otp",)), id="confirm"),
        pytest.param(lambda session: session.keep_only_this(), id="keep_only_this"),
        pytest.param(lambda session: session.require(300), id="require"),
        pytest.param(lambda session: session.require_real_user(), id="require_real_user"),
    ],
)
def test_what_needs_the_user_in_the_same_request(
    protocol: Protocol, full_store: Any, call: Callable[[Session], object]
) -> None:
    """From the call on, and not only from the next request on, nobody has authenticated as that user."""
    admin = Browser(protocol, SessionEngine(new_secret(), full_store))
    admin.request(arrive)
    _, own = admin.engine.create_session("ada")

    def handler(session: Session) -> None:
        session.impersonate("ada", "ticket 7")
        with pytest.raises(ImpersonationError):
            call(session)

    admin.request(handler)

    assert admin.get(lambda session: (who(session), session.methods)) == (("ada", "admin"), {})
    assert admin.engine.get_session(own.handle or "") is not None


@pytest.mark.requirement("79")
def test_the_session_says_who_acts(admin: Browser, clock: FakeClock) -> None:
    """For whom, why, and until when; with no field of the one who acts."""
    admin.request(act)

    begun = int(clock.now)
    assert admin.get(lambda s: (s.user_id, s.actor, dict(s))) == (
        "ada",
        Actor("admin", "ticket 7", begun, begun + 1800),
        {},
    )


@pytest.mark.requirement("79")
def test_the_way_back(admin: Browser) -> None:
    """The own session goes on as it was, under a new id, and that in the other's name has ended."""
    admin.request(act)
    admin.request(lambda session: session.update(note="of ada"))
    copied = admin.twin()

    admin.request(Session.end_impersonation)

    assert admin.get(lambda s: (who(s), dict(s), [*s.methods])) == (("admin", None), {"cart": 1}, ["pwd"])
    assert copied.get(who) == (None, None)
    assert live_sessions(admin.engine) == 1


@pytest.mark.requirement("79")
def test_it_ends_by_itself(admin: Browser, clock: FakeClock) -> None:
    """When its time is over the own session goes on, also for a request that only reads."""
    admin.request(lambda session: session.impersonate("ada", "ticket 7", lifetime=60))
    copied = admin.twin()
    clock.advance(59)
    assert admin.get(who) == ("ada", "admin")
    clock.advance(1)

    assert admin.get(lambda s: (who(s), dict(s))) == (("admin", None), {"cart": 1})

    assert admin.get(who) == ("admin", None)
    assert copied.get(who) == (None, None)
    assert live_sessions(admin.engine) == 1


@pytest.mark.requirement("79")
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda own: own.request(Session.logout), id="logout"),
        pytest.param(lambda own: own.engine.delete_session(own.get(lambda s: s.handle)), id="delete"),
    ],
)
def test_it_ends_with_the_own_session(admin: Browser, end: Any) -> None:
    """An administrator who is signed out elsewhere acts for nobody."""
    own = admin.twin()
    admin.request(act)

    end(own)

    assert admin.get(who) == (None, None)
    assert admin.get(fields) == {}


@pytest.mark.requirement("79")
def test_it_ends_with_the_actors_account(protocol: Protocol, full_store: Any) -> None:
    """All sessions of the administrator end, and what is done in others' names with them."""
    admin = Browser(protocol, SessionEngine(new_secret(), full_store))
    admin.request(arrive)
    admin.request(act)

    admin.engine.revoke_user("admin")

    assert admin.get(who) == (None, None)


@pytest.mark.requirement("79")
def test_it_ends_with_the_users_account(protocol: Protocol, full_store: Any) -> None:
    """All sessions of the user end, and this is one of them."""
    admin = Browser(protocol, SessionEngine(new_secret(), full_store))
    admin.request(arrive)
    admin.request(act)
    assert [info.user_id for info in admin.engine.list_sessions("ada")] == ["ada"]

    admin.engine.revoke_user("ada")

    assert admin.get(who) == (None, None)


@pytest.mark.requirement("79")
def test_a_logout_ends_both(admin: Browser) -> None:
    """Whoever leaves, leaves as oneself as well."""
    own = admin.twin()
    admin.request(act)

    admin.request(Session.logout)

    assert (admin.get(who), own.get(who)) == ((None, None), (None, None))
    assert live_sessions(admin.engine) == 0


@pytest.mark.requirement("79")
@pytest.mark.parametrize("user", ["ada", "admin", "bob"])
def test_a_login_ends_both(admin: Browser, user: str) -> None:
    """Whoever signs in really is that user, also the one in whose name this was."""
    own = admin.twin()
    admin.request(act)

    admin.request(lambda session: session.login(user))

    assert (admin.get(who), own.get(who)) == ((user, None), (None, None))
    assert live_sessions(admin.engine) == 1


@pytest.mark.requirement("79")
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(act, id="another time"),
        pytest.param(lambda session: session.impersonate("bob", "more"), id="for another user"),
        pytest.param(Session.confirm, id="a confirmation"),
        pytest.param(lambda session: session.require(within=300), id="a fresh login"),
        pytest.param(lambda session: session.require(method="pwd"), id="a method"),
        pytest.param(lambda session: session.require_fresh(300), id="a fresh login, by its name"),
        pytest.param(Session.require_real_user, id="the real user"),
        pytest.param(Session.keep_only_this, id="the end of the user's own sessions"),
    ],
)
def test_what_needs_the_user(admin: Browser, call: Any) -> None:
    """Nobody authenticated as the user, so what asks for that is refused with 403."""
    admin.request(act)

    assert refused(admin, call) is ImpersonationError
    assert admin.request(call).status == 403
    assert admin.get(who) == ("ada", "admin")


def test_what_does_not_need_the_user(admin: Browser) -> None:
    """A page for anybody who is signed in, and changes of fields."""
    admin.request(act)

    assert refused(admin, lambda session: session.require()) is None
    assert admin.get(lambda s: (s.auth_time, s.methods)) == (None, {})
    admin.request(Session.regenerate)
    assert admin.get(who) == ("ada", "admin")


@pytest.mark.requirement("79")
@pytest.mark.parametrize("name", ["acting", "actor", "_acting", "notes", "__notes__", "\0notes"])
def test_no_field_begins_it(admin: Browser, name: str) -> None:
    """An application that lets a user write fields gives nobody away."""
    acting = ["admin", "x", 0, 2**40, "0" * 64]

    admin.request(lambda session: session.update({name: acting, "user_id": "ada"}))

    assert admin.get(who) == ("admin", None)


@pytest.mark.requirement("79")
def test_only_a_user_can_act(browser: Browser) -> None:
    """A visitor cannot, and nobody can for themselves."""
    assert refused(browser, act) is FreshLoginRequired
    browser.request(arrive)
    with pytest.raises(ValueError, match="signed in already"):
        browser.request(lambda session: session.impersonate("admin", "x"))
    assert refused(browser, Session.end_impersonation) is ImpersonationError


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((7, "x"), TypeError),
        (("", "x"), ValueError),
        (("ada", ""), ValueError),
        (("ada", "  "), ValueError),
        (("ada", "x" * 201), ValueError),
        (("ada", 7), TypeError),
        (("ada", None), TypeError),
    ],
)
def test_it_needs_a_user_and_a_reason(protocol: Protocol, arguments: Any, error: type[Exception]) -> None:
    """They go into events."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore()))
    browser.request(arrive)

    with pytest.raises(error):
        browser.request(lambda session: session.impersonate(*arguments))
    assert browser.get(who) == ("admin", None)


@pytest.mark.requirement("79")
def test_nothing_of_the_request_is_lost(admin: Browser) -> None:
    """Changes that are not saved yet would be lost with the fields, so it says so."""

    def handler(session: Session) -> None:
        session["cart"] = 2
        session.impersonate("ada", "ticket 7")

    with pytest.raises(SessionClosed, match="save"):
        admin.request(handler)

    def saves(session: Session) -> None:
        session["cart"] = 3
        session.save()
        session.impersonate("ada", "ticket 7")

    async def asaves(session: Session) -> None:
        session["cart"] = 3
        await session.asave()
        session.impersonate("ada", "ticket 7")

    admin.request(saves if admin.protocol == "wsgi" else asaves)
    assert admin.get(who) == ("ada", "admin")
    admin.request(Session.end_impersonation)
    assert admin.get(fields) == {"cart": 3}


@pytest.mark.requirement("79")
def test_events_name_both(admin: Browser, events: list[SessionEvent]) -> None:
    """Each event of such a session that names its user names who acts as well."""
    events.clear()
    admin.request(act)
    admin.request(Session.regenerate)
    admin.request(Session.end_impersonation)
    admin.request(act)
    admin.request(Session.logout)

    told = [event for event in events if event.user_id == "ada"]
    assert {event.name for event in told} == {
        *("session_created", "impersonation_begun", "session_renewed"),
        *("impersonation_ended", "session_logout"),
    }
    assert {event.actor for event in told} == {"admin"}
    begun = next(event for event in told if event.name == "impersonation_begun")
    assert (begun.reason, begun.handle is not None) == ("ticket 7", True)


@pytest.mark.requirement("79")
def test_an_expiry_names_both(protocol: Protocol, clock: FakeClock, events: list[SessionEvent]) -> None:
    """Also the event of a session that idled out."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock, on_event=events.append)
    admin = Browser(protocol, engine)
    admin.request(arrive)
    admin.request(lambda session: session.impersonate("ada", "ticket 7", lifetime=86_000))
    clock.advance(3600)

    assert admin.get(who) == (None, None)

    (event,) = [event for event in events if event.name == "session_expired"]
    assert (event.user_id, event.actor) == ("ada", "admin")


@pytest.mark.requirement("79")
def test_the_own_session_does_not_idle_out(admin: Browser, clock: FakeClock) -> None:
    """Whoever works in another's name is not idle."""
    admin.request(lambda session: session.impersonate("ada", "ticket 7", lifetime=20_000))
    for _ in range(10):
        clock.advance(1800)
        assert admin.get(who) == ("ada", "admin")

    admin.request(Session.end_impersonation)

    assert admin.get(who) == ("admin", None)


@pytest.mark.requirement("79")
def test_a_slower_request_of_the_own_session(admin: Browser) -> None:
    """What it writes stays with its user."""
    own = admin.twin()

    def outer(session: Session) -> None:
        session["late"] = True
        admin.request(act)

    own.request(outer)

    assert admin.get(lambda s: (who(s), dict(s))) == (("ada", "admin"), {})
    admin.request(Session.end_impersonation)
    assert admin.get(fields) == {"cart": 1, "late": True}


@pytest.mark.requirement("79")
def test_the_own_session_ends_before_it_begins(admin: Browser) -> None:
    """A logout that was faster leaves nobody to act."""

    def outer(session: Session) -> None:
        session.impersonate("ada", "ticket 7")
        admin.twin().request(Session.logout)

    admin.request(outer)

    assert admin.get(who) == (None, None)
    assert live_sessions(admin.engine) == 0


@pytest.mark.requirement("79")
def test_outside_of_a_request(protocol: Protocol, clock: FakeClock) -> None:
    """The engine shows who acts, and opens nothing after its time."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)
    admin = Browser(protocol, engine)
    admin.request(arrive)
    admin.request(act)
    handle = admin.get(lambda session: session.handle)

    found = engine.get_session(handle)
    assert found is not None
    assert who(found) == ("ada", "admin")
    clock.advance(1800)
    assert engine.get_session(handle) is None


@pytest.mark.requirement("79")
def test_a_user_key_goes_with_it(protocol: Protocol) -> None:
    """The field by which the application knows the user names the other one, in the same type."""
    engine = SessionEngine(new_secret(), MemoryStore(), user_key="uid")
    admin = Browser(protocol, engine)
    admin.request(lambda session: session.update(uid=1, cart=2))

    admin.request(lambda session: session.impersonate("7", "ticket 7", data={"seen": True}))

    assert admin.get(lambda s: (who(s), dict(s))) == (("7", "1"), {"uid": 7, "seen": True})
    admin.request(lambda session: session.update(x=1))
    assert admin.get(who) == ("7", "1")
    admin.request(Session.end_impersonation)
    assert admin.get(lambda s: (who(s), dict(s))) == (("1", None), {"uid": 1, "cart": 2})
    admin.request(lambda session: session.impersonate("7", "ticket 7"))
    admin.request(lambda session: session.update(uid=8))
    assert admin.get(who) == ("8", None)
    assert live_sessions(engine) == 1


@pytest.mark.requirement("79")
def test_a_user_key_beside_sessions_of_before(protocol: Protocol) -> None:
    """It goes along also where former systems are asked for the user."""
    engine = SessionEngine(
        new_secret(), MemoryStore(), user_key=["uid"], adopt=[StarletteCookie(new_secret())]
    )
    admin = Browser(protocol, engine)
    admin.request(lambda session: session.update(uid="1"))

    admin.request(lambda session: session.impersonate("7", "ticket 7"))

    assert admin.get(fields) == {"uid": "7"}


@pytest.mark.requirement("79")
def test_a_login_by_a_field_in_the_same_name(protocol: Protocol) -> None:
    """The user has come: nobody acts for them any more, and the one who did is signed out."""
    engine = SessionEngine(new_secret(), MemoryStore(), user_key="uid")
    admin = Browser(protocol, engine)
    admin.request(lambda session: session.login("1"))
    admin.request(lambda session: session.impersonate("7", "ticket 7"))

    admin.request(lambda session: session.update(uid=7))

    assert admin.get(who) == ("7", None)
    assert admin.get(lambda session: session.auth_time is not None)
    assert live_sessions(engine) == 1


def test_the_way_back_and_forth_in_one_request(admin: Browser) -> None:
    """A wrong order has clear errors, and a right one works."""
    admin.request(act)

    def handler(session: Session) -> None:
        session.end_impersonation()
        assert who(session) == ("admin", None)
        session["cart"] = 5

    admin.request(handler)

    assert admin.get(lambda s: (who(s), dict(s))) == (("admin", None), {"cart": 5})


@pytest.mark.requirement("79")
@pytest.mark.parametrize("over", [False, True], ids=["called", "its time is over"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_logout_on_the_way_back(
    admin: Browser, clock: FakeClock, events: list[SessionEvent], over: bool, status: int
) -> None:
    """It ends both sessions, also for who has a copy of the own one's cookie."""
    copied = admin.twin()
    admin.request(act)

    def leave(session: Session) -> None:
        if not over:
            session.end_impersonation()
        session.logout()

    clock.advance(1800 if over else 0)
    admin.request(leave, status=status)

    assert admin.get(who) == copied.get(who) == (None, None)
    assert live_sessions(admin.engine) == 0
    assert [event.user_id for event in events if event.name == "impersonation_ended"] == ["ada"]


@pytest.mark.requirement("79")
@pytest.mark.parametrize("user_id", ["admin", "bob"])
def test_a_login_on_the_way_back(admin: Browser, events: list[SessionEvent], user_id: str) -> None:
    """The session in the other's name ends, whoever signs in."""
    admin.request(act)

    def comes(session: Session) -> None:
        session.end_impersonation()
        session.login(user_id)

    admin.request(comes)

    assert admin.get(who) == (user_id, None)
    assert live_sessions(admin.engine) == 1
    assert [event.actor for event in events if event.name == "impersonation_ended"] == ["admin"]


def test_a_failed_request_does_not_go_back(admin: Browser) -> None:
    """As any change: a 500 keeps what was."""
    admin.request(act)

    admin.request(Session.end_impersonation, status=500)

    assert admin.get(who) == ("ada", "admin")
    assert admin.get(lambda session: state_of(session).parent is not None)
    assert admin.get(current_user) == "ada"


@pytest.mark.requirement("79")
@pytest.mark.parametrize("call", ["get", "create", "update", "replace", "delete"])
def test_a_store_that_fails_on_the_way_back(protocol: Protocol, call: str) -> None:
    """The one who acts is signed in after it, there or back, and what was left opens nothing."""
    store = FlakyStore()
    admin = Browser(protocol, SessionEngine(new_secret(), store))
    admin.request(arrive)
    admin.request(act)
    copied = admin.twin()

    def fails(session: Session) -> None:
        session.end_impersonation()
        store.broken = {call}

    answer = admin.request(fails)
    store.broken = set()

    there = admin.get(who)
    assert there in {("admin", None), ("ada", "admin")}
    assert answer.status == 200 or call in {"get", "replace", "delete"}
    assert copied.get(who) == (there if there[1] else (None, None))
    if there[1]:
        admin.request(Session.end_impersonation)
    assert admin.get(lambda session: (who(session), dict(session))) == (("admin", None), {"cart": 1})
