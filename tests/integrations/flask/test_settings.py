"""Settings of Flask and Quart, and sessions without an engine."""

from __future__ import annotations

from typing import Any

import flask
import pytest

from fluidauth import ConfigError, CookieOptions, MemoryStore
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock, memory_engine
from tests.integrations.flask.sites import FlaskSite, Site

# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"__Host-session", "path=/", "httponly", "samesite=lax", "secure"}),
        ({"SESSION_COOKIE_NAME": "sid"}, {"sid", "path=/", "httponly", "samesite=lax", "secure"}),
        (
            {"SESSION_COOKIE_DOMAIN": "localhost", "SESSION_COOKIE_SAMESITE": "Strict"},
            {
                "__Secure-session",
                "path=/",
                "httponly",
                "samesite=strict",
                "secure",
                "domain=localhost",
            },
        ),
        (
            {
                "SESSION_COOKIE_PATH": "/shop",
                "SESSION_COOKIE_HTTPONLY": False,
                "SESSION_COOKIE_PARTITIONED": True,
            },
            {"__Secure-session", "path=/shop", "samesite=lax", "secure", "partitioned"},
        ),
        (
            {"APPLICATION_ROOT": "/shop"},
            {"__Secure-session", "path=/shop", "httponly", "samesite=lax", "secure"},
        ),
    ],
)
def test_flask_settings_override_the_engine(
    site_type: Site, config: dict[str, Any], expected: set[str]
) -> None:
    site = site_type(memory_engine(cookie=CookieOptions()), **config)

    pair, *attributes = site.get(lambda session: [session.update(n=1)]).headers["Set-Cookie"].split("; ")

    assert {pair.partition("=")[0], *attributes} == expected


def test_settings_are_read_at_each_request(site: FlaskSite) -> None:
    site.ask(lambda session: session.update(n=1))
    site.app.config["SESSION_COOKIE_NAME"] = "other"

    assert site.ask(dict) == {}
    with pytest.raises(ConfigError, match="same_site"):
        site.app.config.update(SESSION_COOKIE_SAMESITE="loose")
        site.interface.begin(site.app, "")


def test_permanent(site_type: Site) -> None:
    """Not, and the cookie ends with the browser; permanent, and it says when."""
    site = site_type(memory_engine(absolute_timeout=60 * 86_400), PERMANENT_SESSION_LIFETIME=3_600)

    def set_it(session: Any, permanent: bool) -> bool:
        session["n"], session.permanent = 1, permanent
        return bool(session.permanent)

    def keep(permanent: bool) -> str:
        response = site.get(lambda session: [set_it(session, permanent)])
        assert site.value == [permanent]
        return str(response.headers.get("Set-Cookie"))

    lines = [keep(False), keep(False), keep(True), keep(True), keep(False)]

    assert ["Max-Age=3600" in line and "expires=" in line for line in lines] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert [line == "None" for line in lines] == [False, True, False, True, False]


@pytest.mark.requirement("20")
def test_permanent_alone_is_nothing_to_keep(site_type: Site) -> None:
    """Set before each request it makes no row and no cookie for whom the application knows nothing of."""
    engine = memory_engine(absolute_timeout=60 * 86_400)
    site = site_type(engine, PERMANENT_SESSION_LIFETIME=3_600)

    def visit(session: Any) -> bool:
        session.permanent = True
        return bool(session.permanent)

    def write(session: Any) -> bool:
        session["n"] = 1
        return visit(session)

    robot = site.get(visit).headers.get("Set-Cookie")
    rows = engine.requests.store.scan()
    writer = site.get(write).headers["Set-Cookie"]

    assert (robot, rows) == (None, [])
    assert "Max-Age=3600" in writer
    assert site.ask(dict) == {"_permanent": True, "n": 1}
    assert site.get(lambda session: session.pop("n")).status_code == 200
    assert site.ask(dict) == {"_permanent": True}


