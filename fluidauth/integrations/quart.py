"""Quart's sessions, kept on the server, for requests and WebSockets.

    app.session_interface = FluidAuthSessionInterface(engine)

does the same as the one of :mod:`~fluidauth.integrations.flask`, and uses its session objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import quart
from flask.sessions import SessionMixin
from quart import Quart, Response
from quart.sessions import SessionInterface
from quart.wrappers import BaseRequestWebsocket, Websocket
from quart.wrappers.response import IterableBody

from fluidauth.engine.housekeeping import atidy
from fluidauth.errors import ConfigError
from fluidauth.formats.request_head import RequestHead
from fluidauth.integrations.flask.interface import OPEN, OPENED, with_all_names
from fluidauth.integrations.flask.responses import end_unanswered, finish_head, make_unavailable
from fluidauth.integrations.flask.sessions import FLASKS_NAMES, FlaskFace, FlaskSession, mirror_of
from fluidauth.integrations.flask.settings import REFUSED_AS, Discarded, Sessions, ask_first
from fluidauth.middleware import status
from fluidauth.middleware.development import refusal_of_scope
from fluidauth.middleware.response import ResponseVisit
from fluidauth.middleware.status import is_status
from fluidauth.session.faces import hides_names

__all__ = ["FluidAuthSessionInterface", "session"]

session: FlaskSession = with_all_names(quart.session)
"""The session of ``quart.session``, with :meth:`~FlaskSession.login` and all other methods of ours."""


@hides_names("session.{name} has it; from fluidauth.integrations.quart import session", beside=FLASKS_NAMES)
class QuartFace(FlaskFace):
    """``quart.session``: as Flask's, but setting ``accessed`` to true does nothing.

    Quart sets it for each request since 0.23, so every page would vary by cookie. Only real use of the
    session counts as access.
    """

    @property
    def accessed(self) -> bool:
        return super().accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if not value:
            mirror_of(self).visit.accessed = False


class _QuartVisit(ResponseVisit):
    __slots__ = ()

    def request_head(self) -> RequestHead | None:
        if quart.has_request_context():
            return RequestHead(quart.request.scope)
        return RequestHead(quart.websocket.scope) if quart.has_websocket_context() else None


class FluidAuthSessionInterface(Sessions, SessionInterface):
    """Sessions of an engine for ``app.session_interface``; arguments as for Flask.

    A remote store is read before the handler runs. A WebSocket's session can be read and changed. It is saved
    when either side has closed the socket. A new one needs a response first, to carry its cookie.
    """

    session_class: type[FlaskSession] = QuartFace
    visit_class: type[ResponseVisit] = _QuartVisit

    def check(self, app: Any) -> None:
        """Do so at the start of the server, too, when the application is surely configured."""
        app.before_serving(partial(super().check, app))
        super().check(app)

    async def open_session(self, app: Quart, request: BaseRequestWebsocket) -> SessionMixin | None:
        # Its test client names no peer, and puts a mark into the scope, where no client of a server can.
        in_process = "_quart._preserve_context" in request.scope
        cookies, tokens = (request.headers.getlist(name) for name in ("Cookie", "Authorization"))
        answer = self.refusal(
            app, partial(refusal_of_scope, request.scope, in_process), request.scope, "; ".join(cookies)
        )
        if answer is not None:
            request.scope[REFUSED_AS] = answer  # type: ignore[literal-required]  # a key of ours
            ask_first(app.before_request_funcs, _stop_if_refused)
            ask_first(app.before_websocket_funcs, _stop_if_refused)
            return self.nobodys(app)
        if self.has_status(app):
            ask_first(app.before_request_funcs, _say_status)
        if app not in self.followed:
            # Quart sends this signal at the end of each request, also after an error.
            quart.signals.request_tearing_down.connect(self._torn_down, app)
            quart.signals.websocket_tearing_down.connect(self._socket_torn_down, app)
            # Those signals are not sent after a teardown function that raises. This one is.
            quart.signals.appcontext_tearing_down.connect(self._left_behind, app)
            self.followed.add(app)
        found = self.begin(app, "; ".join(cookies), [(b"authorization", each.encode()) for each in tokens])
        if found is not None:
            quart.g.setdefault(OPEN, {})[id(found)] = found
            quart.g.setdefault(OPENED, {}).setdefault(id(request), found)
            visit = mirror_of(found).visit
            visit.is_late = isinstance(request, Websocket)
            visit.answerable = visit.answerable and not visit.is_late
            if not visit.requests.store.inline:
                visit.may_block = False
                await visit.prefetch()
        return found

    async def _torn_down(self, app: Quart, **_: object) -> None:
        """Carry out a logout of a request whose response was never saved, after an error or in a hook."""
        found = quart.session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        await self._leave([found])

    async def _socket_torn_down(self, app: Quart, exc: BaseException | None = None, **_: object) -> None:
        """Save the session of a WebSocket that its client closed, because Quart cancels the handler then."""
        found = quart.session._get_current_object()  # type: ignore[attr-defined]  # as above
        if isinstance(exc, asyncio.CancelledError) and isinstance(found, FlaskSession):
            mirror_of(found).visit.keep = True
            await self._ended(found)
        await self._leave([found])

    async def _left_behind(self, app: Quart, **_: object) -> None:
        """Do so for a request whose end an error in another one has hidden."""
        await self._leave(list(quart.g.get(OPEN, {}).values()))
        end_unanswered(quart.g.pop(OPENED, {}).values())

    async def _leave(self, opened: list[object]) -> None:
        for found in opened:
            if isinstance(found, FlaskSession):
                quart.g.get(OPEN, {}).pop(id(found), None)
                mirror = mirror_of(found)
                mirror.flush_quietly(found)
                await mirror.visit.asave_logout(mirror.plain)

    async def save_session(  # type: ignore[override]  # as above
        self, app: Quart, session: SessionMixin, response: Response | None
    ) -> None:
        """Save *session*; put its cookie into *response*, which is None after a WebSocket."""
        if not isinstance(session, FlaskSession):
            raise ConfigError(f"{type(session).__name__} was not opened by this interface")
        mirror = mirror_of(session)
        visit, before = mirror.visit, mirror.visit.state
        status = 101 if response is None else response.status_code
        await visit.quiet()  # so that the flush does not undo what a save under way changes
        mirror.prepare(session, status)
        if not await visit.asave_head(mirror.plain, status):
            if response is not None:
                make_unavailable(visit, response)
            return
        mirror.refill_after(session, before)
        visit.over = response is None or not isinstance(response.response, IterableBody)
        if response is not None:
            finish_head(visit, response, quart.request.scope)
            if isinstance(response.response, IterableBody):
                response.response = _FollowedBody(response.response, partial(self._ended, session))
        if visit.requests.cleaning_due:
            app.add_background_task(partial(atidy, visit.requests))

    async def _ended(self, session: FlaskSession) -> None:
        """Save what changed while the response was sent."""
        mirror = mirror_of(session)
        await mirror.visit.quiet()
        mirror.flush(session)
        await mirror.visit.asave_end(mirror.plain)
        mirror.visit.over = True


async def _say_status() -> Response | None:
    """Answer for the page of ``status_path``, which no route needs to have."""
    found = quart.session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    head = RequestHead(quart.request.scope)
    asked = isinstance(found, FlaskSession) and not isinstance(found, Discarded)
    requests = mirror_of(found).visit.requests if asked else None
    if requests is None or not is_status(requests.status_path, head.path):
        return None
    said = await status.aanswer(mirror_of(found).plain, head.path, head.method, requests.now())
    return Response(said.body, said.code, dict(said.headers))


async def _stop_if_refused() -> None:
    asked: Any = quart.request if quart.has_request_context() else quart.websocket
    answer = asked.scope.get(REFUSED_AS)
    if answer is not None:
        quart.abort(answer.code, answer.body.decode())


class _FollowedBody(IterableBody):
    """A stream, with something to do at its end, also after an error."""

    def __init__(self, body: IterableBody, ended: Callable[[], Awaitable[None]]) -> None:
        self.iter = body.iter
        self._ended = ended

    async def __aexit__(self, *error: Any) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            await self._ended()
