"""Sessions for ASGI 3 applications: http and websocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fluidauth.engine import SessionEngine
from fluidauth.engine.housekeeping import atidy
from fluidauth.errors import ConfigError
from fluidauth.session import Session
from fluidauth.session.faces import view_of

from .asgi_visits import ASGIApp as ASGIApp
from .asgi_visits import HTTPVisit, WebSocketVisit
from .asgi_visits import Message as Message
from .asgi_visits import Receive as Receive
from .asgi_visits import Scope as Scope
from .asgi_visits import Send as Send
from .development import refuse
from .response import OnStoreError, check_settings, is_nested, is_over
from .shared_scope import SharedHTTPVisit, SharedWebSocketVisit, outside, within

_VISITS: Any = {"http": HTTPVisit, "websocket": WebSocketVisit}
_SHARED_VISITS: Any = {"http": SharedHTTPVisit, "websocket": SharedWebSocketVisit}


class ASGISessionMiddleware:
    """Puts a :class:`Session` into ``scope["session"]`` and saves it with the response.

    A local store is read at the first access. For a remote one, *autoload* says whether
    to read before the application runs: always, never (the application awaits
    ``session.aload()``), or where a predicate on the scope says so. *on_store_error* as
    for :class:`~fluidauth.WSGISessionMiddleware`.
    """

    session_class: type[Session] = Session
    """Of what stands in the scope: for a framework, without our names."""
    shares_scope: bool = False
    """Whether layers outside see the session, and what is written into the scope, as some frameworks' do.

    ASGI advises against it. A session that stands there already is another's, who keeps it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        engine: SessionEngine,
        autoload: bool | Callable[[Scope], bool] = True,
        on_store_error: OnStoreError = "respond",
    ) -> None:
        check_settings(engine, on_store_error)
        self.app = app
        self.engine = engine
        self.autoload = autoload
        self._responds = on_store_error == "respond"
        self._requests = engine.requests
        self._inline = engine.requests.store.inline
        self._refuses = engine.development
        self._class, self._shares = self.session_class, self.shares_scope  # asked of each request
        self._visits = _SHARED_VISITS if self._shares else _VISITS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, requests = scope["type"], self._requests
        outer = scope.get("session")
        if kind not in ("http", "websocket") or (outer is not None and is_nested(outer, requests)):
            await self.app(scope, receive, send)
            return
        if self._refuses and await refuse(scope, send, requests):
            return
        visit = self._visits[kind](requests, scope["headers"], self._inline, self._responds)
        visit.session = self._class(visit)
        if self._shares and (outer is None or is_over(outer)):
            visit.request = scope
            scope["session"] = visit.session
        else:
            visit.request = {**scope, "session": visit.session}
        visit.key = "session"
        visit.pass_on = partial(outside, send) if self._shares else send
        token = within.set(visit) if self._shares else None
        if not self._inline and self._autoloads(visit.request):
            await visit.prefetch()
        try:
            await self.app(visit.request, receive, visit.send)
        except BaseException as error:
            if not await visit.fail(error):
                raise
        else:
            if visit.owes_more():
                await visit.ended()
            if requests.cleaning_due and visit.tidies():
                await atidy(requests)
        finally:
            visit.over = True
            if token is not None:
                within.reset(token)
                visit.remain_in(scope)
            del visit.request, visit.session  # as ``let_go``: a call costs a twentieth of all this

    def _autoloads(self, scope: Scope) -> bool:
        return self.autoload(scope) if callable(self.autoload) else self.autoload


def session_in(scope: Mapping[str, object], advice: str) -> Session:
    """Return the session that a middleware put into *scope*, with all names, and count it as used.

    Raise :class:`ConfigError`, which ends with *advice*, if there is none.
    """
    found = scope.get("session")
    if not isinstance(found, Session):
        raise ConfigError(f"no session here: {advice}")
    session = view_of(found)
    session.mark_accessed()
    return session
