"""Layers outside of a middleware, and what applications inside of it do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from fluidauth import SessionClosed, SessionEngine
from fluidauth.integrations import starlette
from fluidauth.integrations.starlette import session_of
from fluidauth.testing import memory_engine


class Outside:
    """A layer outside of all, as an access log: it looks at the scope when the response is through."""

    def __init__(self, app: Any, look: Callable[[Any], Any]) -> None:
        self.app = app
        self.look = look
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self.seen.append(self.look(scope))


def dropped_in(*routes: Any, engine: SessionEngine | None = None, **options: Any) -> Starlette:
    middleware = [Middleware(starlette.SessionMiddleware, engine=engine or memory_engine(), **options)]
    return Starlette(routes=[*routes], middleware=middleware)


async def item(request: Request) -> Response:
    session_of(request).login("ada", {"user_id": 42})
    return PlainTextResponse("item")


async def boom(request: Request) -> Response:
    session_of(request).login("ada", {"user_id": 42})
    raise ZeroDivisionError


async def untouched(request: Request) -> Response:
    return PlainTextResponse("untouched")


def refused(scope: Any) -> str:
    """Return what a change says."""
    with pytest.raises(SessionClosed) as error:
        scope["session"]["late"] = 1
    return str(error.value)


def counting(key: str) -> Any:
    async def count(request: Request) -> Response:
        request.session[key] = request.session.get(key, 0) + 1
        return JSONResponse(request.session)

    return count
