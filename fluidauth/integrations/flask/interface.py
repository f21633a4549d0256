"""Flask's sessions, kept on the server.

    app.session_interface = FluidAuthSessionInterface(engine)

is the only line that changes. Without an engine, one is made from the application's ``SECRET_KEY``.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import flask
from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.local import LocalProxy

from fluidauth.engine.housekeeping import tidy
from fluidauth.errors import ConfigError
from fluidauth.formats.request_head import RequestHead
from fluidauth.middleware import status
from fluidauth.middleware.development import refusal_of_environ
from fluidauth.middleware.response import ResponseVisit
from fluidauth.middleware.status import is_status

from . import login_signals
from .responses import end_unanswered, finish_head, make_unavailable
from .sessions import FlaskSession, mirror_of, view_of
from .settings import REFUSED_AS, Discarded, Sessions, ask_first


def with_all_names(session: Any) -> FlaskSession:
    """Return a proxy to the current *session*, Flask's or Quart's own, with all names."""
    return cast(FlaskSession, LocalProxy(lambda: view_of(session._get_current_object())))


session: FlaskSession = with_all_names(flask.session)
"""The session of ``flask.session``, with :meth:`~FlaskSession.login` and all other methods of ours."""

OPEN = "_fluidauth_sessions"  # in the request's environ, and in ``flask.g``
OPENED = "_fluidauth_opened"  # in ``flask.g``: that of each request, and none that a test opens itself


class _FlaskVisit(ResponseVisit):
    __slots__ = ()

    def request_head(self) -> RequestHead | None:
        return RequestHead(flask.request.environ) if flask.has_request_context() else None


class FluidAuthSessionInterface(Sessions, SessionInterface):
    """Sessions of *engine* for ``app.session_interface``.

    Without one, the application's ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS`` sign, and sessions last as
    ``PERMANENT_SESSION_LIFETIME`` says. If the environment has ``FLUIDAUTH_SECRET``, ``FLUIDAUTH_SECRETS`` or
    ``FLUIDAUTH_KEYRING``, that signs instead. Then ``SECRET_KEY`` only says what is adopted, if it is strong.

    The argument *store* is a store, its URL or its path, SQLite by default. The argument *user_key* names the
    field of the signed-in user, by default that of Flask-Login. Sessions that Flask began under these keys go
    on until *adopt_until*, by default as long as the last of their cookies may live. Until then anyone who
    has the key can sign in as any user. With *adopt* false they do not go on.

    The option *on_store_error* is that of :class:`~fluidauth.WSGISessionMiddleware`, and *development* that
    of :class:`~fluidauth.SessionEngine`. Raise :class:`ConfigError` for a wrong argument. Raise it for a weak
    key or a wrong setting, too: at once if a configured *app* is given, or else at the first request.
    """

    visit_class: type[ResponseVisit] = _FlaskVisit

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        cookies, authorization = (
            request.environ.get(f"HTTP_{name}", "") for name in ("COOKIE", "AUTHORIZATION")
        )
        answer = self.refusal(app, partial(refusal_of_environ, request.environ), request.environ, cookies)
        if answer is not None:
            request.environ[REFUSED_AS] = answer
            ask_first(app.before_request_funcs, _stop_if_refused)
            return self.nobodys(app)
        if self.has_status(app):
            ask_first(app.before_request_funcs, _say_status)
        if app not in self.followed:
            # Flask sends this signal at the end of each request, also after an error.
            flask.request_tearing_down.connect(self._torn_down, app)
            # That signal is not sent after a teardown function that raises. This one is.
            flask.appcontext_tearing_down.connect(self._left_behind, app)
            login_signals.follow(app)
            self.followed.add(app)
        found = request.environ[OPEN] = self.begin(app, cookies, authorization)
        if found is not None:
            flask.g.setdefault(OPEN, {})[id(found)] = found
            flask.g.setdefault(OPENED, {}).setdefault(id(request), found)
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
        finish_head(visit, response, flask.request.environ)
        visit.over = not response.is_streamed
        if response.is_streamed:
            response.call_on_close(partial(self._ended, session))
        if visit.requests.cleaning_due:
            response.call_on_close(partial(tidy, visit.requests))

    def _torn_down(self, app: Flask, **_: object) -> None:
        """Carry out a logout of a request whose response was never saved, after an error or in a hook."""
        self._leave([flask.request.environ.get(OPEN)])  # reading ``flask.session`` would count as use

    def _left_behind(self, app: Flask, **_: object) -> None:
        """Do so for a request whose end an error in another one has hidden."""
        self._leave(list(flask.g.get(OPEN, {}).values()))
        end_unanswered(flask.g.pop(OPENED, {}).values())

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


def _say_status() -> Response | None:
    """Answer for the page of ``status_path``, which no route needs to have."""
    found = flask.session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    head = RequestHead(flask.request.environ)
    asked = isinstance(found, FlaskSession) and not isinstance(found, Discarded)
    requests = mirror_of(found).visit.requests if asked else None
    if requests is None or not is_status(requests.status_path, head.path):
        return None
    said = status.answer(mirror_of(found).plain, head.path, head.method, requests.now())
    return Response(said.body, said.code, said.headers)


def _stop_if_refused() -> None:
    answer = flask.request.environ.get(REFUSED_AS)
    if answer is not None:
        flask.abort(answer.code, answer.body.decode())
