"""One application for ASGI and WSGI, without a framework, configured by the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from fluidauth import Keyring, Session, SessionEngine, SessionMiddleware
from fluidauth.adoption import Adopter
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.middleware.asgi import Receive, Scope, Send

from .operations import outside, step


def answer(session: Session, path: str, query: dict[str, str]) -> Any:
    """Do what *path* says and return what it asks for; any other path leaves the session alone."""
    match path:
        case "/login":
            session.login(query["user"])
        case "/logout":
            session.logout()
        case "/set":
            session[query["key"]] = query["value"]
        case "/add":
            session.add(query["key"])
        case "/get":
            return session.get(query["key"])
        case "/dump":
            return dict(session)
        case "/whoami":
            return session.user_id
        case "/process":
            return os.getpid(), session.user_id
        case "/step":
            step(session, query)
            return session.user_id, dict(session)
    return None


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    session = environ["fluidauth.session"]
    if environ["PATH_INFO"] == "/leave":
        return _farewell(session, start_response)
    outside(engine, query)
    value = answer(session, environ["PATH_INFO"], query)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


def _farewell(session: Session, start_response: StartResponse) -> Iterator[bytes]:
    """Log out when the response has begun."""
    session.mark_accessed()
    start_response("200 OK", [("Content-Type", "application/json")])
    yield b" "
    session.logout()
    yield json.dumps((session.user_id, dict(session))).encode()


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    handlers: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
        "/ws": _websocket,
        "/leave": _leave,
        "/events": _events,
    }
    if scope["type"] == "lifespan":
        raise NotImplementedError("an application without lifespan says so by raising")
    await handlers.get(scope["path"], _http)(scope, receive, send)


async def _http(scope: Scope, receive: Receive, send: Send) -> None:
    query = dict(parse_qsl(scope["query_string"].decode()))
    ending = outside(engine, query, "a")
    if ending is not None:
        await ending
    value = answer(scope["session"], scope["path"], query)
    await _start(send, b"application/json")
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def _websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell who connected and keep the one message that comes."""
    session = scope["session"]
    await receive()
    session.add("connections")
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": json.dumps(session.user_id)})
    message = await receive()
    session["message"] = message["text"]
    await send({"type": "websocket.close"})


async def _leave(scope: Scope, receive: Receive, send: Send) -> None:
    """Log out when the response has begun, or the WebSocket is open."""
    session = scope["session"]
    session.mark_accessed()
    is_socket = scope["type"] == "websocket"
    if is_socket:
        await receive()
        await send({"type": "websocket.accept"})
    else:
        await _start(send, b"application/json")
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
    session.logout()
    text = json.dumps((session.user_id, dict(session)))
    if is_socket:
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})
    else:
        await send({"type": "http.response.body", "body": text.encode()})


async def _events(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream three events and keep the number of the last."""
    session = scope["session"]
    session.mark_accessed()  # before the head, as Vary goes there
    await _start(send, b"text/event-stream")
    for number in range(1, 4):
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        session["last_event"] = number
    await send({"type": "http.response.body"})


async def _start(send: Send, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})


def _keyring() -> Keyring | None:
    """Return a keyring that is looked at more often than by default, if the test says so."""
    interval = os.environ.get("TEST_KEYRING_INTERVAL")
    return Keyring.from_file(os.environ["FLUIDAUTH_KEYRING"], interval=float(interval)) if interval else None


def _former() -> list[Adopter]:
    """Return what reads sessions that Starlette began, if the test says with which secret."""
    secret = os.environ.get("TEST_FORMER_SECRET")
    return [StarletteCookie(secret, user_id=former_user)] if secret else []


def former_user(fields: dict[str, Any]) -> str | None:
    """Return the user of such a session: what stands before the slash in one of its values."""
    return str(fields["user"]).partition("/")[0] if "user" in fields else None


engine = SessionEngine(_keyring(), adopt=_former())
if os.environ.get("TEST_WARM"):  # the store is used before the server forks
    engine.delete_session(engine.create_session("nobody")[1].handle or "")
asgi_app = SessionMiddleware(asgi, engine=engine)
wsgi_app = SessionMiddleware(wsgi, engine=engine)
