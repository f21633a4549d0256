"""Starlette's own ``SessionMiddleware``, with sessions that stay on the server.

    from fluidauth.integrations.starlette import SessionMiddleware

instead of ``starlette.middleware.sessions`` is the only line that changes.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import Any, NoReturn, Unpack

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from fluidauth.adoption import Adopted, Adopter
from fluidauth.concurrency import on_asyncio
from fluidauth.engine import SessionEngine
from fluidauth.engine.settings import Guards, Store, unless_our_own
from fluidauth.errors import ConfigError, Refusal
from fluidauth.formats.cookies import CookieOptions
from fluidauth.keys.named import NamedSecrets, numbered
from fluidauth.middleware import ASGISessionMiddleware
from fluidauth.middleware.asgi import ASGIApp, Receive, Scope, Send, session_in
from fluidauth.middleware.response import OnStoreError
from fluidauth.rules.user_fields import FLASK_LOGIN, UserKey
from fluidauth.secrecy import HoldsSecrets, without_locals
from fluidauth.session import Session
from fluidauth.session.faces import hides_names, tells_by

__all__ = ["SessionMiddleware", "StarletteCookie", "session_of"]

FOURTEEN_DAYS = 14 * 24 * 60 * 60  # seconds, Starlette's default


_ADVICE = "replace it, or keep it and set FLUIDAUTH_SECRET, which comes first. Make one with"
_NO_OTHERS = (None, None, FLASK_LOGIN, True, None, None)  # of the arguments that an engine stands for
ADVICE = "session_of(request).{name} has it; from fluidauth.integrations.starlette import session_of"


class _MarkAccessed:
    """Starlette calls ``mark_accessed`` if there is one. Looking for it marks, and finds no attribute."""

    def __get__(self, session: Session, owner: object = None) -> NoReturn:
        if session is not None:
            Session.mark_accessed(session)
        raise AttributeError(ADVICE.format(name="mark_accessed"))


def as_http_error(raised: Any, error: Refusal) -> None:
    """Have *raised* be answered as Starlette's other errors of HTTP, by FastAPI in JSON."""
    HTTPException.__init__(raised, error.status, str(error), error.headers())


@tells_by(lambda status: HTTPException, as_http_error)
@hides_names(ADVICE)
class StarletteFace(Session):
    """``request.session`` itself, with the names of a dict."""

    __slots__ = ()
    mark_accessed: Any = _MarkAccessed()


class SessionMiddleware(ASGISessionMiddleware):
    """``request.session``, by the arguments that Starlette's middleware takes.

    The argument *secret_key* is text, a ``starlette.datastructures.Secret`` or several of them, newest first.
    Without one the environment is asked, as by :class:`~fluidauth.SessionEngine`. If the environment has
    ``FLUIDAUTH_SECRET``, ``FLUIDAUTH_SECRETS`` or ``FLUIDAUTH_KEYRING``, that signs instead. Then
    *secret_key* only says what is adopted.

    A session ends *max_age* seconds after its beginning or login. With None, the cookie ends with the browser
    and the session after 14 days. As in Starlette, *https_only* is false. If you set it, the cookie is sent
    over https only.

    Sessions that Starlette began under a strong *secret_key* go on until *adopt_until*, by default as long as
    the last of their cookies may live. Until then anyone who has the secret can sign in as any user. With
    *adopt* false they do not go on.

    The arguments *store*, *user_key*, *adopt*, *development* and *guards* (from ``cross_origin`` to
    ``clear_site_data``) are those of :class:`~fluidauth.SessionEngine`. An *engine* replaces all arguments
    except *autoload*, *on_store_error* and *frames_are_activity*, which are those of
    :class:`~fluidauth.ASGISessionMiddleware`. Raise :class:`ConfigError` for a weak secret or a wrong
    setting. If a server runs already, it stops with that message.
    """

    session_class: type[Session] = StarletteFace
    shares_scope: bool = True

    @without_locals
    def __init__(
        self,
        app: ASGIApp,
        secret_key: object = None,
        session_cookie: str = "session",
        max_age: int | None = FOURTEEN_DAYS,
        path: str = "/",
        same_site: str = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        engine: SessionEngine | None = None,
        store: Store | None = None,
        user_key: UserKey | None = FLASK_LOGIN,
        adopt: bool = True,
        adopt_until: datetime | None = None,
        autoload: bool = True,
        on_store_error: OnStoreError = "respond",
        frames_are_activity: bool = False,
        development: bool | None = None,
        **guards: Unpack[Guards],
    ) -> None:
        try:
            if engine is None:
                cookie = CookieOptions(
                    name=session_cookie,
                    secure=https_only,
                    same_site=same_site,
                    path=path,
                    domain=domain,
                    partitioned=partitioned,
                    persistent=max_age is not None,
                )
                engine = _engine_of(
                    cookie, store, secret_key, max_age, user_key, adopt, adopt_until, development, guards
                )
            elif guards or (secret_key, store, user_key, adopt, adopt_until, development) != _NO_OTHERS:
                raise ConfigError(
                    "give either an engine, or secret, store, user_key and what to adopt, not both"
                )
            super().__init__(
                app,
                engine=engine,
                autoload=autoload,
                on_store_error=on_store_error,
                frames_are_activity=frames_are_activity,
            )
        except ConfigError as error:
            if not on_asyncio():
                raise
            self.error: tuple[type[ConfigError], str] = type(error), str(error)
            self.__class__ = _Misconfigured


