"""What ASGI allows an application to do: messages, WebSockets, other event loops."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from fluidauth import ASGISessionMiddleware, CookieOptions, MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.keys import new_secret
from tests.middleware.asgi.requests import cookie_of, fields, get
from tests.support import FlakyStore

# -- messages -----------------------------------------------------------------------------


def test_headers_may_be_missing_in_a_message(engine: SessionEngine) -> None:
    """The specification lets an application leave them out."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    messages = asyncio.run(get(ASGISessionMiddleware(app, engine=engine)))

    assert fields(engine, cookie_of(messages[0])) == {"a": 1}


@pytest.mark.parametrize("kind", ["lifespan", "unheard-of"])
def test_scopes_of_other_types_pass_untouched(engine: SessionEngine, kind: str) -> None:
    """What is neither http nor websocket reaches the application as it was."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope = {"type": kind}

    asyncio.run(ASGISessionMiddleware(app, engine=engine)(scope, get, get))  # type: ignore[arg-type]  # never called

    assert seen == [({"type": kind}, get, get)]
    assert seen[0][0] is scope


def test_cookie_headers_are_joined(engine: SessionEngine) -> None:
    """HTTP/2 may split the Cookie header."""
    token, _ = engine.create_session("user-42")
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["session"].user_id)

    headers = [(b"cookie", b"a=1"), (b"Cookie", f"__Host-session={token}".encode()), (b"cookie", b"b")]
    asyncio.run(get(ASGISessionMiddleware(app, engine=engine), headers=headers))

    assert seen == ["user-42"]


def test_the_callers_scope_is_not_changed(engine: SessionEngine) -> None:
    """A middleware works on a copy, as the specification asks."""
    scope = {"type": "http", "headers": []}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "session" in scope

    asyncio.run(ASGISessionMiddleware(app, engine=engine)(scope, get, get))  # type: ignore[arg-type]  # never called

    assert scope == {"type": "http", "headers": []}


def test_a_plain_dict_in_our_place_is_saved(engine: SessionEngine) -> None:
    """Applications that replace scope["session"] have their fields stored."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = {"b": [1]}
        await send({"type": "http.response.start", "status": 200})
        scope["session"]["b"].append(2)
        await send({"type": "http.response.body"})

    visit = Visit(engine.requests)
    first = Session(visit)
    first["a"] = 1
    first.save()
    token = next(iter(visit.set_cookies.values())).partition(";")[0]

    messages = asyncio.run(get(ASGISessionMiddleware(app, engine=engine), token))

    assert cookie_of(messages[0]) == ""
    assert fields(engine, token) == {"b": [1, 2]}


def test_a_second_middleware_of_one_engine_does_nothing(engine: SessionEngine) -> None:
    """Wrapped twice by mistake, an application has one session and one cookie."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})

    inner = ASGISessionMiddleware(app, engine=engine)
    messages = asyncio.run(get(ASGISessionMiddleware(inner, engine=engine)))

    assert [name for name, _ in messages[0]["headers"]].count(b"set-cookie") == 1


def test_two_engines_keep_two_sessions(engine: SessionEngine) -> None:
    """Nested middlewares of different engines do not disturb each other."""
    outer = SessionEngine(secret=new_secret(), store=MemoryStore(), cookie=CookieOptions(name="outer"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})

    messages = asyncio.run(
        get(ASGISessionMiddleware(ASGISessionMiddleware(app, engine=engine), engine=outer))
    )

    assert [name for name, _ in messages[0]["headers"]].count(b"set-cookie") == 1
    assert cookie_of(messages[0]).startswith("__Host-session=")


# -- a framework ----------------------------------------------------------------------------


def fetch(app: Any, path: str, cookie: str = "") -> httpx.Response:
    """Ask *app* for *path* by a real client."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://testserver") as client:
            return await client.get(path, headers={"cookie": cookie} if cookie else {})

    return asyncio.run(ask())


def test_starlette_finds_its_session(engine: SessionEngine) -> None:
    """request.session just works, and is a dict to JSON."""

    async def change(request: Request) -> Any:
        request.session["cart"] = [1]
        return PlainTextResponse("ok")

    async def show(request: Request) -> Any:
        return JSONResponse(request.session)

    starlette = Starlette(routes=[Route("/change", change), Route("/show", show)])
    starlette.add_middleware(ASGISessionMiddleware, engine=engine)

    changed = fetch(starlette, "/change")
    shown = fetch(starlette, "/show", changed.headers["set-cookie"].partition(";")[0])

    assert shown.json() == {"cart": [1]}
    assert shown.headers["vary"] == "Cookie"


def test_starlette_passes_an_outage_on_as_503(engine: SessionEngine) -> None:
    """Its error page of 500 becomes ours, inside and outside of its middleware stack."""
    store = engine.requests.store
    assert isinstance(store, FlakyStore)
    token, _ = engine.create_session("user-42")
    store.broken = {"get"}

    async def show(request: Request) -> Any:
        return PlainTextResponse(json.dumps(request.session))

    inside = Starlette(routes=[Route("/", show)])
    inside.add_middleware(ASGISessionMiddleware, engine=engine)
    outside = ASGISessionMiddleware(Starlette(routes=[Route("/", show)]), engine=engine)
    statuses = []
    for app in (inside, outside):
        response = fetch(app, "/", f"__Host-session={token}")
        statuses.append((response.status_code, response.headers["retry-after"]))

    assert statuses == [(503, "5"), (503, "5")]
