"""What an application sees, through WSGI and ASGI and on every kind of store."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from fluidauth import CookieOptions, Lifetime, PayloadError, Session, SessionEngine
from fluidauth.errors import FreshLoginRequired
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock

from .support import Browser, Protocol, apart, state_of


def log_in(session: Session) -> None:
    session.login("user-42", {"theme": "dark"})


def current_user(session: Session) -> str | None:
    return session.user_id


def fields(session: Session) -> dict[str, Any]:
    return dict(session)


def version(session: Session) -> int | None:
    """How often the stored session was written."""
    record = state_of(session).record
    return record.version if record else None


def deadline(session: Session) -> int | None:
    """When the session ends, whatever happens."""
    body = state_of(session).body
    return body.deadline if body else None


def put(**values: Any) -> Any:
    """Return a handler that sets *values*."""
    return lambda session: session.update(values)


# -- fields -----------------------------------------------------------------------------


def test_fields_survive_to_the_next_request(browser: Browser) -> None:
    """What one request sets, the next one reads."""
    browser.request(put(cart=[1, 2], name="Zoë"))

    assert browser.get(fields) == {"cart": [1, 2], "name": "Zoë"}


def test_a_change_deep_inside_a_value_is_saved(browser: Browser) -> None:
    """Nobody has to say that a nested value changed."""
    browser.request(put(cart={"items": [1]}))

    browser.request(lambda session: session["cart"]["items"].append(2))

    assert browser.get(fields) == {"cart": {"items": [1, 2]}}


def test_removed_fields_are_gone(browser: Browser) -> None:
    """del, pop and popitem are changes like any other."""
    browser.request(put(a=1, b=2, c=3, d=4))

    def remove(session: Session) -> None:
        del session["a"]
        session.pop("b")
        session.popitem()

    browser.request(remove)

    assert browser.get(fields) == {"c": 3}


def test_add_and_append_start_from_nothing(browser: Browser) -> None:
    """add counts from 0 and append fills an empty list."""

    def handler(session: Session) -> None:
        session.add("visits")
        session.add("total", 2.5)
        session.append("log", "x")
        session.append("log", "y")

    browser.request(handler)

    assert browser.get(fields) == {"visits": 1, "total": 2.5, "log": ["x", "y"]}


@pytest.mark.parametrize(
    "misuse",
    [
        lambda session: session.add("text"),
        lambda session: session.add("flag"),
        lambda session: session.add("n", "1"),
        lambda session: session.append("n", 1),
    ],
)
def test_add_and_append_refuse_other_types(browser: Browser, misuse: Any) -> None:
    """Adding to text or appending to a number is a mistake of the application."""
    browser.request(put(text="a", n=1, flag=True))

    response = browser.request(misuse, catch=True)

    assert isinstance(response.error, TypeError)


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: "x"}, "session['k'] has the key 1; keys must be text, as in JSON"),
        ([{"when": timedelta(1)}], "session['k'][0]['when'] is a timedelta, which is not a JSON value"),
        (b"x", "session['k'] is a bytes, which is not a JSON value"),
        ({1, 2}, "session['k'] is a set, which is not a JSON value"),
        (float("nan"), "session['k'] is nan, which JSON cannot express"),
        ("\ud800", "session['k'] has a lone surrogate, which UTF-8 cannot hold"),
    ],
)
def test_what_is_not_json_is_refused_with_its_path(browser: Browser, value: Any, message: str) -> None:
    """The error is raised at the assignment and names the value."""

    def handler(session: Session) -> None:
        with pytest.raises(PayloadError) as caught:
            session["k"] = value
        assert str(caught.value).startswith(message)

    browser.request(handler)

    assert browser.cookie is None


@pytest.mark.requirement("43")
def test_a_nested_value_that_is_not_json_fails_the_save(browser: Browser) -> None:
    """What was smuggled into a list is found at the save, and nothing is stored."""
    browser.request(put(log=[]))

    response = browser.request(lambda session: session["log"].append({1}), catch=True)

    assert isinstance(response.error, PayloadError)
    assert str(response.error).startswith("session['log'][0] is a set")
    assert browser.get(fields) == {"log": []}


@pytest.mark.requirement("43")
def test_a_payload_over_its_limit_is_refused(browser: Browser) -> None:
    """64 KiB is the limit; the session stays as it was."""
    browser.request(put(small=1))

    response = browser.request(put(large="x" * 65_536), catch=True)

    assert isinstance(response.error, PayloadError)
    assert browser.get(fields) == {"small": 1}


@pytest.mark.requirement("20")
def test_an_anonymous_visit_stores_nothing(browser: Browser) -> None:
    """Reading an empty session, or logging nobody out, makes neither row nor cookie."""
    responses = [browser.request(fields), browser.request(Session.logout), browser.request(Session.clear)]

    assert [response.set_cookies for response in responses] == [[], [], []]
    assert browser.engine.revoke_all() == 0


def test_an_equal_value_is_no_change(browser: Browser, clock: FakeClock) -> None:
    """Writing what is there already stores nothing new."""
    browser.request(put(theme="dark", cart=[1]))
    before = browser.get(version)

    browser.request(put(theme="dark", cart=[1]))

    assert browser.get(version) == before


def test_emptying_an_anonymous_session_ends_it(browser: Browser) -> None:
    """An anonymous visitor whose last field goes keeps no cookie and no row."""
    browser.request(put(draft="x"))

    response = browser.request(Session.clear)

    assert len(response.set_cookies) == 1
    assert browser.cookie is None
    assert browser.engine.revoke_all() == 0


def test_emptying_a_signed_in_session_keeps_it(browser: Browser) -> None:
    """clear() is no logout."""
    browser.request(log_in)

    browser.request(Session.clear)

    assert browser.get(lambda session: (session.user_id, dict(session))) == ("user-42", {})


def test_a_session_is_a_dict_to_json(browser: Browser) -> None:
    """json.dumps of a session not yet touched shows its fields."""
    browser.request(put(a=1))

    assert browser.get(json.dumps) == '{"a": 1}'


def test_save_and_reload_work_amid_a_handler(browser: Browser) -> None:
    """save() stores at once; reload() drops what was not saved."""

    def handler(session: Session) -> Any:
        session["a"] = 1
        session.save()
        stored = browser.engine.get_session(str(session.handle)) if browser.protocol == "wsgi" else None
        session["a"] = 2
        session.reload()
        return session["a"], dict(stored or {"a": 1})

    async def ahandler(session: Session) -> Any:
        await session.aload()
        session["a"] = 1
        await session.asave()
        stored = await browser.engine.aget_session(str(session.handle))
        session["a"] = 2
        await session.areload()
        return session["a"], dict(stored or {})

    value = browser.get(handler if browser.protocol == "wsgi" else ahandler)

    assert value == (1, {"a": 1})
    assert browser.get(fields) == {"a": 1}


# -- login, regenerate, logout ------------------------------------------------------------


def test_login_signs_in(browser: Browser, clock: FakeClock) -> None:
    """The session knows its user, and since when."""
    browser.request(log_in)

    seen = browser.get(lambda s: (s.user_id, s.is_authenticated, s.is_new, s.auth_time, dict(s)))

    assert seen == ("user-42", True, False, int(clock.now), {"theme": "dark"})


def test_a_login_is_visible_at_once(browser: Browser, clock: FakeClock) -> None:
    """The handler that signs in sees the user before anything is stored."""

    def handler(session: Session) -> Any:
        session.login("user-42")
        return session.user_id, session.auth_time, session.handle

    assert browser.get(handler) == ("user-42", int(clock.now), None)


def test_login_keeps_what_the_visitor_gathered(browser: Browser) -> None:
    """An anonymous cart is still there after the login."""
    browser.request(put(cart=[1]))

    browser.request(log_in)

    assert browser.get(fields) == {"cart": [1], "theme": "dark"}


def test_login_of_another_user_keeps_nothing(browser: Browser) -> None:
    """No field of one user reaches the next one, even where both set the same value."""
    browser.request(lambda session: session.login("ada", {"theme": "dark", "mail": "a@example"}))

    browser.request(lambda session: session.login("bob", {"theme": "dark"}))

    assert browser.get(lambda s: (s.user_id, dict(s))) == ("bob", {"theme": "dark"})


@pytest.mark.requirement("3")
@pytest.mark.parametrize("renew", [log_in, Session.regenerate], ids=["login", "regenerate"])
def test_a_new_id_ends_the_old_one(browser: Browser, renew: Any) -> None:
    """A copy of the cookie taken before a login or regenerate opens nothing."""
    browser.request(put(draft="x"))
    stolen = browser.twin()

    browser.request(renew)

    assert stolen.get(fields) == {}
    assert browser.cookie != stolen.cookie
    assert browser.get(fields)["draft"] == "x"


def test_regenerate_keeps_user_and_deadline(browser: Browser, clock: FakeClock) -> None:
    """A new id is no new login."""
    browser.request(log_in)
    before = browser.get(lambda s: (s.user_id, s.auth_time, s.created_at, deadline(s)))
    clock.advance(600)

    browser.request(Session.regenerate)

    after = browser.get(lambda s: (s.user_id, s.auth_time, s.created_at, deadline(s)))
    assert after == before


@pytest.mark.requirement("4")
def test_logout_is_final(browser: Browser) -> None:
    """The record is gone and the cookie cleared; a copy of it opens nothing."""
    browser.request(log_in)
    stolen = browser.twin()

    response = browser.request(Session.logout)

    assert "Max-Age=0" in response.set_cookies[0]
    assert stolen.get(current_user) is None
    assert browser.engine.revoke_all() == 0


@pytest.mark.requirement("4")
def test_logout_holds_when_the_handler_fails(browser: Browser) -> None:
    """An exception after logout() does not sign the user in again, and drops all else."""
    browser.request(log_in)
    stolen = browser.twin()

    def handler(session: Session) -> None:
        session.logout()
        session["later"] = 1
        raise RuntimeError("handler")

    response = browser.request(handler, catch=True)

    assert isinstance(response.error, RuntimeError)
    assert stolen.get(current_user) is None
    assert browser.engine.revoke_all() == 0


def test_a_write_after_logout_starts_a_fresh_session(browser: Browser) -> None:
    """A flash message after the logout lives in a session of its own."""
    browser.request(log_in)
    old = browser.twin()

    def handler(session: Session) -> None:
        session.destroy()
        session["flash"] = "bye"

    browser.request(handler)

    assert browser.get(lambda s: (s.user_id, dict(s))) == (None, {"flash": "bye"})
    assert old.get(fields) == {}


@pytest.mark.parametrize("status", [500, 503])
def test_a_response_of_500_keeps_nothing(browser: Browser, status: int) -> None:
    """A request that failed changes nothing, whatever its framework made of the error."""
    browser.request(put(a=1))

    browser.request(put(a=2), status=status)

    assert browser.get(fields) == {"a": 1}


@pytest.mark.parametrize("status", [204, 302, 404])
def test_other_responses_are_saved(browser: Browser, status: int) -> None:
    """Redirects and refusals are answers like any other."""
    browser.request(put(a=1), status=status)

    assert browser.get(fields) == {"a": 1}


@pytest.mark.parametrize("user_id", [42, None, b"user"])
def test_a_user_id_is_text(browser: Browser, user_id: Any) -> None:
    """Anything else is a mistake, with its remedy in the message."""

    def handler(session: Session) -> None:
        with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
            session.login(user_id)

    response = browser.request(handler)

    assert response.set_cookies == []


@pytest.mark.requirement("24")
def test_require_fresh_asks_for_a_recent_login(browser: Browser, clock: FakeClock) -> None:
    """The age of the login counts, not that of the session or its id."""
    browser.request(put(a=1))
    anonymous = browser.request(lambda s: s.require_fresh(300), catch=True).error
    browser.request(log_in)
    browser.request(lambda s: s.require_fresh(300))
    clock.advance(301)
    browser.request(Session.regenerate)

    stale = browser.request(lambda s: s.require_fresh(timedelta(seconds=300)), catch=True).error

    assert isinstance(anonymous, FreshLoginRequired)
    assert isinstance(stale, FreshLoginRequired)


# -- lifetimes --------------------------------------------------------------------------


@pytest.mark.requirement("7")
def test_an_idle_session_ends(browser: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
    """After an hour without a request the session is gone, whatever the store still holds."""
    browser.request(log_in)
    clock.advance(3_600)

    response = browser.request(current_user)

    assert response.value is None
    assert response.set_cookies == []
    assert [event.name for event in events if event.name == "session_expired"] == ["session_expired"]


@pytest.mark.requirement("7", "9")
def test_use_keeps_a_session_alive(browser: Browser, clock: FakeClock) -> None:
    """Requests within the idle timeout prolong the session, without a cookie."""
    browser.request(log_in)
    responses = []
    for _ in range(5):
        clock.advance(3_500)
        responses.append(browser.request(current_user))

    assert [response.value for response in responses] == ["user-42"] * 5
    assert [response.set_cookies for response in responses] == [[]] * 5


def test_a_touch_is_written_seldom(browser: Browser, clock: FakeClock) -> None:
    """Only a twentieth of the idle timeout makes a request worth a write."""
    browser.request(log_in)
    first = browser.get(lambda session: session.expires_at)
    clock.advance(179)
    early = browser.get(lambda session: session.expires_at)
    clock.advance(1)
    browser.request(current_user)

    late = browser.get(lambda session: session.expires_at)

    assert (early - first, late - first) == (0, 180)


@pytest.mark.requirement("8")
def test_no_use_outlives_the_absolute_timeout(browser: Browser, clock: FakeClock) -> None:
    """After a day the session ends, though it was used every half hour and changed its id."""
    browser.request(log_in)
    for turn in range(47):
        clock.advance(1_800)
        browser.request(Session.regenerate if turn % 2 else put(turn=turn))
    last = browser.get(current_user)
    clock.advance(1_800)

    assert last == "user-42"
    assert browser.get(current_user) is None


@pytest.mark.requirement("8")
def test_a_new_login_begins_a_new_day(browser: Browser, clock: FakeClock) -> None:
    """Only signing in again moves the absolute deadline."""
    browser.request(log_in)
    clock.advance(3_000)

    browser.request(log_in)

    assert browser.get(deadline) == int(clock.now) + 86_400


def test_a_lifetime_of_its_own(browser: Browser, clock: FakeClock) -> None:
    """Remember me: thirty days, no idle timeout, a cookie that survives the browser's end."""
    lifetime = Lifetime(absolute=timedelta(days=30), idle=None, persistent=True)
    response = browser.request(lambda session: session.login("user-42", lifetime=lifetime))
    clock.advance(29 * 86_400)
    alive = browser.get(current_user)
    clock.advance(86_400)

    assert "Max-Age=2592000" in response.set_cookies[0]
    assert (alive, browser.get(current_user)) == ("user-42", None)


