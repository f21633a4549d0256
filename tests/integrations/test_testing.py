"""What ``fluidauth.testing`` gives to people who test their own applications."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import httpx
import pytest
import quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import SessionEngine, SessionMiddleware
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.starlette import session_of
from fluidauth.testing import memory_engine, sign_in


async def whoami(request: Request) -> JSONResponse:
    session = session_of(request)
    return JSONResponse([session.user_id, session.get("cart")])


def application(engine: SessionEngine) -> Any:
    return SessionMiddleware(Starlette(routes=[Route("/", whoami)]), engine=engine)


@pytest.mark.parametrize(
    "client_of",
    [TestClient, lambda app: httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test")],
    ids=["starlette", "httpx"],
)
def test_a_client_is_signed_in_with_one_line(client_of: Callable[[Any], Any]) -> None:
    """Whatever kind of cookies it has."""
    engine = memory_engine()
    if client_of is TestClient:
        client = client_of(application(engine))
    else:
        client = client_of(SessionMiddleware(in_wsgi, engine=engine))

    session = sign_in(client, engine, "ada", {"cart": [1]}, methods=("pwd", "otp"))

    assert client.get("/").json() == ["ada", [1]]
    assert session.user_id == "ada"
    session.require(within=300, method="otp")


def test_a_session_ends_where_a_test_moves_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of an engine that was built before: freezegun puts a function of its own in place."""
    engine = memory_engine(idle_timeout=600)
    client = TestClient(application(engine))
    sign_in(client, engine, "ada")
    now = time.time()

    monkeypatch.setattr(time, "time", lambda: now + 590)
    before = client.get("/").json()
    monkeypatch.setattr(time, "time", lambda: now + 590 + 610)
    after = client.get("/").json()

    assert (before, after) == (["ada", None], [None, None])


@pytest.mark.parametrize("framework", ["flask", "quart"])
def test_flask_client_is_signed_in_with_one_line(framework: str) -> None:
    """Under the cookie's name that the application is configured for."""
    engine = memory_engine()
    module = flask if framework == "flask" else quart
    interface = FlaskInterface if framework == "flask" else QuartInterface
    app: Any = module.__dict__[framework.capitalize()](__name__)
    app.session_interface = interface(engine)
    app.config["SESSION_COOKIE_NAME"] = "sid"
    app.add_url_rule("/", view_func=lambda: dict(module.session))
    client = app.test_client()

    sign_in(client, engine, "ada", {"cart": [1]})

    response = client.get("/")
    if asyncio.iscoroutine(response):
        assert asyncio.run(_json_of(response)) == {"cart": [1]}
    else:
        assert response.json == {"cart": [1]}


async def _json_of(coming: Any) -> Any:
    return await (await coming).get_json()


def in_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    session = environ["fluidauth.session"]
    body = json.dumps([session.user_id, session.get("cart")]).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


def test_cookies_may_be_those_of_the_standard_library() -> None:
    """As in the client of Django."""
    engine, client = memory_engine(), SimpleNamespace(cookies=SimpleCookie())

    sign_in(client, engine, "ada")

    assert engine.explain([(b"cookie", client.cookies.output(header="").strip().encode())]).user_id == "ada"


def test_a_client_without_cookies_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no cookies"):
        sign_in(object(), memory_engine(), "ada")


def test_the_fixtures_move_time(tmp_path: Path) -> None:
    """In a project that asks for them: an engine in memory, and its clock."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["fluidauth.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(session_engine, session_clock):\n"
        "    session = session_engine.create_session('ada')[1]\n"
        "    assert session_engine.get_session(session.handle) is not None\n"
        "    session_clock.advance(3601)\n"
        "    assert session_engine.get_session(session.handle) is None\n"
    )

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
