"""Requests to an application in this process: one by one to look at, and in loops to be timed."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

REQUEST_HEADERS = {
    "host": "shop.example.com",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "accept-encoding": "gzip, deflate, br, zstd",
    "referer": "https://shop.example.com/cart",
}
OTHER_COOKIES = "_ga=GA1.1.1530291741.1712345678; {}; consent=necessary; theme=dark"
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "https",
    "root_path": "",
    "client": ("203.0.113.7", 41312),
    "server": ("10.0.0.2", 8000),
}
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "SERVER_NAME": "10.0.0.2",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "203.0.113.7",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "https",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.errors": sys.stderr,
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in REQUEST_HEADERS.items()},
}
SCOPE_HEADERS = [(name.encode(), value.encode()) for name, value in REQUEST_HEADERS.items()]
Protocol = Literal["WSGI", "ASGI"]


class Request(NamedTuple):
    """A path, a query string, and the Cookie header, or None."""

    path: str
    query: str = ""
    cookie: str | None = None


class Answer(NamedTuple):
    status: int
    text: str
    set_cookies: list[str]

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that are set, as ``name=value`` by their name; one that is deleted is empty."""
        found = {}
        for header in self.set_cookies:
            pair, _, attributes = header.partition(";")
            name, _, value = pair.partition("=")
            is_gone = "max-age=0" in attributes.lower() or "01 jan 1970" in attributes.lower()
            found[name] = "" if is_gone or value in ("", '""', "null") else pair
        return found


def prepare(protocol: Protocol, request: Request) -> dict[str, Any]:
    """Return the scope or environ of *request*."""
    path, query, cookie = request
    if protocol == "ASGI":
        headers = [*SCOPE_HEADERS]
        if cookie is not None:
            headers.append((b"cookie", OTHER_COOKIES.format(cookie).encode()))
        raw = {"raw_path": f"/{path}".encode(), "query_string": query.encode()}
        return {**SCOPE, "path": f"/{path}", **raw, "headers": headers}
    environ = {**ENVIRON, "PATH_INFO": f"/{path}", "QUERY_STRING": query, "wsgi.input": io.BytesIO()}
    if cookie is not None:
        environ["HTTP_COOKIE"] = OTHER_COOKIES.format(cookie)
    return environ


async def ask(protocol: Protocol, app: Any, request: Request) -> Answer:
    """Make *request*; a WSGI application answers in a thread, so that many may be under way."""
    prepared = prepare(protocol, request)
    if protocol == "ASGI":
        return await _ask_asgi(app, prepared)
    return await asyncio.to_thread(_ask_wsgi, app, prepared)


async def _ask_asgi(app: Any, scope: dict[str, Any]) -> Answer:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receiver(), send)
    start = next(message for message in messages if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in messages)
    cookies = [value.decode() for name, value in start["headers"] if name.lower() == b"set-cookie"]
    return Answer(start["status"], body.decode(), cookies)


def _ask_wsgi(app: Any, environ: dict[str, Any]) -> Answer:
    found: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., None]:
        found[:] = [int(status[:3]), [value for name, value in headers if name.lower() == "set-cookie"]]
        return nothing

    body = app(environ, start_response)
    text = b"".join(body).decode()
    getattr(body, "close", nothing)()
    return Answer(found[0], text, found[1])


def receiver() -> Callable[[], Any]:
    """Return the receive of one request without a body, whose client waits for the answer."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for message in messages:
            return message
        await asyncio.get_running_loop().create_future()  # a client that hangs up is no part of this

    return receive


# -- loops that are timed: no more Python around a request than must be ----------------------------


async def drive(protocol: Protocol, app: Any, requests: Sequence[dict[str, Any]]) -> float:
    """Return the seconds that *app* takes for all *requests*, one after another.

    WSGI has a thread of its own, as in a server: beside an event loop Django refuses its database.
    """
    if protocol == "ASGI":
        return await drive_asgi(app, requests)
    return await asyncio.to_thread(drive_wsgi, app, requests)


async def send(message: Any) -> None:
    """Drop *message*."""


def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., None]:
    return nothing


def nothing(*_: Any) -> Any:
    """Do nothing with what is given."""


async def drive_asgi(app: Any, requests: Sequence[dict[str, Any]], send: Any = send) -> float:
    """To await costs no turn of the event loop unless the application itself waits."""
    start = time.perf_counter()
    for scope in requests:
        await app({**scope}, receiver(), send)
    return time.perf_counter() - start


def drive_wsgi(app: Any, requests: Sequence[dict[str, Any]], start_response: Any = start_response) -> float:
    start = time.perf_counter()
    for environ in requests:
        body = app({**environ}, start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return time.perf_counter() - start
