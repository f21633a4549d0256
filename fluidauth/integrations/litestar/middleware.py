"""The middleware in Litestar, around it, or, as :mod:`.config` has it, within ``SessionAuth``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.exceptions import (
    ClientException,
    HTTPException,
    NotAuthorizedException,
    PermissionDeniedException,
)
from litestar.types import ASGIApp as LitestarApp

from fluidauth.engine import SessionEngine
from fluidauth.errors import ConfigError, Refusal
from fluidauth.events import logger
from fluidauth.middleware import ASGISessionMiddleware
from fluidauth.middleware.asgi import Receive, Scope, Send, session_in
from fluidauth.middleware.replaced import layers
from fluidauth.middleware.response import OnStoreError
from fluidauth.middleware.visits import is_nested
from fluidauth.session import Session
from fluidauth.session.faces import hides_names, tells_by

from .visits import VISITS

_INSIDE_CORS = (
    "Litestar's cors_config replaces our Vary by its own, so a cache could show one user another user's "
    "page: set app.asgi_handler = SessionMiddleware(app.asgi_handler, engine=engine)"
)


def _error_of(status: int) -> type[Exception]:
    return {400: ClientException, 401: NotAuthorizedException}.get(status, PermissionDeniedException)


def _as_http_error(raised: Any, error: Refusal) -> None:
    """Have *raised* be answered as Litestar's other errors of HTTP."""
    HTTPException.__init__(raised, detail=str(error), status_code=error.status, headers=error.headers())


@tells_by(_error_of, _as_http_error)
@hides_names("session_of(request).{name} has it; from fluidauth.integrations.litestar import session_of")
class LitestarFace(Session):
    """``request.session`` itself, with the names of a dict."""

    __slots__ = ()


class SessionMiddleware(ASGISessionMiddleware):
    """``request.session``; arguments as for :class:`~fluidauth.ASGISessionMiddleware`.

    Each request raises :class:`ConfigError` if this is inside of an application with *cors_config*.
    """

    session_class: type[Session] = LitestarFace
    shares_scope: bool = True
    visits: Mapping[str, Any] | None = VISITS

    def __init__(
        self,
        app: LitestarApp,
        *,
        engine: SessionEngine,
        autoload: bool | Callable[[Scope], bool] = True,
        on_store_error: OnStoreError = "respond",
    ) -> None:
        inside: Any = app  # Litestar has its own types of scopes and messages
        super().__init__(inside, engine=engine, autoload=autoload, on_store_error=on_store_error)
        self._around_cors = any(_is_cors(layer) for layer in layers(inside))

    if TYPE_CHECKING:  # as above

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    else:

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            cors = getattr(scope.get("litestar_app"), "cors_config", None) is not None
            if cors and not (self._around_cors or is_nested(scope.get("session"), self.engine.requests)):
                logger.error("%s", _INSIDE_CORS)  # as Litestar does not log why it answers with 500
                raise ConfigError(_INSIDE_CORS)
            await super().__call__(scope, receive, send)


def session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
    """Return the session of a request or WebSocket, with all names. ``request.session`` has those of dict.

    Raise :class:`ConfigError` if no session middleware is in place, or another one replaced the session.
    """
    return session_in(connection.scope, "middleware=[FluidAuthSessionConfig(engine=engine).middleware]")


def _is_cors(layer: type) -> bool:
    return layer.__name__ == "CORSMiddleware" and layer.__module__.startswith("litestar.")
