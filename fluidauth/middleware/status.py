"""The page that says how long the session still lasts, and the script that shows it: ``status_path``.

A ``GET`` prolongs nothing, so a page can ask as often as it likes. A ``POST`` is activity.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from fluidauth.formats.headers import Answer
from fluidauth.formats.request_head import RequestHead
from fluidauth.session import Session
from fluidauth.session.faces import view_of

from .asgi_visits import Receive, Scope, Send, send_http

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ENDING = ".js"
_METHODS = ("GET", "HEAD", "POST")
_WRONG_METHOD = Answer("405 Method Not Allowed", b"", (("allow", ", ".join(_METHODS)),))


def is_status(path: str | None, asked: str) -> bool:
    """Return whether *asked* is *path*, of the page, or that of its script."""
    return path is not None and asked in (path, f"{path}{ENDING}")


@cache
def script() -> Answer:
    """Return the script, which any page may keep for an hour."""
    text = files(__package__).joinpath("countdown.js").read_bytes()
    return Answer("200 OK", text, kind="text/javascript; charset=utf-8", cached="max-age=3600")


def of_method(path: str, method: str) -> Answer | None:
    """Return the answer that needs no session; None if it needs one."""
    if method not in _METHODS:
        return _WRONG_METHOD
    return script() if path.endswith(ENDING) else None


class Lasting(Protocol):
    """What is asked of a session, read already."""

    @property
    def user_id(self) -> str | None: ...
    @property
    def ends_at(self) -> int | None: ...
    @property
    def expires_at(self) -> int | None: ...


def says_of(session: Lasting, now: int) -> Answer:
    """Return how long *session* still lasts, in seconds."""
    ends, expires = session.ends_at, session.expires_at
    text = {
        "signed_in": session.user_id is not None,
        "expires_in": None if expires is None else max(0, expires - now),
        "ends_in": None if ends is None else max(0, ends - now),
    }
    return Answer("200 OK", f"{json.dumps(text)}\n".encode("ascii"), kind="application/json")


def answer(session: Session, path: str, method: str, now: int) -> Answer:
    """Return the answer to a request for the page or its script."""
    found = of_method(path, method)
    if found is not None:
        return found
    session.counts_as_activity = False
    if method == "POST":
        session.extend()
    return says_of(session, now)


async def aanswer(session: Session, path: str, method: str, now: int) -> Answer:
    """Do as :func:`answer`, without blocking."""
    found = of_method(path, method)
    if found is not None:
        return found
    await session.aload()
    session.counts_as_activity = False
    if method == "POST":
        await session.aextend()
    return says_of(session, now)


def wsgi(
    now: Callable[[], int], key: str, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve the page in the place of an application whose session is under *key*."""
    head = RequestHead(environ)
    found = answer(environ[key], head.path, head.method, now())
    start_response(found.status, found.headers)
    return [b"" if head.method == "HEAD" else found.body]


async def asgi(now: Callable[[], int], scope: Scope, receive: Receive, send: Send) -> None:
    """Do as :func:`wsgi`, for ASGI."""
    found = await aanswer(view_of(scope["session"]), scope["path"], scope["method"], now())
    headers = found.headers  # with the length that a GET would have
    await send_http(send, found._replace(body=b"") if scope["method"] == "HEAD" else found, headers)
