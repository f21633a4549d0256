"""An engine, a cookie and lifetimes from an application's configuration, for Flask and Quart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Unpack
from weakref import WeakSet

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import session_json_serializer

from fluidauth.after_fork import ProcessLock
from fluidauth.engine import SessionEngine
from fluidauth.engine.cross_origin import refusal
from fluidauth.engine.development import is_on
from fluidauth.engine.requests import Requests
from fluidauth.engine.settings import Guards, Store, unless_our_own
from fluidauth.errors import ConfigError
from fluidauth.formats.cookies import CookieOptions, CookieSource
from fluidauth.formats.headers import Answer
from fluidauth.formats.request_head import UPGRADE, RequestHead
from fluidauth.keys.named import NamedSecrets, numbered
from fluidauth.keys.ring import variables_set
from fluidauth.middleware.development import REFUSED
from fluidauth.middleware.response import OnStoreError, ResponseVisit, check_settings
from fluidauth.records import MAX_LIFETIME, Lifetime, seconds
from fluidauth.rules.origins import SAFE_METHODS
from fluidauth.rules.user_fields import FLASK_LOGIN, UserKey
from fluidauth.secrecy import without_locals

from .adopters import FlaskCookie
from .cookie import COOKIE_NAME, configured
from .mirror import Mirror
from .sessions import FlaskFace, FlaskSession, PlainSession
from .tagged_json import of_flasks_types

PERMANENT_LIFETIME = timedelta(days=31)  # Flask's default
ADVICE = (
    "do not change it, because it signs other things as well. Give sessions a secret of their own: set "
    "FLUIDAUTH_SECRET to one made with"
)


REFUSED_AS = "fluidauth.refused"  # in the request's environ or scope: the answer that refuses it


class Discarded(FlaskFace):
    """What a refused request has instead of its session: empty, and not kept. A page of errors may ask it."""


class Sessions:
    """What the interfaces of Flask and Quart have in common: engine, cookie and lifetimes by configuration.

    Settings are read at each request, as in Flask. A setting that differs from Flask's default
    overrides the engine's own option.
    """

    serializer: TaggedJSONSerializer = session_json_serializer
    session_class: type[FlaskSession] = FlaskFace
    visit_class: type[ResponseVisit] = ResponseVisit

    def __init__(
        self,
        engine: SessionEngine | None = None,
        *,
        store: Store | None = None,
        user_key: UserKey | None = FLASK_LOGIN,
        adopt: bool = True,
        adopt_until: datetime | None = None,
        on_store_error: OnStoreError = "respond",
        development: bool | None = None,
        app: Any = None,
        **guards: Unpack[Guards],
    ) -> None:
        others = (store, user_key, adopt, adopt_until, development)
        if engine is not None and (others != (None, FLASK_LOGIN, True, None, None) or guards):
            raise ConfigError("give either an engine, or store, user_key and its other options, not both")
        if engine is not None:
            check_settings(engine, on_store_error)
        self.responds: bool = on_store_error == "respond"
        self._engine = engine
        self._builds = engine is None
        self._store = store
        self._user_key, self._adopts, self._adopt_until = user_key, adopt, adopt_until
        self._development = development
        self._guards = guards
        self._secrets: tuple[str | bytes, ...] = ()
        self._requests: dict[tuple[Any, ...], Requests] = {}
        self._lock = ProcessLock()
        self.followed: WeakSet[Any] = WeakSet()
        """The applications that report when a request has ended."""
        if app is not None:
            self.check(app)

    def check(self, app: Any) -> None:
        """Raise :class:`ConfigError` for a wrong setting that *app* has by now."""
        engine = self.engine_for(app)
        if engine is not None:
            self.requests_for(app, engine)

    @without_locals
    def engine_for(self, app: Any) -> SessionEngine | None:
        """Return the engine; None if none was given and the application has no secret key.

        Raise :class:`ConfigError` if that key is weak.
        """
        if not self._builds:
            return self._engine
        if not app.secret_key and not variables_set() and not is_on(self._development):
            return None
        fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or ()
        secrets = (*filter(None, (app.secret_key,)), *fallbacks)
        with self._lock:
            if self._engine is None or secrets != self._secrets:
                named = NamedSecrets(
                    secrets, ["SECRET_KEY", *numbered("SECRET_KEY_FALLBACKS", len(fallbacks))], ADVICE
                )
                self._engine = self._build(named, app)
                self._secrets = secrets
                self._requests.clear()
            return self._engine

    def _build(self: Any, secrets: NamedSecrets, app: Any) -> SessionEngine:
        """Return an engine with Flask's defaults, which adopts Flask's sessions."""
        store = self._store if self._engine is None else self._engine.requests.store
        return SessionEngine(
            unless_our_own(secrets),
            store,
            user_key=self._user_key,
            adopt=self._former(secrets.strong(), app) if self._adopts else (),
            adopt_until=self._adopt_until,
            connect="lazy",  # neither the start nor a page without a session needs the store
            absolute_timeout=MAX_LIFETIME,
            idle_timeout=PERMANENT_LIFETIME,
            cookie=CookieOptions(name=COOKIE_NAME, secure=False),
            development=self._development,
            **self._guards,
        )

    def _former(self: Any, secrets: list[str | bytes], app: Any) -> list[FlaskCookie]:
        """Return what reads Flask's own cookies; nothing under weak keys, which let anybody sign in."""
        if not secrets:
            return []
        return [
            FlaskCookie(
                secrets[0],
                secrets[1:],
                session_cookie=self.get_cookie_name(app),
                lifetime=app.permanent_session_lifetime,
                path=self.get_cookie_path(app),
                domain=(self.get_cookie_domain(app) or "").removeprefix(".") or None,
            )
        ]

    def requests_for(self: Any, app: Any, engine: SessionEngine) -> Requests:
        """Return requests for sessions under the cookie that *app* is configured for."""
        settings = (
            self.get_cookie_name(app),
            self.get_cookie_path(app),
            self.get_cookie_domain(app),
            self.get_cookie_samesite(app),
            self.get_cookie_secure(app),
            self.get_cookie_httponly(app),
            self.get_cookie_partitioned(app),
            app.permanent_session_lifetime,
        )
        remembered = remember_cookie(app)
        requests: Requests | None = self._requests.get((*settings, remembered))
        if requests is None:
            cookie = configured(engine.policy.cookie, *settings[:-1], self._permanent_seconds(app))
            requests = engine.requests.with_cookie(cookie, partial(of_flasks_types, self.serializer))
            requests.former_names = (*requests.former_names, *remembered)
            self._requests[(*settings, remembered)] = requests
        return requests

    def _permanent_seconds(self, app: Any) -> int | None:
        """Return PERMANENT_SESSION_LIFETIME, cut to what browsers allow; None if the engine decides."""
        lasts = app.permanent_session_lifetime
        if lasts == PERMANENT_LIFETIME and not self._builds:
            return None
        return seconds("PERMANENT_SESSION_LIFETIME", min(lasts, timedelta(seconds=MAX_LIFETIME)))

    def refusal(
        self, app: Any, looked_at: Callable[[], Answer | None], asked: Any, cookies: CookieSource
    ) -> Answer | None:
        """Return the answer to a request that must not be served; None for any other.

        *looked_at* says what development mode answers. *asked* is the request's environ or scope.
        """
        engine = self.engine_for(app)
        if engine is None:
            return None
        answer = looked_at() if engine.development else None
        if answer is not None:
            engine.requests.report([REFUSED])
            return answer
        method = asked.get("REQUEST_METHOD") or asked.get("method")
        if method in SAFE_METHODS and UPGRADE not in asked:
            return None
        return refusal(self.requests_for(app, engine), RequestHead(asked), cookies)

    def has_status(self, app: Any) -> bool:
        """Return whether there is a page of ``status_path``."""
        engine = self.engine_for(app)
        return engine is not None and engine.requests.status_path is not None

    def is_null_session(self: Any, found: object) -> bool:
        """Return whether *found* is no session, so that the framework does not save it.

        It is None if opening one failed, while the page of that error is made.
        """
        return found is None or isinstance(found, Discarded | self.null_session_class)

    def lifetime_of(self, app: Any, engine: SessionEngine, permanent: bool) -> Lifetime:
        """Return how long a session lasts from now on."""
        ours, lasts = engine.policy.lifetime, self._permanent_seconds(app)
        if lasts is None:
            return replace(ours, persistent=permanent)
        if permanent and not app.config["SESSION_REFRESH_EACH_REQUEST"]:
            return Lifetime(min(lasts, ours.absolute_seconds), None, True)
        return Lifetime(ours.absolute, lasts, permanent)

    def begin(
        self, app: Any, cookies: str, authorization: str | list[tuple[bytes, bytes]] = ""
    ) -> FlaskSession | None:
        """Return the session of a request with *cookies* or a client's token, not loaded yet."""
        engine = self.engine_for(app)
        if engine is None:
            return None
        visit = self.visit_class(self.requests_for(app, engine), cookies, True, self.responds)
        visit.begins()
        if engine.policy.client_tokens:
            visit.present(authorization)
        return self._over(app, engine, visit, self.session_class)

    def nobodys(self, app: Any) -> FlaskSession | None:
        """Return the session of a request that is refused. No store is asked for it."""
        engine = self.engine_for(app)
        if engine is None:
            return None
        visit = self.visit_class(self.requests_for(app, engine))
        visit.nobody()
        return self._over(app, engine, visit, Discarded)

    def _over(
        self, app: Any, engine: SessionEngine, visit: ResponseVisit, kind: type[FlaskSession]
    ) -> FlaskSession:
        rule = partial(self.lifetime_of, app, engine)
        return kind(Mirror(visit, PlainSession(visit), self.serializer, rule))


def remember_cookie(app: Any) -> tuple[str, ...]:
    """Return the name of the cookie by which Flask-Login signs in without a session, if *app* uses that."""
    is_used = hasattr(app, "login_manager")
    return (app.config.get("REMEMBER_COOKIE_NAME", "remember_token"),) if is_used else ()


def ask_first(functions: dict[Any, list[Any]], function: Callable[[], Any]) -> None:
    """Have *function* called before all others of *functions*, which a framework calls before a view.

    The framework's own way to register one is closed after the first request.
    """
    first = functions.setdefault(None, [])
    if function not in first:
        first.insert(0, function)
