"""Another middleware for sessions within ours: said at the start where it shows, and by who asks for ours."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.security.session_auth import SessionAuth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesOwn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from fluidauth import ConfigError, SessionEngine, SessionEvent, SessionMiddleware
from fluidauth.integrations import fastapi, litestar, starlette
from fluidauth.testing import memory_engine, sign_in
from tests.integrations.live import live

pytestmark = pytest.mark.requirement("71")

THEIRS = "starlette.middleware.sessions.SessionMiddleware"
LITESTARS = "litestar.middleware.session.base.SessionMiddleware"
Warned = pytest.LogCaptureFixture


@pytest.fixture
def engine(events: list[SessionEvent]) -> SessionEngine:
    return memory_engine(on_event=events.append)


def told(events: list[SessionEvent]) -> list[str | None]:
    return [event.reason for event in events if event.name == "session_replaced"]


def warnings_in(caplog: Warned) -> list[str]:
    found = [record for record in caplog.records if record.name == "fluidauth"]
    return [
        record.getMessage() for record in found if record.levelno >= logging.WARNING
    ]  # whoever set a level


async def count(request: Request) -> Response:
    request.session["n"] = request.session.get("n", 0) + 1
    return JSONResponse(request.session)


async def ours(request: Request) -> Response:
    return JSONResponse(starlette.session_of(request))


async def current(session: fastapi.CurrentSession) -> dict[str, Any]:
    return session


def added_to(app: Any, engine: SessionEngine) -> Any:
    """Return *app* with both, theirs within ours."""
    app.add_middleware(StarlettesOwn, secret_key="theirs", session_cookie="theirs")
    app.add_middleware(starlette.SessionMiddleware, engine=engine)
    return app


def around(app: Any, engine: SessionEngine) -> Any:
    """Return *app* in ours, to which theirs is added later than that."""
    wrapped = SessionMiddleware(app, engine=engine)
    app.add_middleware(StarlettesOwn, secret_key="theirs", session_cookie="theirs")
    return wrapped


def starlette_app() -> Any:
    return Starlette(routes=[Route("/", count), Route("/ours", ours)])


def fastapi_app() -> Any:
    app = FastAPI(routes=[Route("/", count)])
    app.get("/ours")(current)
    return app


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
@pytest.mark.parametrize("join", [added_to, around])
def test_it_is_said_at_the_start_of_a_server(
    engine: SessionEngine, events: list[SessionEvent], caplog: Warned, make: Any, join: Any
) -> None:
    """Before the first request. The application goes on with the other's sessions, and ours stay."""
    with live(join(make(), engine)) as url, httpx.Client(base_url=url, trust_env=False) as ada:
        at_the_start = warnings_in(caplog)
        sign_in(ada, engine, "ada", {"a": 1})
        counted = [ada.get("/").json() for _ in range(2)]
        refused = ada.get("/ours")
    [session] = engine.list_sessions("ada")

    assert len(at_the_start) == 1
    assert at_the_start[0].startswith(f"{THEIRS} is inside of fluidauth's middleware")
    assert (warnings_in(caplog), told(events)) == (at_the_start, [THEIRS])
    assert counted == [{"n": 1}, {"n": 2}]
    assert refused.status_code == 500
    assert dict(engine.get_session(session.handle) or {}) == {"a": 1}


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
@pytest.mark.parametrize("join", [added_to, around])
def test_the_accessors_say_which_it_is(engine: SessionEngine, make: Any, join: Any) -> None:
    """And not to add what is there."""
    with pytest.raises(ConfigError) as error, TestClient(join(make(), engine)) as client:
        client.get("/ours")

    assert str(error.value) == (
        f"{THEIRS} is inside of fluidauth's middleware and replaces our session by its own. Remove it, "
        "unless it is for a part of the application that does not use our sessions"
    )


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
def test_theirs_around_ours_has_no_part_in_it(engine: SessionEngine, caplog: Warned, make: Any) -> None:
    app = make()
    app.add_middleware(starlette.SessionMiddleware, engine=engine)
    app.add_middleware(StarlettesOwn, secret_key="theirs", session_cookie="theirs")

    with TestClient(app) as client:
        assert [client.get(path).json() for path in ("/", "/ours")] == [{"n": 1}, {"n": 1}]

    assert warnings_in(caplog) == []


