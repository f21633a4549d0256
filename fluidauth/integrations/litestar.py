"""Litestar's ``request.session``, kept on the server.

    app = Litestar([...], middleware=[DefineMiddleware(SessionMiddleware, engine=engine)])

or ``SessionMiddleware(app, engine=engine)`` around all of it, as it must be where *cors_config* is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.types import ASGIApp as LitestarApp
from litestar.types import Empty

from fluidauth.engine import SessionEngine
from fluidauth.errors import ConfigError, SessionClosed
from fluidauth.events import logger
from fluidauth.middleware import ASGISessionMiddleware
from fluidauth.middleware.asgi import ASGIApp, Message, Receive, Scope, Send, session_in
from fluidauth.middleware.response import OnStoreError
from fluidauth.session import Session
from fluidauth.session.faces import hides_names

_OURS = "fluidauth.session"  # in the scope, whatever the application puts under "session"
_INSIDE_CORS = (
    "Litestar's cors_config puts a Vary of its own in the place of ours, so that a cache would show one user "
    "another's page: put SessionMiddleware(app, engine=engine) around the application"
)


@hides_names("session_of(request).{name} has it; from fluidauth.integrations.litestar import session_of")
class LitestarFace(Session):
    """``request.session`` itself, with the names of a dict."""

    __slots__ = ()


class SessionMiddleware(ASGISessionMiddleware):
    """``request.session``; arguments as for :class:`~fluidauth.ASGISessionMiddleware`.

    Each request raises :class:`ConfigError` where this stands within an application with *cors_config*.
    """

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
        super().__init__(_clearing(app), engine=engine, autoload=autoload, on_store_error=on_store_error)

    if TYPE_CHECKING:  # Litestar's types of scopes and messages are not those of others

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
    """Return the session of a request or WebSocket, of which ``request.session`` has a dict's names alone.

    Raise :class:`ConfigError` where no session middleware is in place.
    """
    _clear_if_asked(connection.scope)
    return session_in(connection.scope, "SessionMiddleware(app, engine=engine)")


def _clearing(app: Any) -> ASGIApp:
    """Return *app*, whose ``request.clear_session()`` is ``request.session.clear()`` at its next message."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        def passes_on(message: Message) -> Awaitable[None]:
            _clear_if_asked(scope)
            return send(message)

        if "session" not in scope:  # lifespan
            await app(scope, receive, send)
            return
        if getattr(scope.get("litestar_app"), "cors_config", None) is not None:
            logger.error("%s", _INSIDE_CORS)  # as Litestar tells nobody why it answers with 500
            raise ConfigError(_INSIDE_CORS)
        scope[_OURS] = scope["session"]
        try:
            await app(scope, receive, passes_on)
        finally:
            _clear_if_asked(scope)

    return wrapped


def _clear_if_asked(scope: Any) -> None:
    """Put our session back where Litestar has ``Empty`` in its place, and clear it."""
    session = scope.get(_OURS)
    if scope.get("session") is Empty and isinstance(session, Session):
        scope["session"] = session
        with suppress(SessionClosed):  # nothing is left that could be cleared
            Session.clear(session)
