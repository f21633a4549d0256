"""Names of a session: Django's on the session itself, the engine's by ``session_of``."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.test import override_settings

from fluidauth import ConfigError
from fluidauth.errors import FreshLoginRequired
from fluidauth.integrations.django import SessionStore, asession_of, get_engine, session_of
from fluidauth.testing import FakeClock
from tests.integrations.django.sites import MIDDLEWARE, Site, handle_in, put, sign_in, user


@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_session_has_djangos_names_alone(site: Site, middleware: str) -> None:
    """Whatever else is asked for, as by a template, is not there; ``session_of`` has it."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        site.ask(sign_in)
        names = site.ask(
            lambda request: [name for name in dir(request.session) if hasattr(request.session, name)]
        )

    known = {*dir(SessionBase()), *vars(DatabaseStore)}
    assert [name for name in names if name not in known and not name.startswith("_")] == []


def test_session_of_tells_what_the_engine_knows(site: Site) -> None:
    site.ask(put(n=1))
    anonymous = site.ask(facts)
    site.ask(sign_in)
    found = site.ask(facts)
    stored = get_engine().get_session(found["handle"])

    assert anonymous["user_id"] is None
    assert anonymous["auth_time"] is None
    assert anonymous["handle"] != found["handle"]
    assert stored is not None
    assert found == {name: getattr(stored, name) for name in FACTS}
    assert found["user_id"] == str(user().pk)


FACTS = ("user_id", "auth_time", "handle", "created_at", "expires_at")


def facts(request: Any) -> dict[str, Any]:
    return {name: getattr(session_of(request), name) for name in FACTS}


def test_session_of_knows_of_a_login_under_way(site: Site) -> None:
    def log_in(request: Any) -> list[Any]:
        sign_in(request)
        session_of(request).require_fresh(60)
        signed_in = session_of(request).user_id
        auth.logout(request)
        return [
            signed_in,
            session_of(request).user_id,
            session_of(request).auth_time,
            session_of(request).handle,
        ]

    assert site.ask(log_in) == [str(user().pk), None, None, None]


def test_session_of_asks_for_a_fresh_login(site: Site) -> None:
    site.ask(sign_in)
    site.ask(lambda request: session_of(request).require_fresh(60))
    now = get_engine().requests.now()
    get_engine().requests.clock = lambda: now + 61

    asked = site.ask(lambda request: [_raised(lambda: session_of(request).require_fresh(60))])

    assert asked == [["this needs a login within the last 60 seconds", 60]]


@pytest.mark.parametrize("middleware", ["ours"])
def test_a_login_that_is_too_old_is_a_401(site: Site, middleware: str) -> None:
    """A view need not catch it; signing in again, as Django does, or ``confirm()`` makes it fresh."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        site.ask(sign_in)
        clock = get_engine().requests
        for seconds, again in ((61, sign_in), (200, lambda request: session_of(request).confirm())):
            now = clock.now() + seconds
            clock.clock = FakeClock(now)
            former = site.ask(lambda request: session_of(request).handle)

            answer = site.get(lambda request: session_of(request).require_fresh(60))
            site.ask(again)

            assert answer.status_code == 401
            assert 'max_age="60"' in answer.headers["WWW-Authenticate"]
            site.ask(lambda request: session_of(request).require_fresh(60))
            assert site.ask(lambda request: session_of(request).auth_time) == now
            assert site.ask(lambda request: session_of(request).handle) != former


def test_confirm_is_for_who_is_signed_in(site: Site) -> None:
    site.ask(put(n=1))

    raised = site.ask(lambda request: [_raised(session_of(request).confirm)])

    assert raised == [["nobody is signed in, so there is nothing to confirm; log the user in first", None]]


def _raised(call: Any) -> list[Any]:
    with pytest.raises(FreshLoginRequired) as caught:
        call()
    return [str(caught.value), caught.value.max_age]


@pytest.mark.parametrize(
    "request_", [object(), SimpleNamespace(session={}), SimpleNamespace(session=DatabaseStore())]
)
def test_session_of_a_request_without_ours_is_refused(request_: Any) -> None:
    with pytest.raises(ConfigError, match="no session of fluidauth; set SESSION_ENGINE"):
        session_of(request_)
    with pytest.raises(ConfigError, match="no session of fluidauth; set SESSION_ENGINE"):
        asyncio.run(asession_of(request_))


def test_asession_of_reads_without_blocking() -> None:
    session = SessionStore()
    session["n"] = 1
    session.save()
    again = SimpleNamespace(session=SessionStore(session.session_key))

    assert asyncio.run(asession_of(again)).handle == handle_in(session)
