"""One application moved between Starlette, Flask and Django: one cookie, one session in all three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from django.test import Client, override_settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import CookieOptions, Session, SessionEngine, SQLiteStore
from fluidauth.integrations.django import session_of as django_session_of
from fluidauth.integrations.flask import FluidAuthSessionInterface
from fluidauth.integrations.flask import session as flask_session
from fluidauth.integrations.starlette import SessionMiddleware, session_of
from fluidauth.keys import new_secret

from .django_site import handlers

Handler = Callable[[Any], Any]
Ask = Callable[[str, Handler], tuple[Any, str]]
"""Takes a cookie and what to do with the session; returns the result, and the cookie from then on."""


@contextmanager
def starlette(engine: SessionEngine) -> Iterator[Ask]:
    def ask(cookie: str, handler: Handler) -> tuple[Any, str]:
        async def page(request: Request) -> JSONResponse:
            return JSONResponse(handler(session_of(request)))

        app = Starlette(routes=[Route("/", page)], middleware=[Middleware(SessionMiddleware, engine=engine)])
        client = TestClient(app, cookies={"sid": cookie} if cookie else {})
        return client.get("/").json(), client.cookies.get("sid") or ""

    yield ask


@contextmanager
def in_flask(engine: SessionEngine) -> Iterator[Ask]:
    def ask(cookie: str, handler: Handler) -> tuple[Any, str]:
        app = flask.Flask(__name__)
        app.session_interface = FluidAuthSessionInterface(engine)
        app.add_url_rule("/", view_func=lambda: flask.jsonify(handler(flask_session)))
        client = app.test_client()
        if cookie:
            client.set_cookie("sid", cookie)
        answer = client.get("/").json
        left = client.get_cookie("sid")
        return answer, left.value if left else ""

    yield ask


@contextmanager
def in_django(engine: SessionEngine) -> Iterator[Ask]:
    def ask(cookie: str, handler: Handler) -> tuple[Any, str]:
        client = Client()
        if cookie:
            client.cookies["sid"] = cookie
        handlers.append(lambda request: handler(request.session))
        answer = client.get("/").json()["value"]
        handlers.pop()
        return answer, client.cookies["sid"].value if "sid" in client.cookies else ""

    options = {"store": engine.requests.store, "secret": engine.policy.keyring}
    with override_settings(FLUIDAUTH=options, SESSION_COOKIE_NAME="sid"):
        yield ask


FRAMEWORKS = {"Starlette": starlette, "Flask": in_flask, "Django": in_django}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SessionEngine]:
    store = SQLiteStore(tmp_path / "sessions.db")
    engine = SessionEngine(new_secret(), store, cookie=CookieOptions("sid", secure=False))
    yield engine
    engine.close()


def known(session: Any) -> Any:
    """Return what tells who is signed in to *session*."""
    return session if hasattr(session, "user_id") else django_session_of(SimpleNamespace(session=session))


def fields_of(session: Any) -> dict[str, Any]:
    return {name: value for name, value in session.items() if name != "_permanent"}


@pytest.mark.parametrize("order", list(permutations(FRAMEWORKS)), ids="-".join)
def test_the_same_cookie_is_the_same_session(order: tuple[str, ...], engine: SessionEngine) -> None:
    """Whichever of them began it, and whoever changes it next; nothing is lost on the way and back."""

    def visit(name: str) -> Handler:
        def change(session: Any) -> None:
            session["visits"] = [*session.get("visits", []), name]

        return change

    cookie, handles = "", set()
    for name in (*order, *order):
        with FRAMEWORKS[name](engine) as ask:
            _, cookie = ask(cookie, visit(name))
            seen, cookie = ask(cookie, fields_of)
            handle, cookie = ask(cookie, lambda session: known(session).handle)
            handles.add(handle)

    assert seen == {"visits": [*order, *order]}
    assert len(handles) == 1


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_login_and_logout_in_one_framework_hold_in_all(name: str, engine: SessionEngine) -> None:
    """By ``login`` of ours, by Django's field, and by ``logout`` or ``flush``."""

    def sign_in(session: Any) -> None:
        if hasattr(session, "login"):
            session.login("7", {"_auth_user_id": "7"})
        else:
            session["_auth_user_id"] = "7"

    def sign_out(session: Any) -> None:
        if isinstance(session, Session) or hasattr(session, "logout"):
            session.logout()
        else:
            session.flush()

    with FRAMEWORKS[name](engine) as ask:
        _, cookie = ask("", sign_in)
    for other in FRAMEWORKS.values():
        with other(engine) as ask:
            user, after = ask(cookie, lambda session: known(session).user_id)
            assert (user, after) == ("7", cookie)
    with FRAMEWORKS[name](engine) as ask:
        ask(cookie, sign_out)
    for other in FRAMEWORKS.values():
        with other(engine) as ask:
            assert ask(cookie, lambda session: known(session).user_id)[0] is None


def test_a_login_outside_of_django_stays_there(engine: SessionEngine) -> None:
    """Saving in Django, which does not know the user, signs nobody out."""
    with starlette(engine) as ask:
        _, cookie = ask("", lambda session: session.login("ada", {"cart": ["tea"]}))
    with in_django(engine) as ask:
        _, cookie = ask(cookie, lambda session: session.update({"n": 1}))
        _, cookie = ask(cookie, lambda session: session.cycle_key())
    with starlette(engine) as ask:
        assert ask(cookie, lambda session: [known(session).user_id, fields_of(session)])[0] == [
            "ada",
            {"cart": ["tea"], "n": 1},
        ]


def test_another_user_of_django_gets_nothing_of_the_first(engine: SessionEngine) -> None:
    with starlette(engine) as ask:
        _, cookie = ask("", lambda session: session.login("ada", {"cart": ["tea"]}))
    with in_django(engine) as ask:
        _, cookie = ask(cookie, lambda session: session.update({"_auth_user_id": "7"}))
        assert ask(cookie, lambda session: [known(session).user_id, fields_of(session)])[0] == [
            "7",
            {"_auth_user_id": "7"},
        ]