@pytest.mark.parametrize("refresh", [True, False])
def test_the_lifetime_of_a_permanent_session(site_type: Site, refresh: bool) -> None:
    """From the last request, or from the last change; the cookie keeps step."""
    clock = FakeClock()
    engine = memory_engine(clock=clock, absolute_timeout=60 * 86_400)
    site = site_type(engine, PERMANENT_SESSION_LIFETIME=3_600, SESSION_REFRESH_EACH_REQUEST=refresh)

    def sign_in(session: Any) -> None:
        session.permanent = True
        session.login("ada")

    site.ask(sign_in)
    clock.advance(3_000)
    cookie = site.get(lambda session: [session.user_id]).headers.get("Set-Cookie")
    clock.advance(700)
    after_reading = site.ask(lambda session: session.user_id)

    assert (after_reading, cookie is not None) == (("ada", True) if refresh else (None, False))

    site.ask(sign_in)
    clock.advance(3_000)
    cookie = site.get(lambda session: [session.update(n=1)]).headers.get("Set-Cookie")
    clock.advance(3_000)
    assert cookie is not None
    assert site.ask(lambda session: session.user_id) == "ada"


def test_an_engine_decides_where_nothing_is_set(site_type: Site) -> None:
    clock = FakeClock()
    site = site_type(memory_engine(clock=clock, idle_timeout=600))
    site.ask(lambda session: session.login("ada"))
    clock.advance(590)
    alive = site.ask(lambda session: session.user_id)
    clock.advance(600)

    assert (alive, site.ask(lambda session: session.user_id)) == ("ada", None)


# -- without an engine ---------------------------------------------------------------------------


def test_the_secret_key_of_the_application_serves(site_type: Site) -> None:
    """And a rotation by SECRET_KEY_FALLBACKS signs nobody out."""
    old, new = new_secret(), new_secret()
    site = site_type(store=MemoryStore(), SECRET_KEY=old)
    cookie = site.get(lambda session: [session.update(n=1)]).headers["Set-Cookie"]
    site.app.config.update(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old])
    found = site.ask(dict)
    site.app.config.update(SECRET_KEY_FALLBACKS=None)

    assert cookie.startswith("session=")
    assert found == {"n": 1}
    assert site.ask(dict) == {"n": 1}


def test_missing_secret_key_is_explained_by_flask(site_type: Site) -> None:
    def refused(session: Any) -> int:
        with pytest.raises(RuntimeError, match="secret key"):
            session["n"] = 1
        return len(session)

    assert site_type(store=MemoryStore()).ask(refused) == 0


def test_a_weak_key_is_refused_with_the_remedy(site_type: Site) -> None:
    site = site_type(store=MemoryStore(), SECRET_KEY="dev")

    with pytest.raises(ConfigError, match="new_secret"):
        site.interface.begin(site.app, "")
    with pytest.raises(ConfigError, match="not both"):
        site.interface_of(memory_engine(), MemoryStore())


def test_a_weak_key_is_all_that_the_log_tells(caplog: pytest.LogCaptureFixture) -> None:
    """The page of that error has no session either, and asks for none."""
    site = FlaskSite(store=MemoryStore(), SECRET_KEY="dev")

    answer = site.get(len)

    [told] = caplog.records
    assert answer.status_code == 500
    assert told.exc_info is not None
    assert str(told.exc_info[1]).startswith("SECRET_KEY has 3 characters")


# -- responses that were never saved ----------------------------------------------------------------


@pytest.mark.requirement("62")
def test_a_former_cookie_is_known_by_the_applications_own_name() -> None:
    """The line that changes logs nobody out, whatever the cookie is called."""
    secret = new_secret()
    former = flask.Flask(__name__)
    former.config.update(SECRET_KEY=secret, SESSION_COOKIE_NAME="shop", SESSION_COOKIE_PATH="/")
    signing = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(former)
    assert signing is not None
    site = FlaskSite(store=MemoryStore(), SECRET_KEY=secret, SESSION_COOKIE_NAME="shop")
    site.client.set_cookie("shop", signing.dumps({"_user_id": "ada"}))

    assert site.ask(lambda session: session.user_id) == "ada"
    assert site.ask(lambda session: session.user_id) == "ada"
