"""Login, regenerate and logout, and what becomes of fields on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fluidauth import CookieOptions, Lifetime, MemoryStore, PayloadError, Session, SessionEngine
from fluidauth.errors import FreshLoginRequired
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.handlers import current_user, deadline, fields, log_in, put, write
from tests.support import (
    Browser,
    Protocol,
)

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
def test_responses_other_than_500_are_saved(browser: Browser, status: int) -> None:
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
    anonymous = browser.request(lambda s: s.require_fresh(300)).status
    browser.request(log_in)
    browser.request(lambda s: s.require_fresh(300))
    clock.advance(301)
    browser.request(Session.regenerate)

    stale = browser.request(lambda s: s.require_fresh(timedelta(seconds=300))).status

    assert anonymous == stale == 401


# -- what reviewers of this library tried -----------------------------------------------------


@pytest.mark.requirement("4")
def test_a_logout_survives_a_reload(browser: Browser) -> None:
    """reload() drops changes, not a logout."""
    browser.request(write)
    stolen = browser.twin()

    def handler(session: Session) -> None:
        session.logout()
        session.reload()

    async def ahandler(session: Session) -> None:
        await session.aload()
        session.logout()
        await session.areload()

    browser.request(handler if browser.protocol == "wsgi" else ahandler)

    assert stolen.get(fields) == {}


@pytest.mark.requirement("4")
def test_a_logout_ends_every_session_presented(protocol: Protocol) -> None:
    """Two live sessions make a request anonymous, but a logout or login clears them away."""
    options = CookieOptions(former_names=("old",))
    engine = SessionEngine(secret=new_secret(), store=MemoryStore(), cookie=options)
    browser = Browser(protocol, engine)
    tokens = [engine.create_session(user)[0] for user in ("ada", "bob")]
    both = f"__Host-session={tokens[0]}; old={tokens[1]}"

    anonymous = browser.get(lambda session: session.user_id, cookie_header=both)
    response = browser.request(Session.logout, cookie_header=both)

    assert anonymous is None
    assert engine.revoke_all() == 0
    assert sorted(line.partition("=")[0] for line in response.set_cookies) == ["__Host-session", "old"]


@pytest.mark.parametrize(
    ("arguments", "options"), [(("bob", {"x": {1}}), {}), (("bob",), {"lifetime": 3_600})]
)
def test_a_login_with_bad_arguments_changes_nothing(browser: Browser, arguments: Any, options: Any) -> None:
    """The error comes at the call, and the user before stays signed in."""
    browser.request(lambda session: session.login("ada", {"a": 1}))

    def handler(session: Session) -> None:
        with pytest.raises((PayloadError, TypeError)):
            session.login(*arguments, **options)

    browser.request(handler)

    assert browser.get(lambda s: (s.user_id, dict(s))) == ("ada", {"a": 1})


# -- confirm ---------------------------------------------------------------------------------


@pytest.mark.requirement("3")
@pytest.mark.requirement("24")
def test_confirm_makes_the_login_fresh_under_a_new_id(browser: Browser, clock: FakeClock) -> None:
    """The copy of a cookie that a thief has is no fresher, nor opens anything."""
    browser.request(log_in)
    clock.advance(1000)
    former = browser.twin()

    def confirm(session: Session) -> None:
        session["seen"] = 1
        session.confirm()

    browser.request(confirm)

    assert browser.get(lambda session: session.require_fresh(10)) is None
    assert browser.get(lambda session: (session.user_id, session.auth_time)) == ("user-42", int(clock.now))
    assert browser.get(fields) == {"theme": "dark", "seen": 1}
    assert former.get(current_user) is None


@pytest.mark.requirement("8")
def test_confirm_keeps_the_lifetime_and_its_deadlines(browser: Browser, clock: FakeClock) -> None:
    """Where a second login() would make 24 hours of the 30 days of a remembered one."""
    month = 30 * 24 * 3600
    remembered = Lifetime(absolute=month, idle=None, persistent=True)
    browser.request(lambda session: session.login("user-42", lifetime=remembered))
    before = browser.get(deadline)
    clock.advance(3600)

    response = browser.request(Session.confirm)

    assert f"Max-Age={month - 3600}" in response.set_cookies[0]
    assert browser.get(deadline) == before
    clock.advance(month - 3601)
    assert browser.get(current_user) == "user-42"
    clock.advance(1)
    assert browser.get(current_user) is None


def test_confirm_beside_a_regenerate_holds(browser: Browser, clock: FakeClock) -> None:
    """Whoever renews the id first: the session goes on under it, and is fresh."""
    browser.request(log_in)
    clock.advance(1000)
    other = browser.twin()

    def late(session: Session) -> None:
        session.confirm()
        other.request(Session.regenerate)

    browser.request(late)

    assert other.get(lambda session: session.auth_time) == int(clock.now)


def test_confirm_after_a_login_of_the_same_request_changes_nothing(browser: Browser) -> None:
    def both(session: Session) -> None:
        session.login("user-42")
        session.confirm()

    response = browser.request(both)

    assert len(response.set_cookies) == 1
    assert browser.get(current_user) == "user-42"


@pytest.mark.parametrize("before", [lambda session: None, Session.logout])
def test_confirm_is_for_who_is_signed_in(browser: Browser, before: Any) -> None:
    browser.request(log_in if before is Session.logout else fields)

    def confirm(session: Session) -> Any:
        before(session)
        try:
            session.confirm()
        except FreshLoginRequired as error:
            return error.max_age, str(error)

    assert browser.get(confirm) == (
        None,
        "nobody is signed in, so there is nothing to confirm; log the user in first",
    )
