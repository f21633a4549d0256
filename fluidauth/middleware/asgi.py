"""Sessions for ASGI 3 applications: http and websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NoReturn

from fluidauth.engine import SessionEngine
from fluidauth.engine.housekeeping import atidy
from fluidauth.errors import ConfigError, SessionClosed
from fluidauth.formats.headers import BYTES
from fluidauth.session import Session
from fluidauth.session.faces import view_of
from fluidauth.session.frozen import OVER, frozen
from fluidauth.session.state import State

from .response import MiddlewareVisit, OnStoreError, check_settings, is_nested, is_over

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_TRY_AGAIN_LATER = 1013  # WebSocket close code
_REFUSED = 503  # as what a handshake that the application closes counts: nothing but a logout is kept


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
        self._class, self._shares = self.session_class, self.shares_scope  # asked of each request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, requests = scope["type"], self._requests
        outer = scope.get("session")
        if kind not in ("http", "websocket") or (outer is not None and is_nested(outer, requests)):
            await self.app(scope, receive, send)
            return
        visit_type = _HTTPVisit if kind == "http" else _WebSocketVisit
        visit = visit_type(requests, scope["headers"], self._inline, self._responds)
        visit.session = self._class(visit)
        if self._shares and (outer is None or is_over(outer)):
            visit.request = scope
            scope["session"] = visit.session
        else:
            visit.request = {**scope, "session": visit.session}
        visit.key, visit.pass_on = "session", send
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
            if self._shares:
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


class _ASGIVisit(MiddlewareVisit[Send]):
    """What http and websocket have in common."""

    __slots__ = ()

    async def head(self, message: Message, status: int, readable: bool = False) -> None:
        """Save the session and pass on the head in *message*, or our answer in its place."""
        if not await self.asave_head(self.session, status, self.replacement()):
            await self.send_answer()
            return
        self.close_head(readable)
        await self.pass_on(self.amended(message) if self.accessed else message)

    def amended(self, message: Message) -> Message:
        """Return *message*, a head, with the headers that the use of the session demands."""
        headers = self.headers(message.get("headers", ()), BYTES, self.request.get("scheme", ""))
        return {**message, "headers": headers}

    async def ended(self) -> None:
        """Save what changed after the head."""
        await self.asave_end(self.session, self.replacement())

    async def fail(self, error: BaseException) -> bool:
        """Return whether *error* was answered, with 503 or 400; if not, carry out what must be."""
        if self.answers(error):
            if not self.unavailable:
                await self.asave_logout(self.session)
                await self.send_answer()
            return True
        self.keep = self.keep and self.survives_errors()
        await self.ended()
        return False

    def survives_errors(self) -> bool:
        return False

    async def send_answer(self) -> None:
        """Send our answer in the place of the application's response."""
        raise NotImplementedError

    def remain_in(self, scope: Scope) -> None:
        """Let layers outside, which have *scope*, read the session; what is in a copy of it is told there."""
        self.pass_on = _nowhere  # a server that holds both its scope and that would be in a circle
        state = self.state
        if state is not None:  # the next access asks for it, and is given what refuses changes
            state.base = dict(dict.items(self.session))
            self.found, self.state = state, None
        self.__class__ = _Ended
        if self.request is not scope:
            scope.update({name: value for name, value in self.request.items() if name != self.key})

    async def _swallow(self) -> None:
        """Take what an application sends of a response that was replaced."""

    async def _send_answer(self, prefix: str) -> None:
        headers = [(BYTES.spell(name), BYTES.spell(value)) for name, value in self.answer_headers()]
        answer = self.answer
        await self.pass_on({"type": f"{prefix}.start", "status": answer.code, "headers": headers})
        await self.pass_on({"type": f"{prefix}.body", "body": answer.body})


class _HTTPVisit(_ASGIVisit):
    __slots__ = ()

    def send(self, message: Message) -> Awaitable[None]:
        # Not a coroutine: a session that has nothing to save costs no second frame.
        if self.unavailable:
            return self._swallow()
        if message["type"] != "http.response.start":
            return self.pass_on(message)
        if self.owes_more():
            return self.head(message, message["status"])
        self.keep = message["status"] < 500
        self.close_head()
        return self.pass_on(self.amended(message) if self.accessed else message)

    async def send_answer(self) -> None:
        self.unavailable = True
        await self._send_answer("http.response")


class _WebSocketVisit(_ASGIVisit):
    """A handshake is a head; a session may be read, but get no cookie, later on."""

    __slots__ = ()

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self.unavailable:
            return
        if self.started or kind not in _HANDSHAKE_ENDS:
            if kind == "websocket.close":
                await self.ended()
            await self.pass_on(message)
        elif kind == "websocket.accept":
            await self.head(message, 101, readable=True)
        elif kind == "websocket.http.response.start":
            await self.head(message, message["status"])
        else:
            await self.head_of_refusal(message)

    async def head_of_refusal(self, message: Message) -> None:
        """Pass on a close before accept: servers answer 403, without headers of ours."""
        if not await self.asave_head(self.session, _REFUSED, self.replacement()):
            await self.send_answer()
            return
        self.close_head()
        await self.pass_on(message)

    def survives_errors(self) -> bool:
        return self.started  # a client that disconnects raises in most frameworks

    async def send_answer(self) -> None:
        self.unavailable = True
        if "websocket.http.response" in (self.request.get("extensions") or {}):
            await self._send_answer("websocket.http.response")
        else:
            await self.pass_on({"type": "websocket.close", "code": _TRY_AGAIN_LATER})


class _Ended(_ASGIVisit):
    """Of a request that has ended: layers outside may read its session, and end it."""

    __slots__ = ()
    readable = is_late = True
    answerable = False

    def load(self) -> State:
        return _to_be_read(super().load())

    async def aload(self) -> State:
        found = self.found  # is left to the next access, which fills the session
        return found if isinstance(found, State) else await super().aload()

    def reload(self) -> State:
        return _to_be_read(super().reload())

    async def areload(self) -> State:
        return _to_be_read(await super().areload())

    def save(self, session: Session) -> NoReturn:
        raise SessionClosed(OVER)

    async def asave(self, session: Session) -> NoReturn:
        raise SessionClosed(OVER)


def _to_be_read(state: State) -> State:
    """Return *state* with values that refuse changes."""
    state.base = {name: frozen(value) for name, value in state.base.items()}
    return state


async def _nowhere(message: Message) -> None:
    raise RuntimeError(f"{message['type']} came after the application had returned")


_HANDSHAKE_ENDS = ("websocket.accept", "websocket.close", "websocket.http.response.start")