def test_a_lifetime_may_end_with_the_browser(browser: Browser) -> None:
    """A session that is not persistent has a cookie without Max-Age."""
    lifetime = Lifetime(absolute=3_600, persistent=False)

    response = browser.request(lambda session: session.login("user-42", lifetime=lifetime))

    assert "Max-Age" not in response.set_cookies[0]


def test_a_lifetime_may_change_later(browser: Browser, clock: FakeClock) -> None:
    """Longer idle, and a cookie that ends with the browser, in the same session."""
    browser.request(log_in)
    before = browser.get(lambda session: session.handle)
    lifetime = Lifetime(absolute=timedelta(days=1), idle=7_200, persistent=False)

    response = browser.request(lambda session: session.set_lifetime(lifetime))
    clock.advance(7_100)

    assert "Max-Age" not in response.set_cookies[0]
    assert browser.get(lambda session: (session.user_id, session.handle)) == ("user-42", before)
    clock.advance(7_200)
    assert browser.get(current_user) is None


def test_a_shorter_idle_timeout_holds_at_once(browser: Browser, clock: FakeClock) -> None:
    """Also where the expiry that is stored lies later already; the time counts from each use."""
    browser.request(log_in)
    browser.request(lambda session: session.set_lifetime(Lifetime(absolute=86_400, idle=300)))
    clock.advance(290)
    alive = browser.get(current_user)
    clock.advance(290)
    again = browser.get(current_user)
    clock.advance(300)

    assert (alive, again, browser.get(current_user)) == ("user-42", "user-42", None)


