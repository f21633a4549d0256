"""Authlib's clients with a one-time value for each sign-in: two tabs, and each state once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx2
import pytest
from authlib.integrations.base_client.errors import MismatchingStateError
from authlib.integrations.django_client import OAuth as DjangoOAuth
from authlib.integrations.flask_client import OAuth as FlaskOAuth
from authlib.integrations.starlette_client import OAuth as StarletteOAuth
from django.http import HttpResponse
from django.test import Client, override_settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import MemoryStore, SessionEngine
from fluidauth.errors import ConfigError
from fluidauth.integrations.authlib import one_time_states
from fluidauth.integrations.flask import FluidAuthSessionInterface
from fluidauth.integrations.starlette import SessionMiddleware
from fluidauth.keys import new_secret
from tests.integrations.django_site import handlers

BACK = "https://testserver/back"
SETTINGS: Any = {
    "client_id": "shop",
    "client_secret": "no secret",
    "authorize_url": "https://provider.test/authorize",
    "access_token_url": "https://provider.test/token",
    "client_kwargs": {"code_challenge_method": "S256"},
}

Tabs = tuple[Callable[[], str], Callable[[str], Any]]
"""Begins a sign-in and returns its state; comes back with a state and returns what was kept for it."""


async def _token(request: Request) -> Response:
    """The token endpoint of a provider: it wants the verifier of the sign-in."""
    form = parse_qs((await request.body()).decode())
    return JSONResponse({"access_token": form["code_verifier"][0], "token_type": "Bearer"})


PROVIDER = Starlette(routes=[Route("/token", _token, methods=["POST"])])


def starlette(stack: ExitStack) -> Tabs:
    settings = {**SETTINGS, "client_kwargs": {**SETTINGS["client_kwargs"]}}
    settings["client_kwargs"]["transport"] = httpx2.ASGITransport(PROVIDER)
    remote = one_time_states(StarletteOAuth()).register("provider", **settings)

    async def go(request: Request) -> Any:
        return await remote.authorize_redirect(request, BACK)

    async def back(request: Request) -> JSONResponse:
        token = await remote.authorize_access_token(request)
        return JSONResponse(token["access_token"])

    middleware = [Middleware(SessionMiddleware, engine=SessionEngine(new_secret(), MemoryStore()))]
    routes = [Route("/go", go), Route("/back", back)]
    client = TestClient(Starlette(routes=routes, middleware=middleware), base_url="https://testserver")
    return (
        lambda: client.get("/go", follow_redirects=False).headers["location"],
        lambda state: client.get(f"/back?code=c&state={state}").json(),
    )


def in_flask(stack: ExitStack) -> Tabs:
    app = flask.Flask(__name__)
    app.testing = True  # errors of Authlib are raised here
    app.session_interface = FluidAuthSessionInterface(SessionEngine(new_secret(), MemoryStore()))
    remote = one_time_states(FlaskOAuth(app)).register("provider", **SETTINGS)
    app.add_url_rule("/go", view_func=lambda: remote.authorize_redirect(BACK), endpoint="go")
    app.add_url_rule("/back", view_func=lambda: _kept(remote, flask.session), endpoint="back")
    client = app.test_client()
    return (
        lambda: client.get("/go").headers["Location"],
        lambda state: client.get(f"/back?code=c&state={state}").text,
    )


def _kept(remote: Any, session: Any) -> str:
    """Do as ``authorize_access_token()`` until it asks the provider."""
    state = flask.request.args["state"]
    kept = remote.framework.get_state_data(session, state)
    if kept is None:
        raise MismatchingStateError
    remote.framework.clear_state_data(session, state)
    return str(kept["code_verifier"])


def in_django(stack: ExitStack) -> Tabs:
    stack.enter_context(override_settings(FLUIDAUTH={"store": MemoryStore()}))
    remote = one_time_states(DjangoOAuth()).register("provider", **SETTINGS)
    client = Client()

    def ask(handler: Any, path: str) -> Any:
        handlers.append(handler)
        try:
            return client.get(path)
        finally:
            handlers.pop()

    def back(request: Any) -> HttpResponse:
        kept = remote.framework.get_state_data(request.session, request.GET["state"])
        if kept is None:
            raise MismatchingStateError
        return HttpResponse(kept["code_verifier"])

    return (
        lambda: ask(lambda request: remote.authorize_redirect(request, BACK), "/").headers["Location"],
        lambda state: ask(back, f"/?code=c&state={state}").content.decode(),
    )


@pytest.fixture(params=[starlette, in_flask, in_django], ids=["starlette", "flask", "django"])
def tabs(request: pytest.FixtureRequest) -> Iterator[Tabs]:
    with ExitStack() as stack:
        yield request.param(stack)


def state_in(location: str) -> str:
    return parse_qs(urlsplit(location).query)["state"][0]


@pytest.mark.requirement("80")
def test_two_tabs_sign_in_at_once(tabs: Tabs) -> None:
    """Each comes back with what was kept for it, in either order, and once."""
    go, back = tabs
    first, second = state_in(go()), state_in(go())

    verifiers = [back(second), back(first)]

    assert len(set(verifiers)) == 2
    assert all(len(verifier) >= 43 for verifier in verifiers)
    for state in (first, second, "s" * 30, "x", ""):
        with pytest.raises(MismatchingStateError):
            back(state)


def test_it_wants_a_registry_and_a_session() -> None:
    """Anything else is named at once."""
    with pytest.raises(ConfigError, match="OAuth"):
        one_time_states(object())
    remote = one_time_states(FlaskOAuth(flask.Flask(__name__))).register("provider", **SETTINGS)
    with pytest.raises(ConfigError, match="dict is no session"):
        remote.framework.get_state_data({}, "s" * 30)
