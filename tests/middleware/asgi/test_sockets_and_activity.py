"""Who may open a WebSocket under our cookie, and what its frames do for the session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from fluidauth import ASGISessionMiddleware, SessionEngine
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.support import opened

IDLE = 600
EVIL = [(b"host", b"app.shop.test"), (b"origin", b"https://evil.test")]
OURS = [(b"host", b"app.shop.test"), (b"origin", b"https://app.shop.test")]


@pytest.fixture(params=["sqlite", "async-basic"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def engine(store: Any, clock: FakeClock) -> SessionEngine:
    return SessionEngine(new_secret(), store, clock=clock, cross_origin="block", idle_timeout=IDLE)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer each message with the user of the session."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": scope["session"].user_id or ""})


def opened_by(engine: SessionEngine, headers: Any, cookie: str, app: Any = echo, **options: Any) -> Any:
    """Return a socket that a page opens, of the given headers."""
    extensions = options.pop("extensions", {})
    found = [*headers, (b"cookie", cookie.encode())] if cookie else headers
    scope = {"type": "websocket", "scheme": "wss", "path": "/", "headers": found, "extensions": extensions}
    return ApplicationCommunicator(ASGISessionMiddleware(app, engine=engine, **options), scope)


def cookie_for(engine: SessionEngine) -> tuple[str, str]:
    """Return a cookie of somebody who is signed in, and the session's handle."""
    token, session = engine.create_session("ada")
    return f"{engine.policy.cookie.name}={token}", session.handle or ""


def first_answer(socket: Any) -> Any:
    async def talk() -> Any:
        await socket.send_input({"type": "websocket.connect"})
        return await socket.receive_output()

    return asyncio.run(talk())


def said_by(socket: Any) -> Any:
    """Return the text that the application says after the handshake."""

    async def talk() -> Any:
        await socket.send_input({"type": "websocket.connect"})
        await socket.receive_output()
        said = await socket.receive_output()
        await socket.wait()
        return said["text"]

    return asyncio.run(talk())


@pytest.mark.requirement("74")
def test_a_page_of_another_origin_opens_no_socket(engine: SessionEngine) -> None:
    """The handshake is answered with 403 where a server can; without our cookie it is not ours to refuse."""
    cookie, _ = cookie_for(engine)

    closed = first_answer(opened_by(engine, EVIL, cookie))
    answered = first_answer(opened_by(engine, EVIL, cookie, extensions={"websocket.http.response": {}}))

    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert (answered["type"], answered["status"]) == ("websocket.http.response.start", 403)
    assert first_answer(opened_by(engine, OURS, cookie))["type"] == "websocket.accept"
    assert first_answer(opened_by(engine, [], cookie))["type"] == "websocket.accept"
    assert first_answer(opened_by(engine, EVIL, ""))["type"] == "websocket.accept"


@pytest.mark.requirement("76")
@pytest.mark.parametrize("frames", [True, False])
def test_frames_may_be_activity(engine: SessionEngine, clock: FakeClock, frames: bool) -> None:
    """If the middleware is told so, and only as long as the session lives."""
    cookie, handle = cookie_for(engine)

    async def talk() -> list[str]:
        socket = opened_by(engine, OURS, cookie, frames_are_activity=frames)
        await socket.send_input({"type": "websocket.connect"})
        await socket.receive_output()
        said = []
        for _ in range(4):
            await socket.send_input({"type": "websocket.receive", "text": "hi"})
            said.append((await socket.receive_output())["text"])
            clock.advance(IDLE / 2)
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait()
        return said

    assert asyncio.run(talk()) == ["ada"] * 4  # an open socket goes on
    assert (engine.get_session(handle) is not None) is frames


@pytest.mark.requirement("76")
def test_a_frame_revives_nothing(engine: SessionEngine, clock: FakeClock) -> None:
    """A session that has expired, or ended elsewhere, stays so."""
    cookie, handle = cookie_for(engine)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        session = scope["session"]
        assert session.user_id == "ada"
        await send({"type": "websocket.accept"})
        clock.advance(IDLE / 2)
        said = [await session.aextend()]
        clock.advance(IDLE)
        said.append(await session.aextend())
        await send({"type": "websocket.send", "text": str(said)})

    assert said_by(opened_by(engine, OURS, cookie, app)) == "[True, False]"
    assert engine.get_session(handle) is None


@pytest.mark.requirement("80")
def test_a_value_is_redeemed_in_a_socket(engine: SessionEngine) -> None:
    """After the handshake as before it: no cookie is needed for that."""
    cookie, handle = cookie_for(engine)
    with engine.edit(handle) as session:
        value = session.issue("ticket", {"room": 7})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        found = await scope["session"].aredeem("ticket", value)
        await send({"type": "websocket.send", "text": str(found)})

    assert said_by(opened_by(engine, OURS, cookie, app)) == "{'room': 7}"
