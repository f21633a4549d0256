"""Once its request has ended a session is read by layers outside, and refuses changes."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import CookieOptions, Session, SessionClosed, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.integrations import starlette
from fluidauth.integrations.starlette import session_of
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine, sign_in
from tests.integrations.shared_scope.layers import Outside, boom, dropped_in, item, refused, untouched
from tests.middleware.asgi.requests import get
from tests.support import AsyncBasicStore


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