@pytest.mark.requirement("8")
@pytest.mark.parametrize("idle", [None, 600, 86_400 * 30])
def test_a_lifetime_may_not_outlast_the_login(browser: Browser, clock: FakeClock, idle: int | None) -> None:
    """A change counts from now, up to the engine's absolute timeout after the login."""
    browser.request(log_in)
    last = browser.get(deadline)
    clock.advance(600)

    browser.request(lambda session: session.set_lifetime(Lifetime(timedelta(days=30), idle)))
    longest = browser.get(deadline)
    browser.request(lambda session: session.set_lifetime(Lifetime(60)))
    clock.advance(60)

    assert longest == last
    assert browser.get(current_user) is None


def test_a_lifetime_of_a_session_that_begins(browser: Browser, clock: FakeClock) -> None:
    """Before a login, after it, and without one."""

    def begin(session: Session) -> None:
        session.set_lifetime(Lifetime(60))
        session["cart"] = []

    assert "Max-Age=60;" in browser.request(begin).set_cookies[0]

    def sign_in(session: Session) -> None:
        session.login("user-42", lifetime=Lifetime(600))
        session.set_lifetime(Lifetime(90))

    assert "Max-Age=90;" in browser.request(sign_in).set_cookies[0]
    with pytest.raises(TypeError, match="Lifetime"):
        browser.request(lambda session: session.set_lifetime(60))  # type: ignore[arg-type]  # the mistake


