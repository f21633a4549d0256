"""Sessions of WebSockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from fluidauth import ASGISessionMiddleware, MemoryStore, Session, SessionClosed, SessionEngine, new_secret
from fluidauth.engine.visit import Visit
from fluidauth.testing import FakeClock
from tests.middleware.asgi.requests import cookie_of, fields, get
from tests.support import Browser, FlakyStore, live_sessions

# -- WebSockets -----------------------------------------------------------------------------


class Socket:
    """One WebSocket connection to an application."""

    def __init__(self, engine: SessionEngine, app: Any, cookie: str = "", **scope: Any) -> None:
        headers = [(b"cookie", cookie.encode())] if cookie else []
        scope = {"type": "websocket", "scheme": "wss", "path": "/", "headers": headers, **scope}
        self.instance = ApplicationCommunicator(ASGISessionMiddleware(app, engine=engine), scope)

    async def connect(self) -> Any:
        await self.instance.send_input({"type": "websocket.connect"})
        return await self.instance.receive_output()


def test_a_session_may_begin_at_accept(engine: SessionEngine) -> None:
    """What changed before accept is stored, with its cookie in the handshake."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["session"]["a"] = 1
        await send({"type": "websocket.accept"})
        scope["session"]["b"] = 2
        await send({"type": "websocket.close"})

    async def talk() -> Any:
        socket = Socket(engine, app)
        accepted = await socket.connect()
        await socket.instance.wait()
        return accepted

    accepted = asyncio.run(talk())

    assert (b"vary", b"Cookie") in accepted["headers"]
    assert fields(engine, cookie_of(accepted)) == {"a": 1, "b": 2}


def test_a_websocket_saves_when_it_ends_by_an_exception(engine: SessionEngine) -> None:
    """A client that disconnects makes most frameworks raise; the changes stay."""
    token, _ = engine.create_session("user-42")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        scope["session"]["a"] = 1
        raise ConnectionError("gone")

    async def talk() -> None:
        socket = Socket(engine, app, f"__Host-session={token}")
        await socket.connect()
        with pytest.raises(ConnectionError):
            await socket.instance.wait()

    asyncio.run(talk())

    assert fields(engine, f"__Host-session={token}") == {"a": 1}


@pytest.mark.requirement("4")
def test_a_logout_in_a_websocket_is_carried_out_at_once(engine: SessionEngine) -> None:
    """However long the connection goes on, and also where it is the first use of the session."""
    for reads_first in (True, False):
        token, session = engine.create_session("user-42")
        assert session.handle is not None

        async def app(scope: Any, receive: Any, send: Any, reads_first: bool = reads_first) -> None:
            await receive()
            if reads_first:
                _ = scope["session"].user_id
            await send({"type": "websocket.accept"})
            scope["session"].logout()
            await send({"type": "websocket.send", "text": "you are logged out"})
            await receive()
            await send({"type": "websocket.close"})

        async def talk(token: str, handle: str, app: Any) -> Any:
            socket = Socket(engine, app, f"__Host-session={token}")
            await socket.connect()
            await socket.instance.receive_output()
            meanwhile = await engine.aget_session(handle)
            await socket.instance.send_input({"type": "websocket.receive", "text": "go on"})
            await socket.instance.wait()
            return meanwhile

        assert asyncio.run(talk(token, session.handle, app)) is None


def test_a_login_is_too_late_after_accept(engine: SessionEngine) -> None:
    """No header is left to carry the new id; what needs none still works."""
    token, _ = engine.create_session("user-42")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        with pytest.raises(SessionClosed, match="login\\(\\) needs a Set-Cookie header"):
            scope["session"].login("other")
        scope["session"].logout()
        await send({"type": "websocket.close"})

    async def talk() -> None:
        socket = Socket(engine, app, f"__Host-session={token}")
        await socket.connect()
        await socket.instance.wait()

    asyncio.run(talk())

    assert Session(Visit(engine.requests, f"__Host-session={token}")).user_id is None


def test_a_refused_handshake_keeps_nothing_but_a_logout(engine: SessionEngine) -> None:
    """A close before accept is a 403, which carries no headers of ours."""
    token, _ = engine.create_session("user-42")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["session"]["a"] = 1
        await send({"type": "websocket.close"})

    async def talk() -> Any:
        socket = Socket(engine, app, f"__Host-session={token}")
        return await socket.connect()

    refused = asyncio.run(talk())

    assert refused == {"type": "websocket.close"}
    assert fields(engine, f"__Host-session={token}") == {}


@pytest.mark.parametrize(
    ("extensions", "kinds"),
    [
        ({}, [("websocket.close", None)]),
        (
            {"websocket.http.response": {}},
            [("websocket.http.response.start", 503), ("websocket.http.response.body", None)],
        ),
    ],
)
def test_a_handshake_in_an_outage_is_refused(
    engine: SessionEngine, extensions: dict[str, Any], kinds: list[Any]
) -> None:
    """A 503 where the server can send one, else a close that says to try again later."""
    store = engine.requests.store
    assert isinstance(store, FlakyStore)
    store.broken = {"create"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["session"]["a"] = 1
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "lost"})

    async def talk() -> list[Any]:
        socket = Socket(engine, app, extensions=extensions)
        messages = [await socket.connect()]
        while len(messages) < len(kinds):
            messages.append(await socket.instance.receive_output())
        await socket.instance.wait()
        assert await socket.instance.receive_nothing()
        return messages

    messages = asyncio.run(talk())

    assert [(message["type"], message.get("status")) for message in messages] == kinds


# -- while a save waits -----------------------------------------------------------------------


def test_a_websocket_saves_before_it_closes(engine: SessionEngine) -> None:
    """A client that was told of the end finds the change in its next request."""
    token, _ = engine.create_session("user-42")
    at_close: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        scope["session"]["a"] = 1
        await send({"type": "websocket.close"})

    async def send(message: Any) -> None:
        if message["type"] == "websocket.close":
            at_close.append(fields(engine, f"__Host-session={token}"))

    scope = {"type": "websocket", "headers": [(b"cookie", f"__Host-session={token}".encode())]}
    asyncio.run(ASGISessionMiddleware(app, engine=engine)(scope, get, send))  # type: ignore[arg-type]  # no receive

    assert at_close == [{"a": 1}]


@pytest.mark.requirement("79")
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "logs out"])
def test_the_way_back_needs_a_head(leaves: bool) -> None:
    """A socket that reads the session late goes on in the own one, and leaves the new id to a response."""
    clock = FakeClock()
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)
    admin = Browser("asgi", engine)
    admin.request(lambda session: session.login("admin"))
    admin.request(lambda session: session.impersonate("ada", "ticket 7"))
    clock.advance(1800)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert scope["session"].user_id == "admin"
        scope["session"]["a"] = 1
        if leaves:
            scope["session"].logout()
        await send({"type": "websocket.close"})

    async def talk() -> None:
        socket = Socket(engine, app, cookie=f"{admin.name}={admin.cookie}")
        await socket.connect()
        await socket.instance.wait()

    asyncio.run(talk())

    assert admin.get(lambda session: (session.user_id, dict(session))) == (
        (None, {}) if leaves else ("admin", {"a": 1})
    )
    assert live_sessions(engine) == (0 if leaves else 1)
