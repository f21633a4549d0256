"""Applications without a framework, for peers that are middleware and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from .peer import Place, bare_answer

HEADERS = [("content-type", "text/plain; charset=utf-8")]
HEADERS_IN_BYTES = [(name.encode(), value.encode()) for name, value in HEADERS]


def asgi_app(respond: Callable[[str, str, Any], Awaitable[str]]) -> Any:
    """Return an ASGI application; *respond* is given path, query string and scope."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        text = await respond(scope["path"][1:], scope["query_string"].decode(), scope)
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS_IN_BYTES]})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


def wsgi_app(respond: Callable[[str, str, Any], str]) -> Any:
    """Return a WSGI application; *respond* is given path, query string and environ."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        text = respond(environ["PATH_INFO"][1:], environ["QUERY_STRING"], environ)
        start_response("200 OK", [*HEADERS])
        return [text.encode()]

    return app


def bare_asgi(place: Place) -> Any:
    async def respond(path: str, query: str, scope: Any) -> str:
        return bare_answer(place, path)

    return asgi_app(respond)


def bare_wsgi(place: Place) -> Any:
    return wsgi_app(lambda path, query, environ: bare_answer(place, path))


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
