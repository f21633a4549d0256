"""Layers outside of the drop-in see the session and the route, as with Starlette's own middleware."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as TheirMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from fluidauth import CookieOptions, Session, SessionClosed, SessionEngine, SessionMiddleware
from fluidauth.engine.visit import Visit
from fluidauth.integrations import litestar, starlette
from fluidauth.integrations.starlette import session_of
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine, sign_in
from tests.middleware.asgi.requests import get
from tests.support import AsyncBasicStore

Seen = list[Any]


class Outside:
    """A layer outside of all, as an access log: it looks at the scope when the response is through."""

    def __init__(self, app: Any, look: Callable[[Any], Any]) -> None:
        self.app = app
        self.look = look
        self.seen: Seen = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self.seen.append(self.look(scope))


def dropped_in(*routes: Any, engine: SessionEngine | None = None, **options: Any) -> Starlette:
    middleware = [Middleware(starlette.SessionMiddleware, engine=engine or memory_engine(), **options)]
    return Starlette(routes=[*routes], middleware=middleware)


async def item(request: Request) -> Response:
    session_of(request).login("ada", {"user_id": 42})
    return PlainTextResponse("item")


async def boom(request: Request) -> Response:
    session_of(request).login("ada", {"user_id": 42})
    raise ZeroDivisionError


async def untouched(request: Request) -> Response:
    return PlainTextResponse("untouched")


def refused(scope: Any) -> str:
    """Return what a change says."""
    with pytest.raises(SessionClosed) as error:
        scope["session"]["late"] = 1
    return str(error.value)


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


@pytest.mark.parametrize("handler", [item, untouched])
def test_a_session_may_be_read_after_the_response_and_not_changed(handler: Any) -> None:
    """A change would be lost: it is refused, by each name that makes one."""

    def look(scope: Any) -> Any:
        session = session_of(HTTPConnection(scope))
        changes: list[Callable[[], Any]] = [
            lambda: session.update(late=1),
            lambda: session.add("late"),
            lambda: session.append("late", 1),
            lambda: session.login("eve"),
            lambda: session.regenerate(),
            lambda: session.mark_modified(),
        ]
        for change in changes:
            with pytest.raises(SessionClosed):
                change()
        return dict(scope["session"]), refused(scope)

    engine = memory_engine()
    app = Outside(dropped_in(Route("/in", item), Route("/", handler), engine=engine), look)
    client = TestClient(app)
    client.get("/in")
    client.get("/")

    assert (
        app.seen
        == [({"user_id": 42}, "the request of this session has ended; use engine.edit(session.handle)")] * 2
    )
    assert [dict(engine.get_session(info.handle) or {}) for info in engine.list_sessions("ada")] == [
        {"user_id": 42}
    ]


CHANGES_INSIDE: list[Callable[[Any], Any]] = [
    lambda session: session["cart"].append(1),
    lambda session: session["cart"][0].update(n=1),
    lambda session: session["cart"][0].__setitem__("n", 1),
    lambda session: session.get("cart").pop(),
    lambda session: next(iter(session.values())).clear(),
    lambda session: dict(session)["cart"].reverse(),
    lambda session: next(iter(session.items()))[1].sort(),
    lambda session: session.setdefault("cart", []).extend("x"),
]


@pytest.mark.parametrize("change", CHANGES_INSIDE)
@pytest.mark.parametrize("uses", [True, False])
@pytest.mark.parametrize("reloads", [True, False])
def test_a_change_inside_of_a_value_is_refused_after_the_response(
    change: Any, uses: bool, reloads: bool
) -> None:
    """Whether the request read the session or not; to JSON, comparisons and copies it is what it was."""
    engine = memory_engine()
    cart: list[Any] = [{"n": [0]}]

    async def page(request: Request) -> Response:
        return JSONResponse(request.session if uses else {})

    def look(scope: Any) -> Any:
        if reloads:
            session_of(HTTPConnection(scope)).reload()
        for session in (scope["session"], session_of(HTTPConnection(scope))):
            with pytest.raises(SessionClosed, match="has ended"):
                change(session)
            assert session == {"cart": cart}
            copied = copy.deepcopy(session["cart"])
            copied[0]["n"].append(1)
            assert copied == [{"n": [0, 1]}]
        return json.dumps(scope["session"])

    app = Outside(dropped_in(Route("/", page), engine=engine), look)
    client = TestClient(app)
    sign_in(client, engine, "ada", {"cart": cart})
    client.get("/")

    assert app.seen == [json.dumps({"cart": cart})]


@pytest.mark.parametrize("uses", [True, False])
def test_a_store_that_is_awaited_is_read_after_the_response(uses: bool) -> None:
    """By ``aload()`` where the request did not; a change inside of a value is refused then as well."""
    engine = SessionEngine(new_secret(), AsyncBasicStore(), cookie=CookieOptions(secure=False))

    async def page(request: Request) -> Response:
        if uses:
            await session_of(request).aload()
        return PlainTextResponse()

    async def outside(scope: Any, receive: Any, send: Any) -> None:
        await inside(scope, receive, send)
        session = session_of(HTTPConnection(scope))
        await session.aload()
        with pytest.raises(SessionClosed, match="has ended"):
            session["cart"].append(1)
        await session.areload()
        with pytest.raises(SessionClosed, match="has ended"):
            scope["session"]["cart"].append(1)
        seen.append(dict(session))

    async def main() -> None:
        token, _ = await engine.acreate_session("ada", {"cart": []})
        await get(outside, f"session={token}", path="/", method="GET", query_string=b"")

    inside, seen = dropped_in(Route("/", page), engine=engine, autoload=False), list[Any]()
    asyncio.run(main())

    assert seen == [{"cart": []}]


def test_a_session_is_not_saved_once_its_request_has_ended() -> None:
    """What a failed request asked for is not carried out by a layer outside."""
    engine = memory_engine()

    async def page(request: Request, error: Exception) -> Response:
        session = session_of(request)
        with pytest.raises(SessionClosed, match="has ended"):
            session.save()
        with pytest.raises(SessionClosed, match="has ended"):
            await session.asave()
        return PlainTextResponse(status_code=500)

    app = dropped_in(Route("/boom", boom), engine=engine)
    app.add_exception_handler(500, page)

    TestClient(app, raise_server_exceptions=False).get("/boom")

    assert engine.list_sessions("ada") == []


def test_a_change_on_the_page_of_a_500_is_refused() -> None:
    """Also where nothing was loaded before: the session takes no part in that response."""

    async def page(request: Request, error: Exception) -> Response:
        return PlainTextResponse(refused(request.scope), 500)

    async def fails(request: Request) -> Response:
        raise ZeroDivisionError

    app = dropped_in(Route("/fails", fails), Route("/boom", boom))
    app.add_exception_handler(500, page)
    client = TestClient(app, raise_server_exceptions=False)

    assert "has ended" in client.get("/fails").text
    assert "has ended" in client.get("/boom").text


@pytest.mark.requirement("4")
def test_a_logout_after_the_response_is_carried_out() -> None:
    engine = memory_engine()

    def look(scope: Any) -> Any:
        session_of(HTTPConnection(scope)).logout()

    client = TestClient(Outside(dropped_in(Route("/", item), engine=engine), look))
    client.get("/")

    assert engine.list_sessions("ada") == []


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


# -- several of them ------------------------------------------------------------------------------


def counting(key: str) -> Any:
    async def count(request: Request) -> Response:
        request.session[key] = request.session.get(key, 0) + 1
        return JSONResponse(request.session)

    return count


def two_engines() -> tuple[SessionEngine, SessionEngine]:
    first, second = (memory_engine(cookie=CookieOptions(name, secure=False)) for name in ("outer", "inner"))
    return first, second


def handles(engine: SessionEngine, client: TestClient) -> Any:
    """Return the fields of the session that *client* has a cookie of *engine* for."""
    name = engine.policy.cookie.name
    visit = Visit(engine.requests, f"{name}={client.cookies.get(name)}")
    return dict(Session(visit))


@pytest.mark.parametrize("inner_type", [starlette.SessionMiddleware, SessionMiddleware])
@pytest.mark.parametrize("outer_type", [starlette.SessionMiddleware, SessionMiddleware])
@pytest.mark.parametrize("replaces", [False, True])
def test_of_two_engines_each_has_its_own(outer_type: Any, inner_type: Any, replaces: bool) -> None:
    """In layers, and in a mounted application; also where that replaces its session by a dict."""
    outer, inner = two_engines()

    async def within(request: Request) -> Response:
        if replaces:
            request.scope["session"] = {"in": request.session.get("in", 0) + 1}
            return JSONResponse(request.scope["session"])
        return await counting("in")(request)  # type: ignore[no-any-return]

    mounted = inner_type(Starlette(routes=[Route("/{n}", within)]), engine=inner)
    inside = Starlette(routes=[Mount("/mounted", mounted), Route("/", counting("out"))])
    app = Outside(
        outer_type(inside, engine=outer),
        lambda scope: (dict(scope.get("session", {})), scope.get("path_params")),
    )
    client = TestClient(app)

    answers = [client.get(path).json() for path in ("/", "/mounted/7", "/mounted/8", "/")]

    assert answers == [{"out": 1}, {"in": 1}, {"in": 2}, {"out": 2}]
    assert handles(outer, client) == {"out": 2}
    assert handles(inner, client) == {"in": 2}
    if outer_type is starlette.SessionMiddleware:
        assert [fields for fields, _ in app.seen] == [{"out": 1}, {"out": 1}, {"out": 1}, {"out": 2}]
        assert [params for _, params in app.seen] == [{}, {"n": "7"}, {"n": "8"}, {}] or (
            inner_type is SessionMiddleware
        )


def test_within_itself_it_is_one() -> None:
    engine = memory_engine()
    app = Outside(
        starlette.SessionMiddleware(dropped_in(Route("/", counting("n")), engine=engine), engine=engine),
        lambda scope: dict(scope["session"]),
    )
    client = TestClient(app)

    assert [client.get("/").json() for _ in range(2)] == [{"n": 1}, {"n": 2}]
    assert app.seen == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("same", [True, False])
def test_a_scope_that_is_used_again_gets_a_session_anew(same: bool) -> None:
    """As where one application after the other is tried; each by the cookie, of one engine or of two."""
    first, second = two_engines()
    apps = [
        dropped_in(Route("/", counting("n")), engine=first),
        dropped_in(Route("/", counting("n")), engine=first if same else second),
    ]

    async def both(scope: Any, receive: Any, send: Any) -> None:
        async def nowhere(message: Any) -> None:
            answers.append(message)

        await apps[0](scope, receive, nowhere)
        await apps[1](scope, receive, send)

    answers: list[Any] = []
    answers += asyncio.run(get(both, path="/", method="GET", query_string=b""))

    assert [message["body"] for message in answers if "body" in message] == [b'{"n":1}', b'{"n":1}']


def test_starlettes_own_around_ours_keeps_its_session() -> None:
    """Its cookie holds its own fields, and none of ours."""
    inside = dropped_in(Route("/", counting("ours")), engine=two_engines()[1])

    async def theirs(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["session"]["theirs"] = scope["session"].get("theirs", 0) + 1
        await inside(scope, receive, send)

    app = Outside(TheirMiddleware(theirs, secret_key="theirs"), lambda scope: dict(scope["session"]))
    client = TestClient(app)

    assert [client.get("/").json() for _ in range(2)] == [{"ours": 1}, {"ours": 2}]
    assert app.seen == [{"theirs": 1}, {"theirs": 2}]


def test_a_session_that_the_application_replaced_is_taken_over() -> None:
    engine = memory_engine()

    async def replace(request: Request) -> Response:
        request.scope["session"] = {"put": "there"}
        return PlainTextResponse()

    app = Outside(
        dropped_in(Route("/", replace), Route("/look", counting("n")), engine=engine),
        lambda scope: dict(scope["session"]),
    )
    client = TestClient(app)
    client.get("/")

    assert client.get("/look").json() == {"put": "there", "n": 1}
    assert app.seen == [{"put": "there"}, {"put": "there", "n": 1}]


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


def test_the_plain_middleware_leaves_the_scope_alone() -> None:
    """As ASGI advises."""
    inside: Any = SessionMiddleware(Starlette(routes=[Route("/item/{n}", item)]), engine=memory_engine())
    app = Outside(inside, sorted)

    TestClient(app).get("/item/7")

    assert {"session", "endpoint", "path_params"}.isdisjoint(app.seen[0])


# -- what is left of it ----------------------------------------------------------------------------


class Cycle:
    """A request as servers have it: one object that holds the scope and sends."""

    def __init__(self) -> None:
        self.scope = {
            "type": "http",
            "scheme": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [],
        }
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return {"type": "http.request", "body": b""}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, app: Any) -> None:
        await app(self.scope, self.receive, self.send)


def test_nothing_is_left_to_the_garbage_collector() -> None:
    """The scope leads to the session, that to its visit, and that no longer to who has the scope."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["n"] = 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def alive() -> int:
        return sum(isinstance(found, Session | Visit) for found in gc.get_objects())

    async def main() -> None:
        wrapped = starlette.SessionMiddleware(app, engine=memory_engine())
        await Cycle().run(wrapped)
        gc.collect()
        gc.disable()
        try:
            before = alive()
            await Cycle().run(wrapped)
            after = alive()
        finally:
            gc.enable()
        assert after == before

    asyncio.run(main())


def test_what_is_sent_after_the_end_is_refused() -> None:
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        await Cycle().run(starlette.SessionMiddleware(app, engine=memory_engine()))
        with pytest.raises(RuntimeError, match=r"http\.response\.body came after"):
            await kept[0]({"type": "http.response.body", "body": b""})

    asyncio.run(main())
