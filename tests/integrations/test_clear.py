"""``clear()`` is the logout of Starlette and of Litestar, by their own names."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.middleware import DefineMiddleware
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from fluidauth import SessionEngine
from fluidauth.integrations import litestar, starlette
from fluidauth.testing import memory_engine, sign_in

pytestmark = pytest.mark.requirement("4")


def cookies_of(response: Any) -> list[str]:
    headers = response.headers
    lines = headers.get_list("set-cookie") if hasattr(headers, "get_list") else headers.getlist("Set-Cookie")
    return [line for line in lines if line.startswith("session=")]


# -- Starlette ------------------------------------------------------------------------------------


def starlette_site(engine: SessionEngine) -> TestClient:
    async def leave(request: Request) -> Response:
        request.session.clear()
        if "then" in request.query_params:
            request.session["note"] = "bye"
        if "fails" in request.query_params:
            raise ZeroDivisionError
        return JSONResponse(request.session)

    async def whoami(request: Request) -> Response:
        return JSONResponse([starlette.session_of(request).user_id, request.session])

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        socket.session.clear()
        await socket.send_json(len(engine.list_sessions("ada")))
        await socket.close()

    routes = [Route("/leave", leave), Route("/", whoami), WebSocketRoute("/live", live)]
    middleware = [Middleware(starlette.SessionMiddleware, engine=engine)]
    return TestClient(Starlette(routes=routes, middleware=middleware), raise_server_exceptions=False)


@pytest.mark.parametrize("query", ["", "?then=1", "?fails=1"])
def test_starlettes_clear(query: str) -> None:
    engine = memory_engine()
    client = starlette_site(engine)
    sign_in(client, engine, "ada", {"user_id": 42})
    copied = dict(client.cookies)

    response = client.get(f"/leave{query}")

    assert len(cookies_of(response)) == ("fails" not in query)
    assert engine.list_sessions("ada") == []
    assert client.get("/").json() == [None, {"note": "bye"} if "then" in query else {}]
    client.cookies.clear()
    client.cookies.update(copied)
    assert client.get("/").json() == [None, {}]


def test_clear_in_a_websocket() -> None:
    """At once: no head is left to wait for."""
    engine = memory_engine()
    client = starlette_site(engine)
    sign_in(client, engine, "ada")

    with client.websocket_connect("/live") as socket:
        assert socket.receive_json() == 0
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


# -- Litestar --------------------------------------------------------------------------------------


def litestar_site(engine: SessionEngine, around: bool = False) -> TestClient:
    async def leave(request: Any) -> Any:
        request.clear_session()
        if "then" in request.query_params:
            litestar.session_of(request)["note"] = "bye"
        if "fails" in request.query_params:
            raise ZeroDivisionError
        return {}

    async def whoami(request: Any) -> Any:
        session = litestar.session_of(request)
        return [session.user_id, request.session]

    async def put(request: Any) -> Any:
        request.session["cart"] = ["tea"]
        return {}

    async def plain(request: Any) -> Any:
        request.session.clear()
        return {}

    async def stream(request: Any) -> Any:
        async def chunks() -> Any:
            yield "a"
            request.clear_session()
            yield "b"
            yield str(len(engine.list_sessions("ada")))

        assert request.session
        return Stream(chunks)

    routes = []
    for handler in (leave, whoami, put, plain, stream):
        handler.__annotations__ = {"request": LitestarRequest[Any, Any, Any], "return": Any}
        routes.append(litestar_get(f"/{handler.__name__}")(handler))
    stream.__annotations__["return"] = Stream
    routes[-1] = litestar_get("/stream")(stream)
    inside = [] if around else [DefineMiddleware(litestar.SessionMiddleware, engine=engine)]
    app: Any = Litestar(routes, middleware=inside, openapi_config=None, logging_config=None)
    return TestClient(litestar.SessionMiddleware(app, engine=engine) if around else app)


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("path", ["/leave", "/leave?then=1", "/leave?fails=1", "/plain"])
def test_litestars_clear_session(path: str, around: bool) -> None:
    """``request.clear_session()``, and ``request.session.clear()``."""
    engine = memory_engine()
    client = litestar_site(engine, around)
    sign_in(client, engine, "ada", {"user_id": 42})
    copied = dict(client.cookies)

    response = client.get(path)

    assert response.status_code == (500 if "fails" in path else 200)
    assert len(cookies_of(response)) == 1
    assert client.get("/whoami").json() == [None, {"note": "bye"} if "then" in path else {}]
    client.cookies.clear()
    client.cookies.update(copied)
    assert client.get("/whoami").json() == [None, {}]
    assert engine.list_sessions("ada") == []


def test_litestars_clear_session_of_nobody() -> None:
    """It removes what is there, and so the session."""
    engine = memory_engine()
    client = litestar_site(engine)
    client.get("/put")
    assert client.get("/whoami").json() == [None, {"cart": ["tea"]}]

    response = client.get("/leave")

    assert "Max-Age=0" in cookies_of(response)[0]
    assert client.get("/whoami").json() == [None, {}]


def test_litestars_clear_session_in_a_stream() -> None:
    """With the next chunk."""
    engine = memory_engine()
    client = litestar_site(engine)
    sign_in(client, engine, "ada", {"user_id": 42})

    assert client.get("/stream").text == "ab0"
    assert client.get("/whoami").json() == [None, {}]
