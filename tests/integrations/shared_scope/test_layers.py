"""Layers outside of the drop-in see the session and the route, as with Starlette's own middleware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.config.cors import CORSConfig
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from fluidauth import CookieOptions, MemoryStore, SessionClosed, SessionEngine, SessionMiddleware
from fluidauth.integrations import litestar
from fluidauth.integrations.starlette import SessionMiddleware as StarletteMiddleware
from fluidauth.integrations.starlette import session_of
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine
from tests.integrations.shared_scope.layers import Outside, boom, dropped_in, item, refused
from tests.middleware.asgi.requests import get
from tests.support import AsyncBasicStore


def test_metrics_and_access_logs_see_session_and_route() -> None:
    def look(scope: Any) -> Any:
        return scope["session"]["user_id"], scope["endpoint"].__name__, scope["path_params"]

    app = Outside(dropped_in(Route("/item/{n}", item)), look)

    assert TestClient(app).get("/item/7").text == "item"
    assert app.seen == [(42, "item", {"n": "7"})]


def test_they_see_them_at_the_head_as_well() -> None:
    seen = []

    def outside(app: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            async def sends(message: Any) -> None:
                seen.append((dict(scope["session"]), scope["endpoint"].__name__))
                await send(message)

            await app(scope, receive, sends)

        return call

    asyncio.run(
        get(outside(dropped_in(Route("/item/{n}", item))), path="/item/7", method="GET", query_string=b"")
    )

    assert seen == [({"user_id": 42}, "item")] * 2


def test_the_page_of_a_500_sees_the_session() -> None:
    """Of a handler that used it, and of one that did not; by ``request.session`` and by the accessor."""

    async def page(request: Request, error: Exception) -> Response:
        fields = dict(request.session)
        return JSONResponse([fields, session_of(request).user_id, request.path_params], 500)

    async def fails(request: Request) -> Response:
        raise ZeroDivisionError

    engine = memory_engine()
    app = dropped_in(Route("/boom/{n}", boom), Route("/fails", fails), Route("/in", item), engine=engine)
    app.add_exception_handler(500, page)
    client = TestClient(app, raise_server_exceptions=False)

    assert client.get("/boom/7").json() == [{"user_id": 42}, "ada", {"n": "7"}]
    assert engine.list_sessions("ada") == []
    client.get("/in")
    assert client.get("/fails").json() == [{"user_id": 42}, "ada", {}]


@pytest.mark.parametrize("autoload", [True, False])
def test_the_page_of_a_500_sees_what_was_read_from_a_store_that_is_awaited(autoload: bool) -> None:
    engine = SessionEngine(new_secret(), AsyncBasicStore(), cookie=CookieOptions(secure=False))

    async def page(request: Request, error: Exception) -> Response:
        return JSONResponse(request.session, 500)

    async def fails(request: Request) -> Response:
        await session_of(request).aload()
        raise ZeroDivisionError

    async def sign_in(request: Request) -> Response:
        await session_of(request).aload()
        return await item(request)

    app = dropped_in(Route("/fails", fails), Route("/in", sign_in), engine=engine, autoload=autoload)
    app.add_exception_handler(500, page)
    client = TestClient(app, raise_server_exceptions=False)
    client.get("/in")

    assert client.get("/fails").json() == {"user_id": 42}


def test_a_stream_is_seen_to_its_end() -> None:
    """What it changed while it ran is saved before outer layers look."""
    engine = memory_engine()

    async def stream(request: Request) -> Response:
        async def chunks() -> Any:
            yield b"a"
            request.session["n"] = 1
            yield b"b"

        assert request.session
        return StreamingResponse(chunks())

    app = Outside(
        dropped_in(Route("/in", item), Route("/", stream), engine=engine),
        lambda scope: dict(scope["session"]),
    )
    client = TestClient(app)
    client.get("/in")

    assert client.get("/").text == "ab"
    assert app.seen[1] == {"user_id": 42, "n": 1}
    [info] = engine.list_sessions("ada")
    assert dict(engine.get_session(info.handle) or {}) == {"user_id": 42, "n": 1}


def test_a_websocket_is_seen_by_layers_outside() -> None:
    async def live(socket: WebSocket) -> None:
        session_of(socket).login("ada", {"user_id": 42})
        await socket.accept()
        await socket.close()

    def look(scope: Any) -> Any:
        return scope["session"]["user_id"], scope["path_params"], refused(scope)[:11]

    app = Outside(dropped_in(WebSocketRoute("/live/{n}", live)), look)
    with TestClient(app).websocket_connect("/live/7") as socket, pytest.raises(WebSocketDisconnect):
        socket.receive_text()

    assert app.seen == [(42, {"n": "7"}, "the request")]


def test_litestars_shares_it_as_well() -> None:
    async def page(request: Any) -> str:
        litestar.session_of(request).login("ada", {"user_id": 42})
        return ""

    page.__annotations__ = {"request": LitestarRequest[Any, Any, Any], "return": str}
    inside = Litestar(
        [litestar_get("/item/{n:int}")(page)],
        middleware=[DefineMiddleware(litestar.SessionMiddleware, engine=memory_engine())],
        openapi_config=None,
        logging_config=None,
    )
    app = Outside(inside, lambda scope: (scope["session"]["user_id"], scope["path_params"]))

    assert TestClient(app).get("/item/7").status_code == 200
    assert app.seen == [(42, {"n": 7})]


@pytest.mark.requirement("17")
def test_a_layer_outside_that_knows_one_vary_takes_none_away() -> None:
    """As the CORS and GZip of Starlette 1.0 add to it."""

    async def page(request: Request) -> Response:
        return Response(str(session_of(request).user_id), headers={"vary": "Accept-Encoding"})

    class Cors:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def told(message: Any) -> None:
                if message["type"] == "http.response.start":
                    headers = MutableHeaders(scope=message)
                    headers["vary"] = f"{headers['vary']}, Origin"
                await send(message)

            await self.app(scope, receive, told)

    app = Cors(dropped_in(Route("/", page)))

    assert TestClient(app).get("/").headers.get_list("vary") == ["Accept-Encoding, Cookie, Origin"]


@pytest.mark.requirement("17")
def test_litestars_cors_takes_no_vary_away(caplog: pytest.LogCaptureFixture) -> None:
    """It replaces that of all within: there the session is refused, and around it both are told."""
    sent = {"origin": "https://shop.example"}
    engine = memory_engine()

    async def page(request: Any) -> str:
        return str(litestar.session_of(request).user_id)

    page.__annotations__ = {"request": LitestarRequest[Any, Any, Any], "return": str}

    def site(**more: Any) -> Litestar:
        cors = CORSConfig(allow_origins=[sent["origin"]], allow_credentials=True)
        handlers = [litestar_get("/")(page)]
        return Litestar(handlers, cors_config=cors, openapi_config=None, logging_config=None, **more)

    within: Any = site(middleware=[DefineMiddleware(litestar.SessionMiddleware, engine=engine)])
    refused = TestClient(within, raise_server_exceptions=False).get("/", headers=sent)
    answer = TestClient(litestar.SessionMiddleware(site(), engine=engine)).get("/", headers=sent)

    assert refused.status_code == 500
    assert "set app.asgi_handler = SessionMiddleware(app.asgi_handler, engine=engine)" in caplog.text
    assert answer.headers.get_list("vary") == ["Origin, Cookie"]
    as_said: Any = site()
    as_said.asgi_handler = litestar.SessionMiddleware(as_said.asgi_handler, engine=engine)
    assert TestClient(as_said).get("/", headers=sent).headers.get_list("vary") == ["Origin, Cookie"]


def test_the_plain_middleware_leaves_the_scope_alone() -> None:
    """As ASGI advises."""
    inside: Any = SessionMiddleware(Starlette(routes=[Route("/item/{n}", item)]), engine=memory_engine())
    app = Outside(inside, sorted)

    TestClient(app).get("/item/7")

    assert {"session", "endpoint", "path_params"}.isdisjoint(app.seen[0])


@pytest.mark.parametrize("engine", [None, memory_engine()], ids=["local", "its own"])
def test_they_may_be_the_first_to_read_when_the_head_has_left(engine: SessionEngine | None) -> None:
    """As what logs who asked for a page that has no use for the session."""
    seen: list[Any] = []

    class Logs(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            response = await call_next(request)
            seen.append(request.session.get("user_id"))
            return response

    async def sign_in(request: Request) -> Response:
        request.session["user_id"] = 42
        return Response()

    async def plain(request: Request) -> Response:
        return Response("plain")

    routes = [Route("/sign-in", sign_in), Route("/plain", plain)]
    options = {"engine": engine} if engine else {"secret_key": new_secret(), "store": MemoryStore()}
    middleware = [Middleware(Logs), Middleware(StarletteMiddleware, **options)]
    client = TestClient(Starlette(routes=routes, middleware=middleware), base_url="https://testserver")

    answers = [client.get(path) for path in ("/sign-in", "/plain")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert "vary" not in answers[1].headers
    assert seen == [42, 42]


def test_the_application_may_not_be_the_first_then() -> None:
    """Its body would depend on a cookie that no Vary names."""

    async def late(request: Request) -> Response:
        async def body() -> Any:
            yield "begun"
            try:
                yield str(len(request.session))
            except SessionClosed:
                yield " and refused"

        return StreamingResponse(body())

    assert TestClient(dropped_in(Route("/", late))).get("/").text == "begun and refused"


def test_a_layer_that_sends_may_be_the_first_to_read() -> None:
    seen = []

    def outside(app: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            async def sends(message: Any) -> None:
                seen.append(dict(scope["session"]))
                await send(message)

            await app(scope, receive, sends)

        return call

    async def plain(request: Request) -> Response:
        return Response("plain")

    asyncio.run(get(outside(dropped_in(Route("/", plain))), path="/", method="GET", query_string=b""))

    assert len(seen) == 2
