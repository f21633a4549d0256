"""Litestar's own way to configure sessions, with ours behind it: ``FluidAuthSessionConfig``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.middleware import DefineMiddleware
from litestar.middleware.session import SessionMiddleware as LitestarsSessionMiddleware
from litestar.middleware.session.server_side import ServerSideSessionBackend, ServerSideSessionConfig
from litestar.stores.base import Store
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fluidauth.engine import SessionEngine
from fluidauth.engine.settings import Guards, Secret
from fluidauth.engine.settings import Store as OurStore
from fluidauth.errors import ConfigError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.headers import BYTES
from fluidauth.middleware.response import OnStoreError, ResponseVisit, check_settings
from fluidauth.records import MAX_LIFETIME
from fluidauth.rules.loading import identify
from fluidauth.rules.user_fields import FLASK_LOGIN, UserKey
from fluidauth.secrecy import without_locals
from fluidauth.session import Session

from .middleware import SessionMiddleware
from .store import SessionsAsStore
from .visits import fields_for


class FluidAuthSessionBackend(ServerSideSessionBackend):
    """The sessions of an engine, as Litestar's test clients, ``SessionAuth`` and commands ask for them."""

    config: FluidAuthSessionConfig

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:  # type: ignore[override]
        """Return the handle that the cookie of *connection* names; None without a genuine cookie."""
        credentials, _ = identify(self.config.engine_in_use.policy, self._cookies(connection))
        return credentials[0].handle if len(credentials) == 1 else None

    async def load_from_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> dict[str, Any]:
        """Return the fields of the session that the cookie of *connection* opens; none if it opens none."""
        _, session = self._visit(connection)
        await session.aload()
        return dict(session)

    async def store_in_message(
        self, scope_session: Any, message: Message, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> None:
        """Store the fields *scope_session*, or clear the session, and put its cookie into the head *message*.

        Raise :class:`PayloadError` for a value that is not JSON.
        """
        visit, session = self._visit(connection)
        await session.aload()
        fields = fields_for(scope_session, connection.scope, "the session")
        if fields:
            session.become(fields)
        else:
            session.clear()
        await visit.asave_head(session, 200)
        head: Any = message
        visit.close_head()
        head["headers"][:] = visit.headers(head.setdefault("headers", []), BYTES, connection.scope)

    def _visit(self, connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[ResponseVisit, Session]:
        requests = self.config.engine_in_use.requests
        visit = ResponseVisit(requests, self._cookies(connection), requests.store.inline)
        return visit, Session(visit)

    def _cookies(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        return "; ".join(f"{name}={value}" for name, value in connection.cookies.items())


class ConfiguredMiddleware(LitestarsSessionMiddleware[FluidAuthSessionBackend]):
    """Ours in the place of Litestar's. Its ``exclude``, ``exclude_opt_key`` and ``scopes`` count as well."""

    def __init__(self, app: ASGIApp, backend: FluidAuthSessionBackend) -> None:
        super().__init__(app=app, backend=backend)
        config = backend.config
        self._sessions = SessionMiddleware(
            app,
            engine=config.engine_in_use,
            autoload=config.autoload,
            on_store_error=config.on_store_error,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sessions(scope, receive, send)


@dataclass
class FluidAuthSessionConfig(ServerSideSessionConfig):
    """``middleware=[config.middleware]``, or the *session_backend_config* of Litestar's ``SessionAuth``.

    Sessions are those of *engine*. Without one, *secret* (one, several or a keyring) or else the environment
    signs, as for :class:`~fluidauth.SessionEngine`. The argument *store* is a store or its URL, SQLite by
    default. The arguments *key*, *path*, *domain*, *secure*, *httponly* and *samesite* describe the cookie,
    with Litestar's defaults. A session ends *max_age* seconds after its beginning or login, or with
    *renew_on_access* that long after its last use.

    The options *autoload* and *on_store_error* are those of :class:`~fluidauth.ASGISessionMiddleware`. Raise
    :class:`ConfigError` for a weak secret or a wrong setting.
    """

    _backend_class = FluidAuthSessionBackend

    engine: SessionEngine | None = field(default=None, kw_only=True)
    """Given, or made from the rest; :attr:`engine_in_use` is the same."""
    secret: Secret | None = field(default=None, repr=False, kw_only=True)
    """What signs if no engine is given; it is not kept here."""
    store: OurStore | None = None  # type: ignore[assignment]  # a name in Litestar
    """What keeps the sessions if no engine is given."""
    user_key: UserKey | None = field(default=FLASK_LOGIN, kw_only=True)
    """The field by which the application signs users in, if no engine is given."""
    autoload: bool | Callable[[Any], bool] = field(default=True, kw_only=True)
    on_store_error: OnStoreError = field(default="respond", kw_only=True)
    guards: Guards = field(default_factory=Guards, kw_only=True)
    """More arguments of the engine, from ``cross_origin`` to ``clear_site_data``, if no engine is given."""
    development: bool | None = field(default=None, kw_only=True)
    """Whether development mode is on, if no engine is given."""

    @without_locals
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.session_id_bytes != _DEFAULTS["session_id_bytes"]:
            raise ConfigError("session_id_bytes cannot be chosen: fluidauth's ids have 24 random bytes")
        if self.engine is None:
            self.engine, self.secret = self._build(), None
        elif self.guards or (self.secret, self.store, self.user_key, self.development) != _NO_OTHERS:
            raise ConfigError("give either an engine, or secret, store and user_key, not both")
        else:
            self._take_over(self.engine)

    def _build(self) -> SessionEngine:
        cookie = CookieOptions(
            name=self.key,
            secure=self.secure,
            http_only=self.httponly,
            same_site=self.samesite,
            path=self.path,
            domain=self.domain,
        )
        return SessionEngine(
            self.secret,
            self.store,
            absolute_timeout=MAX_LIFETIME if self.renew_on_access else self.max_age,
            idle_timeout=self.max_age if self.renew_on_access else None,
            cookie=cookie,
            user_key=self.user_key,
            development=self.development,
            connect="lazy",  # as Litestar's own, it starts even without its store
            **self.guards,
        )

    def _take_over(self, engine: SessionEngine) -> None:
        """Show Litestar what *engine* has; raise :class:`ConfigError` for settings it would not follow."""
        check_settings(engine, self.on_store_error)
        cookie, lifetime = engine.policy.cookie, engine.policy.lifetime
        known: dict[str, Any] = {
            "key": cookie.name,
            "max_age": lifetime.absolute_seconds,
            "path": cookie.path,
            "domain": cookie.domain,
            "secure": cookie.secure,
            "httponly": cookie.http_only,
            "samesite": cookie.same_site,
            "renew_on_access": lifetime.idle is not None,
        }
        for name, value in known.items():
            if getattr(self, name) not in (_DEFAULTS[name], value):
                raise ConfigError(f"{name}={getattr(self, name)!r}: give it to the engine, or give no engine")
            setattr(self, name, value)

    @property
    def engine_in_use(self) -> SessionEngine:
        """The engine that was given, or made."""
        if self.engine is None:
            raise ConfigError("the configuration has no engine any more: it was set to None")
        return self.engine

    @property
    def middleware(self) -> DefineMiddleware:
        """Goes into the list ``middleware`` of an application, a router or a handler."""
        return DefineMiddleware(ConfiguredMiddleware, backend=FluidAuthSessionBackend(config=self))

    def get_store_from_app(self, app: Litestar) -> Store:
        """Return the sessions as a store of Litestar's, by their handles; *app* is not used."""
        return SessionsAsStore(self.engine_in_use)


_NO_OTHERS = (None, None, FLASK_LOGIN, None)  # of the fields that an engine stands for
_DEFAULTS = {each.name: each.default for each in fields(ServerSideSessionConfig)}