def test_an_application_that_is_mounted_keeps_its_own(
    engine: SessionEngine, events: list[SessionEvent], caplog: Warned
) -> None:
    """As documented; it is told once when it is used, and there the accessor is refused."""
    theirs = [Middleware(StarlettesOwn, secret_key="theirs", session_cookie="theirs")]
    inner = Starlette(routes=[Route("/", count), Route("/ours", ours)], middleware=theirs)
    routes = [Route("/", count), Mount("/inner", inner)]
    app = Starlette(routes=routes, middleware=[Middleware(starlette.SessionMiddleware, engine=engine)])

    with TestClient(app) as client:
        assert warnings_in(caplog) == []
        assert [client.get(path).json()["n"] for path in ("/", "/inner/", "/inner/", "/")] == [1, 1, 2, 2]
        with pytest.raises(ConfigError, match=f"{THEIRS} is inside of"):
            client.get("/inner/ours")

    assert (len(warnings_in(caplog)), told(events)) == (1, [THEIRS])


def test_what_the_application_puts_there_is_had_by_the_accessor(engine: SessionEngine) -> None:
    """At once: both have the same session then."""

    async def page(request: Request) -> Response:
        request.scope["session"] = {"a": 1}
        session = starlette.session_of(request)
        session["b"] = 2
        return JSONResponse([request.session, session.user_id])

    async def leave(request: Request) -> Response:
        request.scope["session"] = None
        return JSONResponse([request.scope["session"], starlette.session_of(request).user_id])

    routes = [Route("/", page), Route("/leave", leave), Route("/ours", ours)]
    client = TestClient(
        Starlette(routes=routes, middleware=[Middleware(starlette.SessionMiddleware, engine=engine)])
    )
    sign_in(client, engine, "ada", {"z": 26})

    assert client.get("/").json() == [{"a": 1, "b": 2}, "ada"]
    assert client.get("/ours").json() == {"a": 1, "b": 2}
    assert client.get("/leave").json() == [None, None]
    assert engine.list_sessions("ada") == []


def test_what_is_no_session_makes_the_page_of_a_500(engine: SessionEngine) -> None:
    """Once, by the framework; nothing of it is stored."""

    async def junk(request: Request) -> Response:
        request.scope["session"] = 42
        return JSONResponse("stored")

    routes = [Route("/junk", junk), Route("/ours", ours)]
    app = Starlette(routes=routes, middleware=[Middleware(starlette.SessionMiddleware, engine=engine)])
    client = TestClient(app, raise_server_exceptions=False)
    sign_in(client, engine, "ada", {"a": 1})

    answer = client.get("/junk")

    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert client.get("/ours").json() == {"a": 1}


# -- Litestar ---------------------------------------------------------------------------------------


def litestar_handlers() -> list[Any]:
    async def count_up(request: Any) -> Any:
        request.session["n"] = request.session.get("n", 0) + 1
        return dict(request.session)

    async def use_ours(request: Any) -> Any:
        return dict(litestar.session_of(request))

    for handler in (count_up, use_ours):
        handler.__annotations__ = {"request": LitestarRequest[Any, Any, Any], "return": Any}
    return [litestar_get("/")(count_up), litestar_get("/ours")(use_ours)]


def for_the_application() -> Any:
    middleware = [ServerSideSessionConfig(key="theirs").middleware]
    return Litestar(litestar_handlers(), middleware=middleware, logging_config=None)


def for_authentication() -> Any:
    auth = SessionAuth[Any, Any](
        session_backend_config=ServerSideSessionConfig(key="theirs"),
        retrieve_user_handler=lambda session, connection: None,
        exclude=["^/$", "^/ours$"],
    )
    return Litestar(litestar_handlers(), on_app_init=[auth.on_app_init], logging_config=None)


@pytest.mark.parametrize("make", [for_the_application, for_authentication])
def test_litestars_own_is_said_as_well(
    engine: SessionEngine, events: list[SessionEvent], caplog: Warned, make: Any
) -> None:
    """Its sessions are plain dicts, which are not taken for what the application put there."""
    within: Any = litestar.SessionMiddleware(make(), engine=engine)
    with caplog.at_level(logging.WARNING, "fluidauth"), TestClient(within) as client:
        sign_in(client, engine, "ada", {"a": 1})
        assert told(events) == [LITESTARS]
        assert [client.get("/").json() for _ in range(2)] == [{"n": 1}, {"n": 2}]
        assert client.get("/ours").status_code == 500

    assert [message[: len(LITESTARS)] for message in warnings_in(caplog)] == [LITESTARS]
    [info] = engine.list_sessions("ada")
    assert dict(engine.get_session(info.handle) or {}) == {"a": 1}
