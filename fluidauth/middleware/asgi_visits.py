"""What one request over ASGI does with its session: http, and websocket with its handshake as a head."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from fluidauth.errors import StoreError
from fluidauth.formats.headers import BYTES, Answer

from .visits import MiddlewareVisit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_TRY_AGAIN_LATER = 1013  # WebSocket close codes
_POLICY_VIOLATION = 1008
_REFUSED = 503  # a handshake that the application closes counts as this: only a logout is kept


class ASGIVisit(MiddlewareVisit[Send]):
    """What http and websocket have in common."""

    __slots__ = ()
    holder = "scope"

    def begin(self) -> None:
        """Take a client's token, if the engine has them."""
        if self.requests.policy.client_tokens:
            self.present(self.cookies)

    async def head(self, message: Message, status: int, readable: bool = False) -> None:
        """Save the session and pass on the head in *message*, or our answer instead."""
        if not await self.asave_head(self.session, status):
            await self.send_answer()
            return
        self.close_head(readable)
        await self.pass_on(self.amended(message) if self.accessed else message)

    def amended(self, message: Message) -> Message:
        """Return *message*, a head, with the headers that the use of the session demands."""
        headers = self.headers(message.get("headers", ()), BYTES, self.request)
        return {**message, "headers": headers}

    async def ended(self) -> None:
        """Save what changed after the head."""
        await self.asave_end(self.session)

    async def fail(self, error: BaseException) -> bool:
        """Return whether *error* was answered, with 503, 400 or 401. If not, carry out a logout."""
        if self.answers(error):
            if not self.unavailable:
                await self.asave_logout(self.session)
                await self.send_answer()
            return True
        self.keep: bool = self.keep and self.survives_errors()
        await self.ended()
        return False

    def survives_errors(self) -> bool:
        return False

    async def send_answer(self) -> None:
        """Send our answer instead of the application's response."""
        raise NotImplementedError

    async def _swallow(self) -> None:
        """Drop what the application sends of a response that was replaced."""


class HTTPVisit(ASGIVisit):
    __slots__ = ()

    def send(self, message: Message) -> Awaitable[None]:
        # Not a coroutine: a session that has nothing to save costs no second frame.
        if self.unavailable:
            return self._swallow()
        if message["type"] != "http.response.start":
            if not self.over and self.request.get(self.key) is not self.session:
                self.look_again()
            return self.pass_on(message)
        if self.owes_more():
            return self.head(message, message["status"])
        self.keep: bool = message["status"] < 500
        self.close_head()
        return self.pass_on(self.amended(message) if self.accessed else message)

    async def send_answer(self) -> None:
        self.unavailable = True
        await send_http(self.pass_on, self.answer, self.answer_headers())


class WebSocketVisit(ASGIVisit):
    """A handshake is a head. Later the session can be read, but gets no cookie."""

    __slots__ = ()

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self.unavailable:
            return
        if self.started or kind not in _HANDSHAKE_ENDS:
            if kind == "websocket.close":
                await self.ended()
            elif not self.over and self.request.get(self.key) is not self.session:
                self.look_again()
            await self.pass_on(message)
        elif kind == "websocket.accept":
            await self.head(message, 101, readable=True)
        elif kind == "websocket.http.response.start":
            await self.head(message, message["status"])
        else:
            await self.head_of_refusal(message)

    async def received(self, receive: Receive) -> Message:
        """Receive the next message. If it is a frame, it prolongs the session, if that was read."""
        message = await receive()
        if message["type"] == "websocket.receive" and self.state is not None and not self.over:
            with suppress(StoreError):  # reported; the next one tries again
                await self.aextend()
        return message

    async def head_of_refusal(self, message: Message) -> None:
        """Pass on a close before accept: servers answer 403, without headers of ours."""
        if not await self.asave_head(self.session, _REFUSED):
            await self.send_answer()
            return
        self.close_head()
        await self.pass_on(message)

    def survives_errors(self) -> bool:
        return self.started  # a client that disconnects raises in most frameworks

    async def send_answer(self) -> None:
        self.unavailable = True
        await send_to_socket(self.pass_on, self.request, self.answer, self.answer_headers(), _TRY_AGAIN_LATER)


async def send_http(
    send: Send, answer: Answer, headers: list[tuple[str, str]], prefix: str = "http.response"
) -> None:
    """Send *answer* with *headers* as a whole response."""
    spelled = [(BYTES.spell(name), BYTES.spell(value)) for name, value in headers]
    await send({"type": f"{prefix}.start", "status": answer.code, "headers": spelled})
    await send({"type": f"{prefix}.body", "body": answer.body})


async def send_refusal(answer: Answer, scope: Scope, send: Send) -> None:
    """Send *answer* instead of asking the application, which may not be asked."""
    if scope["type"] == "websocket":
        await send_to_socket(send, scope, answer, answer.headers, _POLICY_VIOLATION)
    else:
        await send_http(send, answer, answer.headers)


async def send_to_socket(
    send: Send, scope: Scope, answer: Answer, headers: list[tuple[str, str]], code: int
) -> None:
    """Answer a handshake if the server can. Otherwise close with *code*, which servers turn into 403."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send_http(send, answer, headers, "websocket.http.response")
    else:
        await send({"type": "websocket.close", "code": code})


_HANDSHAKE_ENDS = ("websocket.accept", "websocket.close", "websocket.http.response.start")
