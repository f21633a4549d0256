"""Flask's sessions, kept on the server.

    app.session_interface = FluidAuthSessionInterface(engine)

is the only line that changes; without an engine, one is made of the application's ``SECRET_KEY``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from weakref import WeakSet

import flask
from flask import Flask, Request, Response
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin, session_json_serializer
from werkzeug.local import LocalProxy
from werkzeug.sansio.response import Response as AnyResponse

from fluidauth.after_fork import ProcessLock
from fluidauth.engine import SessionEngine
from fluidauth.engine.housekeeping import tidy
from fluidauth.engine.requests import Requests
from fluidauth.engine.settings import Store
from fluidauth.errors import ConfigError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.headers import TEXT
from fluidauth.middleware.response import OnStoreError, ResponseVisit, check_settings
from fluidauth.records import MAX_LIFETIME, Lifetime, seconds
from fluidauth.secrecy import without_locals
from fluidauth.session import Session

from .adopters import FlaskCookie
from .mirror import Mirror
from .sessions import FlaskFace, FlaskSession, mirror_of, view_of


def with_all_names(session: Any) -> FlaskSession:
    """Return a proxy to what *session*, Flask's or Quart's own, stands for at that time, with all names."""
    return cast(FlaskSession, LocalProxy(lambda: view_of(session._get_current_object())))


session: FlaskSession = with_all_names(flask.session)
"""The session of ``flask.session``, with :meth:`~FlaskSession.login` and all else that ours have."""

COOKIE_NAME = "session"  # these are Flask's defaults
COOKIE_PATH = "/"
PERMANENT_LIFETIME = timedelta(days=31)
_SO_THAT_EXPIRES_IS_SENT = datetime(9999, 1, 1, tzinfo=UTC)
OPEN = "_fluidauth_sessions"  # in the request's environ, and in ``flask.g``


class Sessions:
    """What the interfaces of Flask and Quart have in common: engine, cookie and lifetimes by configuration.

    Settings are read at each request, as Flask does. What differs from Flask's default stands
    over the engine's own option.
    """

    serializer: TaggedJSONSerializer = session_json_serializer
    session_class: type[FlaskSession] = FlaskFace

    def __init__(
        self,
        engine: SessionEngine | None = None,
        *,
        store: Store | None = None,
        adopt: bool = True,
        adopt_until: datetime | None = None,
        on_store_error: OnStoreError = "respond",
    ) -> None:
        if engine is not None and (store is not None or not adopt or adopt_until is not None):
            raise ConfigError("give an engine, which has a store and what it adopts, or these; not both")
        if engine is not None:
            check_settings(engine, on_store_error)
        self.responds: bool = on_store_error == "respond"
        self._engine = engine
        self._builds = engine is None
        self._store = store
        self._adopts, self._adopt_until = adopt, adopt_until
        self._secrets: tuple[str | bytes, ...] = ()
        self._requests: dict[tuple[Any, ...], Requests] = {}
        self._lock = ProcessLock()
        self.followed: WeakSet[Any] = WeakSet()
        """The applications that tell when a request has ended."""

    @without_locals
    def engine_for(self, app: Any) -> SessionEngine | None:
        """Return the engine; None where none was given and the application has no secret key.

        Raise :class:`ConfigError` if that key is weak.
        """
        if not self._builds:
            return self._engine
        if not app.secret_key:
            return None
        secrets = (app.secret_key, *(app.config.get("SECRET_KEY_FALLBACKS") or ()))
        with self._lock:
            if self._engine is None or secrets != self._secrets:
                self._engine = self._build(list(secrets), app)
                self._secrets = secrets
                self._requests.clear()
            return self._engine

    def _build(self: Any, secrets: list[str | bytes], app: Any) -> SessionEngine:
        """Return an engine that does as Flask does where nothing is set, and takes over Flask's sessions."""
        store = self._store if self._engine is None else self._engine.requests.store
        cookie = CookieOptions(name=COOKIE_NAME, secure=False)
        former = FlaskCookie(
            secrets[0],
            secrets[1:],
            session_cookie=self.get_cookie_name(app),
            lifetime=app.permanent_session_lifetime,
            path=self.get_cookie_path(app),
            domain=(self.get_cookie_domain(app) or "").removeprefix(".") or None,
        )
        return SessionEngine(
            secrets,
            store,
            adopt=[former] if self._adopts else (),
            adopt_until=self._adopt_until,
            connect="lazy",  # a page without a session needs no store, nor does a start
            absolute_timeout=MAX_LIFETIME,
            idle_timeout=PERMANENT_LIFETIME,
            cookie=cookie,
        )

    def requests_for(self: Any, app: Any, engine: SessionEngine) -> Requests:
        """Return what asks for sessions under the cookie that *app* is configured for."""
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
        requests: Requests | None = self._requests.get(settings)
        if requests is None:
            cookie = _configured(engine.policy.cookie, *settings[:-1], self._permanent_seconds(app))
            requests = self._requests[settings] = engine.requests.with_cookie(cookie)
        return requests

    def _permanent_seconds(self, app: Any) -> int | None:
        """Return PERMANENT_SESSION_LIFETIME, as far as browsers keep a cookie; None if the engine decides."""
        lasts = app.permanent_session_lifetime
        if lasts == PERMANENT_LIFETIME and not self._builds:
            return None
        return seconds("PERMANENT_SESSION_LIFETIME", min(lasts, timedelta(seconds=MAX_LIFETIME)))

    def lifetime_of(self, app: Any, engine: SessionEngine, permanent: bool) -> Lifetime:
        """Return how long a session lasts from now on."""
        ours, lasts = engine.policy.lifetime, self._permanent_seconds(app)
        if lasts is None:
            return replace(ours, persistent=permanent)
        if permanent and not app.config["SESSION_REFRESH_EACH_REQUEST"]:
            return Lifetime(min(lasts, ours.absolute_seconds), None, True)
        return Lifetime(ours.absolute, lasts, permanent)

    def begin(self, app: Any, cookies: str) -> FlaskSession | None:
        """Return the session of a request with *cookies*, not loaded yet."""
        engine = self.engine_for(app)
        if engine is None:
            return None
        visit = ResponseVisit(self.requests_for(app, engine), cookies, True, self.responds)
        rule = partial(self.lifetime_of, app, engine)
        return self.session_class(Mirror(visit, Session(visit), self.serializer, rule))


