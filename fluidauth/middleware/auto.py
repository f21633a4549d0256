"""``SessionMiddleware``: the middleware that fits the application."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from fluidauth.engine import SessionEngine
from fluidauth.errors import ConfigError

from .asgi import ASGISessionMiddleware
from .wsgi import WSGISessionMiddleware


def SessionMiddleware(
    app: Any, *, engine: SessionEngine, **options: Any
) -> ASGISessionMiddleware | WSGISessionMiddleware:
    """Wrap any WSGI or ASGI application. Servers see the result as the same kind of application.

    *options* are those of :class:`ASGISessionMiddleware` or
    :class:`WSGISessionMiddleware`. Raise :class:`ConfigError` if *app* is neither.
    """
    middleware = ASGISessionMiddleware if _is_asgi(app) else WSGISessionMiddleware
    return middleware(app, engine=engine, **options)


def _is_asgi(app: Any) -> bool:
    while isinstance(app, functools.partial):
        app = app.func
    if inspect.isclass(app) or not callable(app):
        raise ConfigError(f"app={app!r} is not an application; pass an instance or a function")
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        return True
    try:
        inspect.signature(app).bind("environ", "start_response")
    except TypeError:
        pass
    else:
        return False
    try:
        inspect.signature(app).bind("scope", "receive", "send")
    except TypeError:
        raise ConfigError(
            f"app={app!r} takes neither (environ, start_response) nor (scope, receive, send)"
        ) from None
    return True