def test_a_cookie_shorter_than_its_session_moves_with_it(
    store: Any, protocol: Protocol, clock: FakeClock
) -> None:
    """Who is active keeps the cookie, by reading or by writing, until the absolute deadline."""
    options = CookieOptions(max_age=3_600)
    browser = Browser(protocol, SessionEngine(new_secret(), store, cookie=options, clock=clock))
    browser.request(log_in)
    cookies: list[list[str]] = []
    for step in (10, 600, 10, 600):
        clock.advance(step)
        handler = current_user if step == 10 or len(cookies) < 2 else put(step=step)
        cookies.append(browser.request(handler).set_cookies)

    assert [len(lines) for lines in cookies] == [0, 1, 0, 1]
    assert "Max-Age=3600;" in cookies[1][0]


def test_a_slow_response_brings_no_old_cookie_back(store: Any, protocol: Protocol, clock: FakeClock) -> None:
    """A login beside it replaced the id while it ran: its cookie does not move any more."""
    options = CookieOptions(max_age=3_600)
    browser = Browser(protocol, SessionEngine(new_secret(), store, cookie=options, clock=clock))
    browser.request(log_in)
    clock.advance(600)
    tab = browser.twin()

    def read_while_the_other_signs_in(session: Session) -> None:
        assert session.user_id
        apart(browser.request, log_in)

    assert tab.request(read_while_the_other_signs_in).set_cookies == []


