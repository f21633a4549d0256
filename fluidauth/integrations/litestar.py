"""Litestar's ``request.session``, kept on the server.

    app = Litestar([...], middleware=[DefineMiddleware(SessionMiddleware, engine=engine)])

or ``SessionMiddleware(app, engine=engine)`` around all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.types import ASGIApp as LitestarApp

from fluidauth.engine import SessionEngine
from fluidauth.middleware import ASGISessionMiddleware
from fluidauth.middleware.asgi import Scope, session_in
from fluidauth.middleware.response import OnStoreError
from fluidauth.session import Session
from fluidauth.session.faces import hides_names


@hides_names("session_of(request).{name} has it; from fluidauth.integrations.litestar import session_of")
class LitestarFace(Session):
    """``request.session`` itself, with the names of a dict."""

    __slots__ = ()


class SessionMiddleware(ASGISessionMiddleware):
    """``request.session``; arguments as for :class:`~fluidauth.ASGISessionMiddleware`."""

    session_class: type[Session] = LitestarFace
    shares_scope: bool = True

    def __init__(
        self,
        app: LitestarApp,
        *,
        engine: SessionEngine,
        autoload: bool | Callable[[Scope], bool] = True,
        on_store_error: OnStoreError = "respond",
    ) -> None:
        application: Any = app
        super().__init__(application, engine=engine, autoload=autoload, on_store_error=on_store_error)

    if TYPE_CHECKING:  # Litestar's types of scopes and messages are not those of others

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
    """Return the session of a request or WebSocket, of which ``request.session`` has a dict's names alone.

    Raise :class:`ConfigError` where no session middleware is in place.
    """
    return session_in(connection.scope, "SessionMiddleware(app, engine=engine)")
