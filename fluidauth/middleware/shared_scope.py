"""Visits whose session is also visible to layers outside of the middleware, in the scope that they passed on.

These layers may read the session after the head has left, and after the request has ended. The application
may not read it first then, because its body would depend on a cookie that no ``Vary`` names.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NoReturn

from fluidauth.engine.visit import Visit
from fluidauth.errors import SessionClosed
from fluidauth.session import Session
from fluidauth.session.frozen import OVER, frozen
from fluidauth.session.state import State

from .asgi_visits import ASGIVisit, HTTPVisit, Message, Scope, Send, WebSocketVisit
from .replaced import OURS

within: ContextVar[Visit | None] = ContextVar("fluidauth_within", default=None)
"""The visit of the application that runs here."""


async def outside(send: Send, message: Message) -> None:
    """Send *message* to the layers outside, which may read the session then."""
    token = within.set(None)
    try:
        await send(message)
    finally:
        within.reset(token)


class Shared(ASGIVisit):
    """A visit whose session is visible to layers outside."""

    __slots__ = ()

    def is_outside(self) -> bool:
        return within.get() is not self

    def remain_in(self, scope: Scope) -> None:
        """Leave the session in *scope* for reading. Copy back what was written into a copy of the scope."""
        self.pass_on: Send = _nowhere  # a server that holds its scope and ``send`` would be in a circle
        if type(self.request.get(self.key)) is dict:  # the session has taken over its fields
            self.request[self.key] = self.session
        state = self.state
        if state is not None:  # the next access asks for it, and gets values that refuse changes
            state.base = dict(dict.items(self.session))
            self.found: State | Exception | None = state
            self.state: State | None = None
        self.__class__ = _Ended
        if self.request is not scope:
            scope.update(
                {name: value for name, value in self.request.items() if name not in (self.key, OURS)}
            )


class SharedHTTPVisit(Shared, HTTPVisit):
    __slots__ = ()


class SharedWebSocketVisit(Shared, WebSocketVisit):
    __slots__ = ()


class _Ended(Shared):
    """The visit of a request that has ended: layers outside may read its session, and end it."""

    __slots__ = ()
    readable = is_late = True
    answerable = False

    def load(self) -> State:
        return _to_be_read(super().load())

    async def aload(self) -> State:
        found = self.found  # the next access takes it, and fills the session
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