@pytest.mark.requirement("56")
def test_a_clock_that_jumped_costs_no_session(
    browser: Browser, clock: FakeClock, events: list[SessionEvent]
) -> None:
    """While the clock is ahead sessions are refused; set right again, they work."""
    browser.request(log_in)
    clock.advance(5_400)
    ahead = browser.get(current_user)
    clock.advance(-5_400 - 3_600)
    behind = browser.get(current_user)
    clock.advance(3_600)

    assert (ahead, behind) == (None, None)
    assert browser.get(current_user) == "user-42"
    assert "clock_skew" in [event.name for event in events]


def test_small_differences_between_clocks_are_tolerated(browser: Browser, clock: FakeClock) -> None:
    """Another server's clock may be behind by up to a minute."""
    browser.request(log_in)
    clock.advance(-59)

    assert browser.get(current_user) == "user-42"


# -- identity ---------------------------------------------------------------------------


def test_handle_names_the_session_and_opens_nothing(browser: Browser, engine: SessionEngine) -> None:
    """A handle is stable, is not part of the cookie, and is not accepted as one."""
    browser.request(log_in)
    handle = browser.get(lambda session: session.handle)

    thief = browser.with_cookie(handle)

    assert len(handle) == 64
    assert handle not in (browser.cookie or "")
    assert thief.get(current_user) is None


@pytest.mark.requirement("59")
def test_repr_shows_names_only(browser: Browser) -> None:
    """A session in a log or traceback shows neither values nor its id."""
    browser.request(lambda session: session.login("user-42", {"mail": "secret@example"}))
    shown = browser.get(lambda session: (repr(session), session.keys(), repr(session)))

    assert shown[0] == "<Session, not loaded>"
    assert shown[2] == "<Session 'user-42' fields=['mail']>"


@pytest.mark.requirement("2")
def test_an_id_without_a_record_is_never_adopted(browser: Browser, engine: SessionEngine) -> None:
    """A genuine cookie whose session is gone gets a fresh id at the next write."""
    browser.request(put(a=1))
    planted = browser.twin()
    engine.revoke_all()

    planted.request(put(b=2))

    assert planted.cookie is not None
    assert planted.cookie[9:41] != (browser.cookie or "")[9:41]
    assert planted.get(fields) == {"b": 2}
