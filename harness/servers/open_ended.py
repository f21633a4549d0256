"""One application in each framework, to change a session while a WebSocket is open or a body streams.

``/login`` signs ann in, ``/`` tells who is signed in and what is noted. ``/ws?do=`` and ``/stream?do=``
set a field, log out or log in, and then say what came of it; a stream goes on until its client goes, unless
``&ends=1``, and a WebSocket until it is told to end, or does.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import falcon.asgi
import flask
import litestar
import quart
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from fluidauth import CookieOptions, SessionClosed, SessionEngine, SessionMiddleware
from fluidauth.integrations.fastapi import CurrentSession
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.flask import session as flask_session
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.quart import session as quart_session
from fluidauth.integrations.starlette import SessionMiddleware as StarletteMiddleware
from fluidauth.integrations.starlette import session_of

CHUNKS, PACE = 400, 0.005  # seconds from one to the next: a stream ends by itself after two
engine = SessionEngine(cookie=CookieOptions(secure=False))


def change(session: Any, do: str) -> str:
    """Do to *session* what a test asks for; return what came of it."""
    try:
        if do == "set":
            session["note"] = "kept"
        elif do == "logout":
            session.logout()
        else:
            session.login("bob")
    except SessionClosed:
        return "refused"
    return "done"


def dump(session: Any) -> dict[str, Any]:
    return {"user": session.user_id, "note": session.get("note")}


def sign_in(session: Any) -> dict[str, Any]:
    session.login("ann")
    return {}


def seen(session: Any) -> Any:
    """Look who is there, as a page does before its response begins."""
    dump(session)
    return session


async def stream(session: Any, do: str, ends: bool) -> AsyncIterator[bytes]:
    yield b"begun\n"
    yield change(session, do).encode() + b"\n"
    for _ in range(0 if ends else CHUNKS):
        await asyncio.sleep(PACE)
        yield b"."


def blocking_stream(session: Any, do: str, ends: bool) -> Iterator[bytes]:
    yield b"begun\n"
    yield change(session, do).encode() + b"\n"
    for _ in range(0 if ends else CHUNKS):
        time.sleep(PACE)
        yield b"."


async def talk(
    session: Any, do: str, send: Callable[[str], Awaitable[None]], receive: Callable[[], Awaitable[Any]]
) -> None:
    await send(change(session, do))
    await receive()  # until it is told to end, or raises as the client has gone


def starlette_app() -> Any:
    async def login(request: Request) -> JSONResponse:
        return JSONResponse(sign_in(session_of(request)))

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(dump(session_of(request)))

    async def streamed(request: Request) -> StreamingResponse:
        query = request.query_params
        return StreamingResponse(stream(seen(session_of(request)), query["do"], "ends" in query))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        do = websocket.query_params["do"]
        await talk(session_of(websocket), do, websocket.send_text, websocket.receive_text)
        await websocket.close()

    return Starlette(
        routes=[
            Route("/login", login),
            Route("/", show),
            Route("/stream", streamed),
            WebSocketRoute("/ws", socket),
        ],
        middleware=[Middleware(StarletteMiddleware, engine=engine)],
    )


def fastapi_app() -> Any:
    app = FastAPI()
    app.add_middleware(StarletteMiddleware, engine=engine)

    @app.get("/login")
    async def login(session: CurrentSession) -> dict[str, Any]:
        return sign_in(session)

    @app.get("/")
    async def show(session: CurrentSession) -> dict[str, Any]:
        return dump(session)

    @app.get("/stream")
    async def streamed(session: CurrentSession, do: str, ends: bool = False) -> StreamingResponse:
        return StreamingResponse(stream(seen(session), do, ends))

    @app.websocket("/ws")
    async def socket(websocket: WebSocket, session: CurrentSession, do: str) -> None:
        await websocket.accept()
        await talk(session, do, websocket.send_text, websocket.receive_text)
        await websocket.close()

    return app


def litestar_app() -> Any:
    @litestar.get("/login")
    async def login(request: litestar.Request[Any, Any, Any]) -> dict[str, Any]:
        return sign_in(request.scope["session"])

    @litestar.get("/")
    async def show(request: litestar.Request[Any, Any, Any]) -> dict[str, Any]:
        return dump(request.scope["session"])

    @litestar.get("/stream")
    async def streamed(request: litestar.Request[Any, Any, Any], do: str, ends: bool = False) -> Stream:
        return Stream(stream(seen(request.scope["session"]), do, ends))

    @litestar.websocket("/ws")
    async def socket(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        do = socket.query_params["do"]
        await talk(socket.scope["session"], do, socket.send_text, socket.receive_text)
        await socket.close()

    return SessionMiddleware(litestar.Litestar([login, show, streamed, socket]), engine=engine)


def falcon_app() -> Any:
    def session_in(request: Any) -> Any:
        return request.scope["session"]

    class Login:
        async def on_get(self, request: Any, response: Any) -> None:
            response.media = sign_in(session_in(request))

    class Dump:
        async def on_get(self, request: Any, response: Any) -> None:
            response.media = dump(session_in(request))

    class Streamed:
        async def on_get(self, request: Any, response: Any) -> None:
            ends = request.get_param_as_bool("ends", default=False)
            response.stream = stream(seen(session_in(request)), request.get_param("do"), ends)

    class Socket:
        async def on_websocket(self, request: Any, socket: Any) -> None:
            await socket.accept()
            await talk(session_in(request), request.get_param("do"), socket.send_text, socket.receive_text)
            await socket.close()

    app = falcon.asgi.App()
    for path, resource in {
        "/login": Login(),
        "/": Dump(),
        "/stream": Streamed(),
        "/ws": Socket(),
    }.items():
        app.add_route(path, resource)
    return SessionMiddleware(app, engine=engine)


def quart_app() -> Any:
    app: Any = quart.Quart(__name__)
    app.session_interface = QuartInterface(engine)

    async def login() -> Any:
        return quart.jsonify(sign_in(quart_session))

    async def show() -> Any:
        return quart.jsonify(dump(quart_session))

    async def streamed() -> Any:
        query = quart.request.args
        seen(quart_session)

        @quart.stream_with_context
        async def body() -> AsyncIterator[bytes]:
            async for chunk in stream(quart_session, query["do"], "ends" in query):
                yield chunk

        return body()

    async def socket() -> None:
        socket = quart.websocket
        await socket.accept()
        await talk(quart_session, socket.args["do"], socket.send, socket.receive)

    for path, page in {"/login": login, "/": show, "/stream": streamed}.items():
        app.add_url_rule(path, page.__name__, page)
    app.add_websocket("/ws", "socket", socket)
    return app


def flask_app() -> Any:
    app: Any = flask.Flask(__name__)
    app.session_interface = FlaskInterface(engine)

    def streamed() -> Any:
        query = flask.request.args
        chunks = blocking_stream(seen(flask_session), query["do"], "ends" in query)
        return app.response_class(flask.stream_with_context(chunks))

    app.add_url_rule("/login", "login", lambda: sign_in(flask_session))
    app.add_url_rule("/", "dump", lambda: dump(flask_session))
    app.add_url_rule("/stream", "stream", streamed)
    return app


def wsgi_app() -> Any:
    """No framework, as for Bottle, Pyramid and Falcon over WSGI: they hand their iterables on."""

    def app(environ: Any, start_response: Any) -> Any:
        session, query = environ["fluidauth.session"], dict(parse_qsl(environ["QUERY_STRING"]))
        answers = {"/login": sign_in, "/": dump}
        if environ["PATH_INFO"] in answers:
            body = json.dumps(answers[environ["PATH_INFO"]](session)).encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        session.mark_accessed()
        start_response("200 OK", [])
        return blocking_stream(seen(session), query["do"], "ends" in query)

    return SessionMiddleware(app, engine=engine)
