"""Sessions for ASGI 3 applications: http and websocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fluidauth.engine import SessionEngine
from fluidauth.engine.cross_origin import refusal
from fluidauth.engine.housekeeping import atidy
from fluidauth.engine.requests import Requests
from fluidauth.formats.request_head import RequestHead
from fluidauth.rules.origins import SAFE_METHODS
from fluidauth.session import Session
from fluidauth.session.session import visit_of

from . import status
from .asgi_visits import ASGIApp as ASGIApp
from .asgi_visits import ASGIVisit, HTTPVisit, WebSocketVisit, send_refusal
from .asgi_visits import Message as Message
from .asgi_visits import Receive as Receive
from .asgi_visits import Scope as Scope
from .asgi_visits import Send as Send
from .development import refuse
from .replaced import OURS, tell_of_others
from .response import OnStoreError, check_settings
from .shared_scope import SharedHTTPVisit, SharedWebSocketVisit, outside, within
from .status import is_status
from .visits import is_nested, is_over
from .visits import session_in as session_in

_VISITS: Any = {"http": HTTPVisit, "websocket": WebSocketVisit}
_SHARED_VISITS: Any = {"http": SharedHTTPVisit, "websocket": SharedWebSocketVisit}


class ASGISessionMiddleware:
    """Puts a :class:`Session` into ``scope["session"]`` and saves it with the response.

    A local store is read at the first access. For a remote store, *autoload* says whether
    to read before the application runs: always, never, or if a predicate on the scope says
    so. If never, the application awaits ``session.aload()``. The option *on_store_error* is
    that of :class:`~fluidauth.WSGISessionMiddleware`. With *frames_are_activity* each message
    that a WebSocket receives prolongs its session, as a request does.
    """

    session_class: type[Session] = Session
    """The class of the session in the scope: for a framework, without our names."""
    shares_scope: bool = False
    """Whether outer layers see the session, and what is written into the scope, as in some frameworks.

    ASGI advises against it. A session that is there already belongs to another middleware, and stays.
    """

    visits: Mapping[str, Any] | None = None
    """A framework's own kinds of visits, by the type of their scope; what these do first is ``begin``."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        engine: SessionEngine,
        autoload: bool | Callable[[Scope], bool] = True,
        on_store_error: OnStoreError = "respond",
        frames_are_activity: bool = False,
    ) -> None:
        check_settings(engine, on_store_error)
        self.engine = engine
        self.autoload = autoload
        self._responds = on_store_error == "respond"
        self._requests = engine.requests
        self._inline = engine.requests.store.inline
        self._refuses = engine.development
        self._prolongs = frames_are_activity
        self.app = app
        self._class, self._shares = self.session_class, self.shares_scope  # read in each request
        self._visits = self.visits or (_SHARED_VISITS if self._shares else _VISITS)
        self._begins = self.visits is not None or self._requests.policy.client_tokens or not self._inline
        tell_of_others(self._requests, app)

    @property
    def app(self) -> ASGIApp:
        """The application within."""
        return self._app

    @app.setter
    def app(self, app: ASGIApp) -> None:
        self._app = self._inner = app
        if self._requests.status_path is not None:
            self._inner = partial(_or_status, self._inner, self._requests)
        if self._prolongs:
            self._inner = partial(_prolonged, self._inner)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, requests = scope["type"], self._requests
        outer = scope.get("session")
        if kind not in ("http", "websocket") or (outer is not None and is_nested(outer, requests)):
            await self._pass_on(scope, receive, send)
            return
        may_change = scope.get("method") not in SAFE_METHODS  # a handshake has no method
        if (may_change or self._refuses) and await self._refused(scope, send):
            return
        visit = self._visits[kind](requests, scope["headers"], self._inline, self._responds)
        visit.session = self._class(visit)
        if self._shares and (outer is None or is_over(outer)):
            visit.request = scope
            scope["session"] = scope[OURS] = visit.session
        else:
            visit.request = {**scope, "session": visit.session, OURS: visit.session}
        visit.key, visit.inside = "session", self.app
        visit.pass_on = partial(outside, send) if self._shares else send
        if may_change or self._begins:
            await self._begin(visit, may_change)
        token = within.set(visit) if self._shares else None
        try:
            await self._inner(visit.request, receive, visit.send)
        except BaseException as error:
            if not await visit.fail(error):
                raise
        else:
            if visit.owes_more():
                await visit.ended()
            if requests.cleaning_due and visit.tidies():
                await atidy(requests)
        finally:
            visit.end()
            if token is not None:
                within.reset(token)
                visit.remain_in(scope)
            del visit.request, visit.session  # as ``let_go``: a call costs a twentieth of all this

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # since this was made, more may have been added to the application
            tell_of_others(self._requests, self.app)
        await self.app(scope, receive, send)

    async def _refused(self, scope: Scope, send: Send) -> bool:
        """Answer a request that must not be served; return whether it was one."""
        if self._refuses and await refuse(scope, send, self._requests):
            return True
        answer = None
        if _may_change(scope):
            answer = refusal(self._requests, RequestHead(scope), scope["headers"])
        if answer is not None:
            await send_refusal(answer, scope, send)
        return answer is not None

    async def _begin(self, visit: ASGIVisit, may_change: bool) -> None:
        """Do what comes before the application, if there is anything."""
        if may_change:
            visit.begins()
        if not self._begins:
            return
        visit.begin()
        if not self._inline and self._autoloads(visit.request):
            await visit.prefetch()

    def _autoloads(self, scope: Scope) -> bool:
        return self.autoload(scope) if callable(self.autoload) else self.autoload


def _may_change(scope: Scope) -> bool:
    """Return whether a request may change something, so that its origin counts."""
    return scope["type"] == "websocket" or scope.get("method", "GET") not in SAFE_METHODS


async def _or_status(app: ASGIApp, requests: Requests, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the page that says how long the session still lasts, or else *app*."""
    if scope["type"] == "http" and is_status(requests.status_path, scope["path"]):
        await status.asgi(requests.now, scope, receive, send)
    else:
        await app(scope, receive, send)


async def _prolonged(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have each message that a WebSocket receives prolong its session."""
    if scope["type"] == "websocket":
        receive = partial(visit_of(scope["session"]).received, receive)
    await app(scope, receive, send)