class _Misconfigured(SessionMiddleware):
    """Stands for a middleware that could not be built while a server already ran.

    Starlette builds its middleware at the first message, which is the start. Servers treat an error there as
    an application without lifespan: they go on, and fail each request. So this reports it as lifespan does.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, message = self.error
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": message})
        raise kind(message)


def session_of(connection: HTTPConnection) -> Session:
    """Return the session of a request or WebSocket, with all names. ``request.session`` has those of dict.

    Raise :class:`ConfigError` if no session middleware is in place.
    """
    return session_in(connection.scope, "app.add_middleware(SessionMiddleware, engine=engine)")


def _engine_of(
    cookie: CookieOptions,
    store: Store | None,
    secret_key: object,
    max_age: int | None,
    user_key: UserKey | None,
    adopt: bool,
    adopt_until: datetime | None,
    development: bool | None,
    guards: Guards,
) -> SessionEngine:
    """Return an engine with Starlette's defaults, which adopts Starlette's sessions if it may."""
    secrets = _named(secret_key)
    # Not under a weak key: anyone who knows it could sign in as any user.
    strong = secrets.strong() if secrets is not None and adopt and find_spec("itsdangerous") else []
    former = [StarletteCookie(strong, cookie.name, max_age, cookie.path, cookie.domain)] if strong else []
    return SessionEngine(
        None if secrets is None else unless_our_own(secrets),
        store,
        absolute_timeout=FOURTEEN_DAYS if max_age is None else max_age,
        idle_timeout=None,
        cookie=cookie,
        user_key=user_key,
        adopt=former,
        adopt_until=adopt_until,
        connect="lazy",  # as Starlette's own, it starts even without its store
        development=development,
        **guards,
    )


def _named(secret_key: object) -> NamedSecrets | None:
    """Return the secrets under the names that they have in Starlette's middleware."""
    texts = _texts(secret_key)
    if texts is None:
        return None
    count = 1 if isinstance(texts, str) else len(texts)
    return NamedSecrets(texts, numbered("secret_key=", count), _ADVICE)


def _texts(secret_key: object) -> str | list[str] | None:
    """Return the secrets as text, which ``str()`` makes of Starlette's ``Secret``."""
    if secret_key is None:
        return None
    if isinstance(secret_key, Sequence) and not isinstance(secret_key, str):
        return [str(each) for each in secret_key]
    return str(secret_key)


class StarletteCookie(HoldsSecrets, Adopter):
    """Starlette's own sessions: all in a cookie signed by *secret_key*, one or several of them.

    The other arguments are those of Starlette's middleware; *max_age* None means 14 days. The function
    *user_id* returns the signed-in user from the fields. ``itsdangerous``, which Starlette signs with, must
    be installed. See :mod:`fluidauth.adoption`.
    """

    name = "starlette"

    @without_locals
    def __init__(
        self,
        secret_key: object,
        session_cookie: str = "session",
        max_age: int | None = FOURTEEN_DAYS,
        path: str = "/",
        domain: str | None = None,
        *,
        user_id: Callable[[dict[str, Any]], str | None] = lambda fields: None,
    ) -> None:
        from itsdangerous import TimestampSigner

        texts = _texts(secret_key)
        if not texts or not callable(user_id):
            raise ConfigError("StarletteCookie needs Starlette's secret_key, and a function as user_id")
        self._signers = [TimestampSigner(text) for text in ([texts] if isinstance(texts, str) else texts)]
        self._user_id = user_id
        secure = session_cookie.startswith("__")
        self.cookie: CookieOptions = CookieOptions(
            name=session_cookie, secure=secure, path=path, domain=domain
        )
        self.lifetime: int = FOURTEEN_DAYS if max_age is None else max_age

    def identity(self, value: str) -> str | None:
        return value.rpartition(".")[0] if self.read(value) is not None else None  # all but the signature

    def read(self, value: str) -> Adopted | None:
        from itsdangerous import BadSignature

        for signer in self._signers:
            try:
                fields = json.loads(b64decode(signer.unsign(value, max_age=self.lifetime)))
            except (BadSignature, ValueError):  # forged or expired, or in a form that no Starlette signed
                continue
            if isinstance(fields, dict):
                return Adopted(fields, self.user_of(fields))
        return None

    def user_of(self, fields: dict[str, Any]) -> str | None:
        return self._user_id(fields)
