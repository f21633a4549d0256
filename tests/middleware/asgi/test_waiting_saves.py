"""What a request does while a save of its session waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fluidauth import ASGISessionMiddleware, Session, SessionEngine, SQLiteStore
from fluidauth.engine.visit import Visit
from fluidauth.errors import SessionClosed, StoreError
from fluidauth.keys import new_secret
from fluidauth.stores import SessionRecord
from tests.middleware.asgi.requests import cookie_of, get
from tests.support import AsyncBasicStore


@pytest.mark.parametrize("merges", [False, True], ids=["alone", "merged"])
def test_changes_while_a_save_waits_are_kept(merges: bool) -> None:
    """Another task of the same request may go on with the session; nothing of it is lost."""
    store = AsyncBasicStore()
    engine = SessionEngine(secret=new_secret(), store=store)
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        await session.aload()
        items = session["items"]
        session["a"] = 1
        if merges:
            async with engine.aedit(session.handle) as other:
                other["theirs"] = True
        saving = asyncio.ensure_future(session.asave())
        await asyncio.sleep(0)
        items.append("late")
        session["late"] = True
        await saving
        await send({"type": "http.response.start", "status": 200})

    async def both() -> None:
        token, _ = await engine.acreate_session("user-42", {"items": []})
        await get(ASGISessionMiddleware(app, engine=engine), f"__Host-session={token}")
        session = Session(Visit(engine.requests, f"__Host-session={token}", may_block=False))
        await session.aload()
        seen.append(dict(session))

    asyncio.run(both())

    theirs = {"theirs": True} if merges else {}
    assert seen == [{"items": ["late"], "a": 1, "late": True, **theirs}]


def test_an_application_may_remove_its_session_from_the_scope(engine: SessionEngine) -> None:
    """What is no longer there is left alone, as any object that is not ours."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope["session"]
        await send({"type": "http.response.start", "status": 200})

    messages = asyncio.run(get(ASGISessionMiddleware(app, engine=engine)))

    assert messages[0]["status"] == 200


def while_saving(handler: Any, later: Any, store: Any) -> tuple[SessionEngine, str, list[Any]]:
    """Run a request whose *later* is called while the save that *handler* asked for waits."""
    engine = SessionEngine(secret=new_secret(), store=store)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        await session.aload()
        handler(session)
        saving = asyncio.ensure_future(session.asave())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later(session)
        await saving
        await send({"type": "http.response.start", "status": 200})

    async def ask() -> tuple[str, list[Any]]:
        token, _ = await engine.acreate_session("ada", {"n": 0})
        cookie = f"__Host-session={token}"
        return cookie, await get(ASGISessionMiddleware(app, engine=engine), cookie)

    cookie, messages = asyncio.run(ask())
    return engine, cookie, messages


async def opened(engine: SessionEngine, cookie: str) -> Session:
    session = Session(Visit(engine.requests, cookie, may_block=False))
    await session.aload()
    return session


@pytest.mark.requirement("4")
def test_a_logout_while_a_save_waits_is_final() -> None:
    """It is asked of the session that the save leaves behind."""
    engine, cookie, messages = while_saving(
        lambda session: session.add("n"), Session.logout, AsyncBasicStore()
    )

    assert asyncio.run(opened(engine, cookie)).user_id is None
    assert cookie_of(messages[0]) == "__Host-session="


@pytest.mark.requirement("4")
def test_a_logout_while_a_save_waits_ends_each_session_that_came() -> None:
    """Of two cookies none counts, yet a logout is to end both; a save before it takes nothing of that."""
    engine = SessionEngine(secret=new_secret(), store=AsyncBasicStore())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        await session.aload()
        session["a"] = 1
        saving = asyncio.ensure_future(session.asave())
        await asyncio.sleep(0)
        session.logout()
        await saving
        await send({"type": "http.response.start", "status": 200})

    async def left() -> list[Any]:
        sessions = [await engine.acreate_session(user, {}) for user in ("ada", "eve")]
        cookies = "; ".join(f"__Host-session={token}" for token, _ in sessions)
        await get(ASGISessionMiddleware(app, engine=engine), cookies)
        return [await engine.aget_session(session.handle or "") for _, session in sessions]

    assert asyncio.run(left()) == [None, None]