class FluidAuthSessionInterface(Sessions, SessionInterface):
    """Sessions of *engine* for ``app.session_interface``.

    Without one, the application's ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS`` sign, sessions last as
    ``PERMANENT_SESSION_LIFETIME`` says, *store* keeps them (a store, its URL or path; SQLite by default), and
    those that Flask began under these keys go on: until *adopt_until*, or as long as the last of their
    cookies may live, or not at all with *adopt* false. Until then whoever knows the key signs in as anybody.
    *on_store_error* as for :class:`~fluidauth.WSGISessionMiddleware`. Raise :class:`ConfigError` for a
    wrong argument, and at the first request for a weak key or a wrong setting.
    """

    def open_session(self, app: Flask, request: Request) -> FlaskSession | None:
        if app not in self.followed:
            # The one thing that Flask does at the end of each request, however that goes.
            flask.request_tearing_down.connect(self._torn_down, app)
            # That signal is not sent after a teardown function that raises; this one is.
            flask.appcontext_tearing_down.connect(self._left_behind, app)
            self.followed.add(app)
        found = request.environ[OPEN] = self.begin(app, request.environ.get("HTTP_COOKIE", ""))
        if found is not None:
            flask.g.setdefault(OPEN, {})[id(found)] = found
        return found

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save *session* and put its cookie into *response*; make that a 503 if the store fails."""
        if not isinstance(session, FlaskSession):
            raise ConfigError(f"{type(session).__name__} was not opened by this interface")
        mirror = mirror_of(session)
        visit, before = mirror.visit, mirror.visit.state
        mirror.prepare(session, response.status_code)
        if not visit.save_head(mirror.plain, response.status_code):
            close = getattr(response.response, "close", None)
            if close is not None:
                close()
            response.direct_passthrough = False
            make_unavailable(visit, response)
            return
        mirror.refill_after(session, before)
        finish_head(visit, response)
        visit.over = not response.is_streamed
        if response.is_streamed:
            response.call_on_close(partial(self._ended, session))
        if visit.requests.cleaning_due:
            response.call_on_close(partial(tidy, visit.requests))

    def _torn_down(self, app: Flask, **_: object) -> None:
        """Carry out a logout of a request whose response was never saved: by an error, or a failing hook."""
        self._leave([flask.request.environ.get(OPEN)])  # to ask ``flask.session`` would be to use it

    def _left_behind(self, app: Flask, **_: object) -> None:
        """Do so for a request whose own end was hidden by another's error."""
        self._leave(list(flask.g.get(OPEN, {}).values()))

    def _leave(self, opened: list[object]) -> None:
        for found in opened:
            if isinstance(found, FlaskSession):
                flask.g.get(OPEN, {}).pop(id(found), None)
                mirror = mirror_of(found)
                mirror.flush_quietly(found)
                mirror.visit.save_logout(mirror.plain)

    def _ended(self, session: FlaskSession) -> None:
        """Save what changed while the response was sent."""
        mirror = mirror_of(session)
        mirror.flush(session)
        mirror.visit.save_end(mirror.plain)
        mirror.visit.over = True


def finish_head(visit: ResponseVisit, response: AnyResponse) -> None:
    """Give *response* the headers that the use of the session demands."""
    visit.close_head()
    if visit.accessed:
        response.vary.add("Cookie")
        headers = visit.headers(list(response.headers), TEXT, "")
        response.headers.clear()
        response.headers.extend(headers)


def make_unavailable(visit: ResponseVisit, response: Any) -> None:
    """Turn *response* into the answer while the store is out of order."""
    response.set_data(visit.answer.body)
    response.status_code = visit.answer.code
    response.headers.clear()
    response.headers.extend(visit.answer_headers())


def _configured(
    ours: CookieOptions,
    name: str,
    path: str,
    domain: str | None,
    same_site: str | None,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    max_age: int | None,
) -> CookieOptions:
    """Return *ours* with all that is configured; raise :class:`ConfigError` for what browsers refuse."""
    changes: dict[str, Any] = {"expires": _SO_THAT_EXPIRES_IS_SENT}
    if path != COOKIE_PATH:
        changes["path"] = path
    if domain:
        changes["domain"] = domain.removeprefix(".")  # as Werkzeug sends it (RFC 6265, section 5.2.3)
    if same_site:
        changes["same_site"] = same_site
    if secure:
        changes["secure"] = True
    if not http_only:
        changes["http_only"] = False
    if partitioned:
        changes["partitioned"] = True
    if max_age is not None:
        changes["max_age"] = max_age
    if name != COOKIE_NAME:
        changes["name"] = name
    elif ours.name == ours.safest_name():
        changes["name"] = ""  # the safest of the new options
    return replace(ours, **changes)
