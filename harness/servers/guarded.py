"""An application that others want to misuse, for ASGI and WSGI; it notes what came and what became of it.

Below ``/none`` its cookie has ``SameSite=None``, below ``/lax`` the default. Requests of other origins are
blocked, whatever the application does: ``act`` does not even look at its session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from fluidauth import ASGISessionMiddleware, CookieOptions, Session, SessionEngine, WSGISessionMiddleware
from fluidauth.middleware.asgi import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(os.environ["FLUIDAUTH_DATABASE"]).parent
NOTES = FOLDER / "notes"
"""What came: a line of JSON for each request with a mark in its query."""
PAGE = FOLDER / "page.html"
"""What ``/page`` shows."""
_HTML = ("Content-Type", "text/html; charset=utf-8")


class Guard(NamedTuple):
    """A cookie of one kind, and the applications behind it."""

    cookie: str
    wsgi: WSGIApplication
    asgi: ASGIApp


def answer(session: Session, path: str) -> str:
    """Do what the end of *path* says; return a page."""
    match path.rpartition("/")[2]:
        case "page":
            return PAGE.read_text("utf-8")
        case "enter":
            session.login("alice", cross_site=True)
        case "login" | "callback":
            session.login("mallory")
        case "whoami":
            return session.user_id or ""
    return ""


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer, and say that the request was seen."""
    environ["test.reached"].append(True)
    page = answer(environ["fluidauth.session"], environ["PATH_INFO"])
    start_response("200 OK", [_HTML])
    return [page.encode()]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, and say that the request was seen; accept a WebSocket and close it."""
    scope["test.reached"].append(True)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    page = answer(scope["session"], scope["path"])
    header = tuple(part.encode() for part in _HTML)
    await send({"type": "http.response.start", "status": 200, "headers": [header]})
    await send({"type": "http.response.body", "body": page.encode()})


def _guard(same_site: str) -> Guard:
    cookie = CookieOptions(name=f"__Host-{same_site}", same_site=same_site)
    database = f"{os.environ['FLUIDAUTH_DATABASE']}-{same_site}"
    engine = SessionEngine(store=database, cookie=cookie, cross_origin="block")
    return Guard(
        cookie.name, WSGISessionMiddleware(wsgi, engine=engine), ASGISessionMiddleware(asgi, engine=engine)
    )


GUARDS = {kind: _guard(kind) for kind in ("none", "lax")}


def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Note what comes before any of ours sees it, and the status of the answer."""
    guard = GUARDS.get(environ["PATH_INFO"].split("/")[1], GUARDS["none"])
    reached: list[bool] = []
    environ["test.reached"] = reached

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        _note(guard, environ["QUERY_STRING"], environ.get("HTTP_COOKIE", ""), int(status[:3]), bool(reached))
        return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

    return guard.wsgi(environ, start)


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Do as ``wsgi_app``."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("an application without lifespan says so by raising")
    guard = GUARDS.get(scope["path"].split("/")[1], GUARDS["none"])
    reached: list[bool] = []
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode()
    note = partial(_note, guard, scope["query_string"].decode(), cookies)

    async def tell(message: Message) -> None:
        status = {"websocket.accept": 101, "websocket.close": 403}.get(message["type"], message.get("status"))
        if status is not None and not (message["type"] == "websocket.close" and reached):
            note(status, bool(reached))
        await send(message)

    await guard.asgi({**scope, "test.reached": reached}, receive, tell)


def _note(guard: Guard, query: str, cookies: str, status: int, reached: bool) -> None:
    mark = parse_qs(query).get("mark")
    if mark:
        with NOTES.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([mark[0], f"{guard.cookie}=" in cookies, status, reached]) + "\n")
