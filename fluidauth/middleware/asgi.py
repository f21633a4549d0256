"""Sessions for ASGI 3 applications: http and websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fluidauth.engine import SessionEngine
from fluidauth.engine.visit import Exchange, OnStoreError, check_settings
from fluidauth.errors import StoreError
from fluidauth.formats.headers import BYTES
from fluidauth.session import Session

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_TRY_AGAIN_LATER = 1013  # WebSocket close code


class ASGISessionMiddleware:
    """Puts a :class:`Session` into ``scope["session"]`` and saves it with the response.

    A local store is read at the first access. For a remote one, *autoload* says whether
    to read before the application runs: always, never (the application awaits
    ``session.aload()``), or where a predicate on the scope says so. *on_store_error* as
    for :class:`~fluidauth.WSGISessionMiddleware`.
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
        self._gateway = engine.gateway
        self._inline = engine.gateway.store.inline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        gateway = self._gateway
        outer = scope.get("session")
        nested = type(outer) is Session and outer._calls is gateway
        if nested or kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        session = Session(gateway, scope["headers"], self._inline)
        scope = {**scope, "session": session}
        if not self._inline and self._autoloads(scope):
            await gateway.prefetch(session)
        exchange_type = _HTTPExchange if kind == "http" else _WebSocketExchange
        exchange = exchange_type(gateway, session, self._responds, scope, "session", send)
        try:
            await self.app(scope, receive, exchange.send)
        except BaseException as error:
            if not await exchange.failed(error):
                raise
        else:
            if exchange.owes_more():
                await exchange.ended()
            if gateway.cleaning_due and session._state is not None:
                await gateway.atidy()

    def _autoloads(self, scope: Scope) -> bool:
        return self.autoload(scope) if callable(self.autoload) else self.autoload


class _ASGIExchange(Exchange[Send]):
    """What http and websocket have in common."""

    __slots__ = ()

    async def head(self, message: Message, status: int, readable: bool = False) -> None:
        """Save the session and pass on the head in *message*, or a 503 in its place."""
        if self.hides_failure(status):
            await self.aleave()
            await self.send_unavailable()
            return
        try:
            if type(self.request.get(self.key)) is dict:
                await self.session.aload()
            await self.gateway.quiet(self.session)
            changes = self.head_changes(status)
            if changes is not None:
                await self.gateway.acommit(self.session, changes)
        except StoreError:
            if not self.responds:
                raise
            await self.send_unavailable()
            return
        self.close_head(readable)
        await self.pass_on(self.amended_message(message) if self.session._accessed else message)

    def amended_message(self, message: Message) -> Message:
        """Return *message*, a head, with the headers that the use of the session demands."""
        headers = self.amended(message.get("headers", ()), BYTES, self.request.get("scheme", ""))
        return {**message, "headers": headers}

    async def ended(self) -> None:
        """Save what changed after the head."""
        try:
            await self.gateway.quiet(self.session)
            changes = self.last_changes()
            if changes is not None:
                await self.gateway.acommit(self.session, changes)
        except StoreError:
            if not self.responds:
                raise

    async def failed(self, error: BaseException) -> bool:
        """Return whether *error* was answered with 503; if not, carry out what must be."""
        if self.answers(error):
            if not self.unavailable:
                await self.aleave()
                await self.send_unavailable()
            return True
        self.keep = self.keep and self.survives_errors()
        await self.ended()
        return False

    def survives_errors(self) -> bool:
        return False

    async def send_unavailable(self) -> None:
        raise NotImplementedError

    async def _swallow(self) -> None:
        """Take what an application sends of a response that was replaced."""

    async def _send_answer(self, prefix: str) -> None:
        headers = [(BYTES.spell(name), BYTES.spell(value)) for name, value in self.answer_headers()]
        await self.pass_on({"type": f"{prefix}.start", "status": self.answer.code, "headers": headers})
        await self.pass_on({"type": f"{prefix}.body", "body": self.answer.body})


class _HTTPExchange(_ASGIExchange):
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
        return self.pass_on(self.amended_message(message) if self.session._accessed else message)

    async def send_unavailable(self) -> None:
        self.unavailable = True
        await self._send_answer("http.response")


class _WebSocketExchange(_ASGIExchange):
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
        await self.gateway.quiet(self.session)
        changes = self.head_changes(500)
        if changes is not None:
            await self.gateway.acommit(self.session, changes)
        self.close_head()
        await self.pass_on(message)

    def survives_errors(self) -> bool:
        return self.started  # a client that disconnects raises in most frameworks

    async def send_unavailable(self) -> None:
        self.unavailable = True
        if "websocket.http.response" in (self.request.get("extensions") or {}):
            await self._send_answer("websocket.http.response")
        else:
            await self.pass_on({"type": "websocket.close", "code": _TRY_AGAIN_LATER})


_HANDSHAKE_ENDS = ("websocket.accept", "websocket.close", "websocket.http.response.start")
