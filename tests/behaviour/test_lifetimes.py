"""How long a session lasts: idle and absolute timeouts, lifetimes of its own, clocks that jump."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fluidauth import CookieOptions, Lifetime, Session, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.handlers import current_user, deadline, log_in, put
from tests.support import Browser, Protocol, apart


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