@pytest.mark.requirement("4")
def test_a_logout_under_way_is_awaited_whatever_comes_after_it() -> None:
    """Here a dict in the session's place, which can no longer be one: the request fails, and has ended it."""
    engine = SessionEngine(secret=new_secret(), store=AsyncBasicStore())
    left: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        await session.aload()
        await send({"type": "http.response.start", "status": 200})
        session.logout()
        scope["session"] = {"a": 1}

    async def leave() -> None:
        token, session = await engine.acreate_session("ada", {})
        with pytest.raises(SessionClosed):
            await get(ASGISessionMiddleware(app, engine=engine), f"__Host-session={token}")
        left.append(await engine.requests.twin.get(session.handle or ""))

    asyncio.run(leave())

    assert left == [None]


def test_a_session_that_two_tasks_read_at_once_is_one() -> None:
    """The second to come back changes nothing of what the first has, even if it failed."""
    store = FailsTheSecondTime()
    engine = SessionEngine(secret=new_secret(), store=store)

    async def both() -> Visit:
        token, _ = await engine.acreate_session("ada", {"n": 1})
        visit = Visit(engine.requests, f"__Host-session={token}", may_block=False)
        session = Session(visit)
        store.fails = True
        await asyncio.gather(session.aload(), session.aload())
        assert dict(session) == {"n": 1}
        return visit

    visit = asyncio.run(both())

    assert not visit.failed
    assert visit.found is None


class FailsTheSecondTime(AsyncBasicStore):
    """Of two reads that it is asked for, the later one to begin ends last, and fails."""

    fails = False
    reads = 0

    async def get(self, handle: str) -> SessionRecord | None:
        if not self.fails:
            return await super().get(handle)
        self.reads += 1
        if self.reads == 2:
            for _ in range(5):
                await asyncio.sleep(0)
            raise StoreError("the second time")
        return await super().get(handle)


def test_a_login_while_a_save_waits_is_carried_out() -> None:
    """The new user has the new cookie, and nothing of the one before."""
    engine, _, messages = while_saving(
        lambda session: session.add("n"), lambda session: session.login("bob"), AsyncBasicStore()
    )

    session = asyncio.run(opened(engine, cookie_of(messages[0])))
    assert (session.user_id, dict(session)) == ("bob", {})


def test_an_addition_while_a_save_waits_counts_once() -> None:
    """What the save took along is not added again by the next one."""
    engine, cookie, _ = while_saving(
        lambda session: session.add("n"), lambda session: session.add("n", 10), AsyncBasicStore()
    )

    assert dict(asyncio.run(opened(engine, cookie))) == {"n": 11}


@pytest.mark.parametrize("kind", ["sqlite", "async"])
def test_saves_of_one_session_follow_each_other(tmp_path: Path, kind: str) -> None:
    """Saved twice at once, or given up while it waits, a change is stored once."""
    store: Any = SQLiteStore(tmp_path / "s.db") if kind == "sqlite" else AsyncBasicStore()
    engine = SessionEngine(secret=new_secret(), store=store)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        await session.aload()
        session.add("twice")
        await asyncio.gather(session.asave(), session.asave())
        session.add("given up")
        saving = asyncio.ensure_future(session.asave())
        await asyncio.sleep(0)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await send({"type": "http.response.start", "status": 200})

    async def ask() -> dict[str, Any]:
        token, _ = await engine.acreate_session("ada")
        cookie = f"__Host-session={token}"
        await get(ASGISessionMiddleware(app, engine=engine), cookie)
        stored = dict(await opened(engine, cookie))
        await engine.aclose()
        return stored

    assert asyncio.run(ask()) == {"twice": 1, "given up": 1}
