"""Which sessions a public key opens, and where: the one place that decides it.

A key is kept in tables and shown on pages, so it proves nothing about its sender. Django's own middleware,
Channels and others pass what a client sent to ``SessionStore(…)``. Packages pass what they kept, by the same
call. So in a request, a key opens only what that request may see anyway. Under our middleware that is its
own session, and other sessions of its signed-in user. In a command, a task or a shell no client sends
anything, so a key opens its session. This holds in the main thread only, because servers use other threads,
and requests begin some. It also holds in a block of :func:`trusting_keys`. A token opens its session
everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.core.exceptions import DisallowedHost
from django.core.signals import request_finished, request_started
from django.http import HttpRequest

from fluidauth.concurrency import serves_a_loop
from fluidauth.formats.request_head import RequestHead
from fluidauth.records import SessionRecord

_requested: ContextVar[int] = ContextVar("fluidauth_requested", default=0)
"""How many requests run here, one within another."""
_trusting: ContextVar[bool] = ContextVar("fluidauth_trusting_keys", default=False)


class Serving:
    """A request under our middleware, and the tokens behind the keys that it was given."""

    def __init__(self, request: HttpRequest, since: float) -> None:
        self.request = request
        self.tokens: dict[str, str] = {}
        self.since = since


_serving: ContextVar[Serving | None] = ContextVar("fluidauth_serving", default=None)


@contextmanager
def serving(request: HttpRequest, since: float) -> Iterator[None]:
    """Let the keys of *request*'s user open that user's sessions in this block. It began at *since*."""
    before = _serving.set(Serving(request, since))
    try:
        yield
    finally:
        _serving.reset(before)


@contextmanager
def trusting_keys() -> Iterator[None]:
    """Let any public key open its session in this block: ``SessionStore(key)`` loads and saves it.

    Use it in a page for staff, or in a task in a thread or on an event loop, with keys from your own table.
    Never pass what a client sent to ``SessionStore`` there. To end a session, or to see if it is live, a key
    is enough anywhere: ``SessionStore().delete(key)``.
    """
    before = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(before)


def request_head() -> RequestHead | None:
    """Return the head of the request that is served, as Django's settings say what a proxy may tell of it."""
    now = _serving.get()
    return None if now is None else head_of(now.request)


def served() -> HttpRequest | None:
    """Return the request that is served."""
    now = _serving.get()
    return None if now is None else now.request


def served_since() -> float | None:
    """Return when the request that is served began, in Unix seconds."""
    now = _serving.get()
    return None if now is None else now.since


def head_of(request: HttpRequest) -> RequestHead:
    """Return the head of *request*."""
    try:
        host = request.get_host()
    except DisallowedHost:  # no page of ours is there
        host = ""
    return RequestHead({**request.META, "wsgi.url_scheme": request.scheme, "HTTP_HOST": host})


def remember(key: str, token: str) -> None:
    """Note that this request was given the *key* of the session that *token* opens."""
    now = _serving.get()
    if now is not None:
        now.tokens[key] = token


def token_behind(key: str | None) -> str | None:
    """Return the token of the session if this request was given its *key*, or else *key*."""
    now = _serving.get()
    return key if now is None or key is None else now.tokens.get(key, key)


def keys_open() -> bool:
    """Return whether any key may open anything here. If not, no store is asked for what a client sent."""
    return _trusts() or _own() is not None


def may_open(record: SessionRecord) -> bool:
    """Return whether its key may open the session of *record* here."""
    own = _own()
    if own is None or _trusts():
        return _trusts()
    own._get_session()
    return bool(own._vouches_for(record))


async def amay_open(record: SessionRecord) -> bool:
    own = _own()
    if own is None or _trusts():
        return _trusts()
    await own._aget_session()
    return bool(own._vouches_for(record))


def _trusts() -> bool:
    """Return whether a key is trusted: the application says so, or no client can have sent it.

    If an event loop runs, the caller may be Channels, and nothing reports its requests.
    """
    if _trusting.get():
        return True
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and not (_requested.get() or serves_a_loop())


def is_unseen() -> bool:
    """Return whether the caller may be a request that our middleware is not around."""
    is_seen = _trusting.get() or _serving.get() is not None
    return not is_seen and bool(_requested.get() or serves_a_loop())


def _own() -> Any:
    """Return the session of the request that is served. One under a public key proves nothing."""
    now = _serving.get()
    own = None if now is None else getattr(now.request, "session", None)
    return None if getattr(own, "_is_named", True) else own


def _begun(**_: object) -> None:
    _requested.set(_requested.get() + 1)


def _finished(**_: object) -> None:
    _requested.set(max(0, _requested.get() - 1))


request_started.connect(_begun)
request_finished.connect(_finished)
