"""Sessions under asyncio and trio, and requests that are cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trio

from fluidauth import ASGISessionMiddleware, MemoryStore, Session, SessionEngine, SQLiteStore
from fluidauth.engine.visit import Visit
from fluidauth.keys import new_secret
from tests.middleware.asgi.requests import cookie_of, fields, get
from tests.support import AsyncBasicStore


@pytest.mark.parametrize("kind", ["sqlite", "async"])
def test_sessions_work_under_trio(tmp_path: Path, kind: str) -> None:
    """Without asyncio, a blocking store is called inline."""
    store: Any = SQLiteStore(tmp_path / "s.db") if kind == "sqlite" else MemoryStore()
    engine = SessionEngine(secret=new_secret(), store=store)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].add("n")
        await send({"type": "http.response.start", "status": 200})

    async def twice() -> str:
        wrapped = ASGISessionMiddleware(app, engine=engine)
        cookie = cookie_of((await get(wrapped))[0])
        await get(wrapped, cookie)
        return cookie

    cookie = trio.run(twice)

    assert fields(engine, cookie) == {"n": 2}
    engine.close()


@pytest.mark.requirement("4")
@pytest.mark.parametrize("kind", ["sqlite", "async"])
def test_a_client_that_leaves_does_not_stop_its_logout(tmp_path: Path, kind: str) -> None:
    """A request cancelled again and again, as by anyio, while it waits for the store."""
    store: Any = SQLiteStore(tmp_path / "s.db") if kind == "sqlite" else AsyncBasicStore()
    engine = SessionEngine(secret=new_secret(), store=store)
    asked: list[Session] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].aload()
        scope["session"].logout()
        asked.append(scope["session"])
        await send({"type": "http.response.start", "status": 200})

    async def leave() -> Any:
        token, _ = await engine.acreate_session("user-42")
        request = asyncio.ensure_future(
            get(ASGISessionMiddleware(app, engine=engine), f"__Host-session={token}")
        )
        while not asked:
            await asyncio.sleep(0)
        while not request.done():
            request.cancel()
            await asyncio.sleep(0)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(request, *rest, return_exceptions=True)
        session = Session(Visit(engine.requests, f"__Host-session={token}", may_block=False))
        await session.aload()
        await engine.aclose()
        return request.cancelled(), session.user_id

    assert asyncio.run(leave()) == (True, None)


@pytest.mark.requirement("27")
def test_a_storm_of_cancellations_mixes_no_users(tmp_path: Path) -> None:
    """Requests cancelled at any moment never leave one user's data to another."""
    engine = SessionEngine(secret=new_secret(), store=SQLiteStore(tmp_path / "s.db", durability="normal"))
    seen: list[tuple[str, str | None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["user"], scope["session"].user_id))
        scope["session"].add("n")
        await send({"type": "http.response.start", "status": 200})

    async def storm() -> None:
        tokens = {f"user-{n}": (await engine.acreate_session(f"user-{n}"))[0] for n in range(8)}
        wrapped = ASGISessionMiddleware(app, engine=engine)
        for turn in range(20):
            requests = [
                asyncio.ensure_future(get(wrapped, f"__Host-session={token}", user=user))
                for user, token in tokens.items()
            ]
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            for request in requests[::2]:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)

    asyncio.run(storm())
    engine.close()

    assert len(seen) >= 80
    assert all(user == found for user, found in seen)
