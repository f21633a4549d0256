"""What counts as activity: a page that polls does not keep its session alive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fluidauth import Lifetime, Session, SessionEngine
from fluidauth.errors import ConfigError
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.handlers import current_user, fields, log_in
from tests.support import Browser, Protocol

from .asking import awaited

IDLE = 600
POLL = {"Session-Activity": "none"}


@pytest.fixture
def engine(store: Any, clock: FakeClock) -> Iterator[SessionEngine]:
    engine = SessionEngine(
        new_secret(),
        store,
        clock=clock,
        idle_timeout=IDLE,
        counts_as_activity=lambda request: request.path != "/poll" and not request.header("X-Quiet"),
        status_path="/status",
    )
    yield engine
    engine.close()


def quiet(session: Session) -> str | None:
    session.counts_as_activity = False
    return session.user_id


def quiet_and_read_again(session: Session) -> str | None:
    session.counts_as_activity = False
    session.reload()
    return session.user_id


async def aquiet_and_read_again(session: Session) -> str | None:
    session.counts_as_activity = False
    await session.areload()
    return session.user_id


QUIET = [
    pytest.param({"sent": POLL}, current_user, id="by header"),
    pytest.param({"path": "/poll"}, current_user, id="by path"),
    pytest.param({"sent": {"X-Quiet": "1"}}, current_user, id="by another header"),
    pytest.param({}, quiet, id="by call"),
    pytest.param({"path": "/status"}, current_user, id="asking how long it lasts"),
]


@pytest.mark.requirement("76")
@pytest.mark.parametrize(("request_", "handler"), QUIET)
def test_a_poll_does_not_prolong(browser: Browser, clock: FakeClock, request_: Any, handler: Any) -> None:
    """However often it comes, the session ends when its user has been idle for long enough."""
    browser.request(log_in)
    for _ in range(5):
        clock.advance(IDLE / 5 - 1)
        browser.request(handler, **request_)
        assert browser.twin().get(current_user, sent=POLL) == "user-42"

    clock.advance(5)

    assert browser.get(current_user) is None


@pytest.mark.requirement("76")
def test_reading_again_does_not_prolong(browser: Browser, clock: FakeClock) -> None:
    """What the request has said of itself still holds."""
    browser.request(log_in)
    clock.advance(IDLE - 100)

    browser.request(quiet_and_read_again if browser.protocol == "wsgi" else aquiet_and_read_again)
    clock.advance(100)

    assert browser.get(current_user) is None


@pytest.mark.requirement("76")
def test_a_use_prolongs(browser: Browser, clock: FakeClock) -> None:
    """The same number of genuine requests keeps it alive."""
    browser.request(log_in)
    for _ in range(20):
        clock.advance(IDLE / 2)
        assert browser.get(current_user) == "user-42"


@pytest.mark.requirement("76")
@pytest.mark.parametrize("change", [lambda s: s.update(a=1), Session.regenerate], ids=["write", "regenerate"])
def test_a_poll_that_writes_does_not_prolong(browser: Browser, clock: FakeClock, change: Any) -> None:
    """Its changes are saved, but they are no activity."""
    browser.request(log_in)
    clock.advance(IDLE - 100)

    browser.request(change, sent=POLL)
    clock.advance(99)
    assert browser.get(current_user, sent=POLL) == "user-42"
    clock.advance(1)

    assert browser.get(fields) == {}


@pytest.mark.requirement("76")
@pytest.mark.parametrize("sent", [POLL, {}], ids=["a poll", "a use"])
@pytest.mark.parametrize("what", ["value", "messages"])
def test_what_is_taken_at_once(browser: Browser, clock: FakeClock, sent: dict[str, str], what: str) -> None:
    """A poll that shows messages, or redeems a value, is no activity either."""

    def prepare(session: Session) -> str:
        session.login("user-42")
        session.flash("hello")
        return session.issue("p")

    value = browser.get(prepare)
    clock.advance(IDLE - 100)
    if what == "value":
        call = awaited(browser, lambda s: s.redeem("p", value), lambda s: s.aredeem("p", value))
    else:
        call = awaited(browser, Session.take_flashes, lambda s: s.atake_flashes())

    browser.request(call, sent=sent)
    clock.advance(100)

    assert browser.get(current_user) == (None if sent else "user-42")


@pytest.mark.requirement("76")
def test_a_login_is_activity(browser: Browser, clock: FakeClock) -> None:
    """Whatever the request says of itself."""
    browser.request(log_in, sent=POLL)
    clock.advance(IDLE - 1)

    assert browser.get(current_user) == "user-42"


@pytest.mark.requirement("76")
def test_an_expired_session_is_not_extended(browser: Browser, clock: FakeClock) -> None:
    """Neither by a poll nor by the wish to stay: it has ended."""
    browser.request(log_in)
    clock.advance(IDLE)

    assert status(browser, "POST") == {"signed_in": False, "expires_in": None, "ends_in": None}
    assert browser.get(current_user) is None


def status(browser: Browser, method: str = "GET") -> Any:
    response = browser.request(current_user, path="/status", method=method)
    assert (response.status, response.all("content-type")) == (200, ["application/json"])
    assert response.all("cache-control") == ["no-store"]
    return json.loads(response.body)


@pytest.mark.requirement("76")
def test_the_status_says_how_long_it_lasts(browser: Browser, clock: FakeClock) -> None:
    """To the end that is next, and to the one that nothing moves; a POST stays."""
    browser.request(log_in)
    clock.advance(IDLE - 60)
    assert status(browser) == {"signed_in": True, "expires_in": 60, "ends_in": 86_400 - IDLE + 60}
    clock.advance(10)

    assert status(browser, "POST")["expires_in"] == IDLE
    assert status(browser)["expires_in"] == IDLE


@pytest.mark.requirement("76")
@pytest.mark.parametrize(
    "lasting",
    [Lifetime(absolute=1000, idle=IDLE), Lifetime(absolute=1000, idle=None)],
    ids=["idle", "not idle"],
)
def test_no_call_extends_it_beyond_its_end(browser: Browser, clock: FakeClock, lasting: Lifetime) -> None:
    """A handler that runs for long learns from ``extend()`` that the absolute deadline has passed."""
    browser.request(lambda session: session.login("user-42", lifetime=lasting))

    assert answers(browser, clock, 400, 300, 299, 1) == [True, True, True, False]


@pytest.mark.requirement("79")
def test_no_call_extends_acting_for_another(browser: Browser, clock: FakeClock) -> None:
    """It ends with the own session, also while a handler runs."""
    browser.request(log_in)
    own = browser.get(lambda session: session.handle)
    browser.request(lambda session: session.impersonate("ada", "ticket 7"))

    def handler(session: Session) -> bool:
        assert session.user_id == "ada"
        browser.engine.delete_session(own)
        clock.advance(400)
        return session.extend()

    async def ahandler(session: Session) -> bool:
        assert session.user_id == "ada"
        await browser.engine.adelete_session(own)
        clock.advance(400)
        return await session.aextend()

    assert browser.get(awaited(browser, handler, ahandler)) is False


@pytest.mark.requirement("79")
def test_acting_ends_while_a_handler_runs(browser: Browser, clock: FakeClock) -> None:
    """At its time, which ``extend()`` tells."""
    browser.request(log_in)
    browser.request(lambda session: session.impersonate("ada", "ticket 7", lifetime=900))

    assert answers(browser, clock, 400, 499, 1) == [True, True, False]


def answers(browser: Browser, clock: FakeClock, *steps: int) -> list[bool]:
    """Return what ``extend()`` says in one request after each of *steps*, in seconds."""

    def handler(session: Session) -> list[bool]:
        assert session.user_id is not None
        said = []
        for step in steps:
            clock.advance(step)
            said.append(session.extend())
        return said

    async def ahandler(session: Session) -> list[bool]:
        assert session.user_id is not None
        said = []
        for step in steps:
            clock.advance(step)
            said.append(await session.aextend())
        return said

    found: list[bool] = browser.get(awaited(browser, handler, ahandler))
    return found


def test_the_status_of_a_visitor(browser: Browser) -> None:
    """Nobody is signed in, and nothing is stored for the question."""
    assert status(browser) == {"signed_in": False, "expires_in": None, "ends_in": None}
    assert browser.cookie is None


def test_the_script_is_beside_it(browser: Browser) -> None:
    """It may be cached, and uses no session. Other methods are refused."""
    response = browser.request(current_user, path="/status.js")

    assert response.all("content-type") == ["text/javascript; charset=utf-8"]
    assert b"Session-Activity" in response.body
    assert response.all("vary") == response.all("set-cookie") == []
    assert browser.request(current_user, path="/status", method="PUT").status == 405
    assert browser.request(current_user, path="/status/more").body == b"body"


def test_only_its_head(browser: Browser) -> None:
    """Says as much as the whole, without a body."""
    whole, head = (browser.request(current_user, path="/status.js", method=each) for each in ("GET", "HEAD"))

    assert head.all("content-length") == whole.all("content-length") == [str(len(whole.body))]
    assert head.body == b""


def test_it_is_off_by_default(protocol: Protocol, full_store: Any) -> None:
    """The path is the application's."""
    browser = Browser(protocol, SessionEngine(new_secret(), full_store))

    assert browser.request(current_user, path="/status").body == b"body"


@pytest.mark.parametrize("path", ["status", "//evil.test", "", 7, "https://a.test/"])
def test_the_path_is_one_of_this_site(path: Any) -> None:
    """For the status and for the page of sign-in."""
    for name in ("status_path", "login_url"):
        with pytest.raises(ConfigError, match=name):
            SessionEngine(new_secret(), "memory://", **{name: path})
