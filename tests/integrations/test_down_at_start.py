"""An application that starts before its store: 503 where a session is used, 200 elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

import flask
import httpx
import pytest
import quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fluidauth import SessionEngine, SessionMiddleware, StoreError, new_secret
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.starlette import SessionMiddleware as StarletteMiddleware
from fluidauth.stores import SessionStore
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.redis import RedisStore
from harness.servers.postgres import OwnPostgres
from harness.servers.redis import NewRedis

Ask = Callable[[str], Any]
"""From a path to the response."""


def flask_asks(store: SessionStore) -> Ask:
    def session() -> str:
        flask.session["seen"] = 1
        return ""

    app = _site(flask.Flask(__name__), FlaskInterface(store=store), session, str)
    return lambda path: app.test_client().get(path)


def quart_asks(store: SessionStore) -> Ask:
    async def session() -> str:
        quart.session["seen"] = 1
        return ""

    async def plain() -> str:
        return ""

    app = _site(quart.Quart(__name__), QuartInterface(store=store), session, plain)
    return lambda path: asyncio.run(app.test_client().get(path))


def _site(app: Any, interface: object, session: object, plain: object) -> Any:
    app.secret_key = new_secret()
    app.session_interface = interface
    app.add_url_rule("/session", "session", session)
    app.add_url_rule("/plain", "plain", plain)
    return app


def starlette_asks(store: SessionStore) -> Ask:
    async def session(request: Request) -> PlainTextResponse:
        request.session["seen"] = 1
        return PlainTextResponse("")

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("plain")

    middleware = [Middleware(StarletteMiddleware, secret_key=new_secret(), store=store)]
    app = Starlette(routes=[Route("/session", session), Route("/plain", plain)], middleware=middleware)
    return TestClient(app, raise_server_exceptions=False).get


def asgi_asks(store: SessionStore) -> Ask:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/session":
            scope["session"]["seen"] = 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    engine = SessionEngine(new_secret(), store, connect="lazy")
    middleware: Any = SessionMiddleware(app, engine=engine)
    transport = httpx.ASGITransport(middleware)

    async def get(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return lambda path: asyncio.run(get(path))


def wsgi_asks(store: SessionStore) -> Ask:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/session":
            environ["fluidauth.session"]["seen"] = 1
        start_response("200 OK", [])
        return [b""]

    engine = SessionEngine(new_secret(), store, connect="lazy")
    middleware: Any = SessionMiddleware(app, engine=engine)
    return httpx.Client(transport=httpx.WSGITransport(middleware), base_url="http://test").get


FRAMEWORKS = {
    name.removesuffix("_asks"): asks for name, asks in list(globals().items()) if name.endswith("_asks")
}


@pytest.mark.requirement("52")
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_page_without_session_needs_no_store(
    framework: str, new_redis: NewRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """The application starts, says what is missing, and is whole as soon as the store answers."""
    server = new_redis()
    server.kill()

    with closing(RedisStore(server.url)) as store:
        with caplog.at_level(logging.ERROR, "fluidauth"):
            ask = FRAMEWORKS[framework](store)
            down = {path: ask(path).status_code for path in ("/plain", "/session", "/plain")}
        retry_after = ask("/session").headers.get("Retry-After")
        server.start()
        up = {path: ask(path).status_code for path in ("/plain", "/session")}

    assert down == {"/plain": 200, "/session": 503}
    assert retry_after
    assert up == {"/plain": 200, "/session": 200}
    assert "until it answers, requests that use a session get 503" in caplog.text


def test_postgres_may_come_later_too() -> None:
    server = OwnPostgres()
    with closing(PostgresStore(server.url)) as store:
        store.create_schema()
        server.stop()

        ask = wsgi_asks(store)
        down = [ask(path).status_code for path in ("/plain", "/session")]
        server.start()
        up = ask("/session").status_code
    server.stop()

    assert (down, up) == ([200, 503], 200)


def test_an_engine_by_itself_says_at_once_that_its_store_is_down(new_redis: NewRedis) -> None:
    """So that a deployment that would not work is noticed; but not where it asks for the contrary."""
    server = new_redis()
    server.kill()

    with pytest.raises(StoreError, match="does not answer"):
        SessionEngine(new_secret(), server.url)
    SessionEngine(new_secret(), server.url, connect="lazy")
