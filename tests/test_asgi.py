"""What ASGI allows an application to do: messages, WebSockets, other event loops."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from asgiref.testing import ApplicationCommunicator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from fluidauth import (
    ASGISessionMiddleware,
    CookieOptions,
    MemoryStore,
    Session,
    SessionClosed,
    SessionEngine,
    SQLiteStore,
)
from fluidauth.engine.visit import Visit
from fluidauth.keys import new_secret

from .support import AsyncBasicStore, FlakyStore


@pytest.fixture
def engine() -> SessionEngine:
    return SessionEngine(secret=new_secret(), store=FlakyStore())


async def get(app: Any, cookie: str = "", **scope: Any) -> list[Any]:
    """Send one request; return the messages of its response."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"cookie", cookie.encode())] if cookie else []
    await app({"type": "http", "scheme": "https", "headers": headers, **scope}, receive, send)
    return sent


def cookie_of(message: Any) -> str:
    lines = [value.decode() for name, value in message.get("headers", []) if name == b"set-cookie"]
    return lines[-1].partition(";")[0] if lines else ""


def fields(engine: SessionEngine, cookie: str) -> dict[str, Any]:
    """What the session behind *cookie* holds."""
    session = Session(Visit(engine.requests, cookie))
    return dict(session)


# -- messages -----------------------------------------------------------------------------


def test_headers_may_be_missing_in_a_message(engine: SessionEngine) -> None:
    """The specification lets an application leave them out."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    messages = asyncio.run(get(ASGISessionMiddleware(app, engine=engine)))

    assert fields(engine, cookie_of(messages[0])) == {"a": 1}


@pytest.mark.parametrize("kind", ["lifespan", "unheard-of"])
def test_other_scopes_pass_untouched(engine: SessionEngine, kind: str) -> None:
    """What is neither http nor websocket reaches the application as it was."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope = {"type": kind}

    asyncio.run(ASGISessionMiddleware(app, engine=engine)(scope, get, get))  # type: ignore[arg-type]  # never called

    assert seen == [({"type": kind}, get, get)]
    assert seen[0][0] is scope


def test_several_cookie_headers_are_one(engine: SessionEngine) -> None:
    """HTTP/2 may split the Cookie header."""
    token, _ = engine.create_session("user-42")
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["session"].user_id)

    headers = [(b"cookie", b"a=1"), (b"Cookie", f"__Host-session={token}".encode()), (b"cookie", b"b")]
    asyncio.run(get(ASGISessionMiddleware(app, engine=engine), headers=headers))

    assert seen == ["user-42"]


def test_the_callers_scope_is_not_changed(engine: SessionEngine) -> None:
    """A middleware works on a copy, as the specification asks."""
    scope = {"type": "http", "headers": []}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "session" in scope

    asyncio.run(ASGISessionMiddleware(app, engine=engine)(scope, get, get))  # type: ignore[arg-type]  # never called

    assert scope == {"type": "http", "headers": []}


def test_a_plain_dict_in_our_place_is_saved(engine: SessionEngine) -> None:
    """Applications that replace scope["session"] have their fields stored."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = {"b": [1]}
        await send({"type": "http.response.start", "status": 200})
        scope["session"]["b"].append(2)
        await send({"type": "http.response.body"})

    visit = Visit(engine.requests)
    first = Session(visit)
    first["a"] = 1
    first.save()
    token = next(iter(visit.set_cookies.values())).partition(";")[0]

    messages = asyncio.run(get(ASGISessionMiddleware(app, engine=engine), token))

    assert cookie_of(messages[0]) == ""
    assert fields(engine, token) == {"b": [1, 2]}


@pytest.mark.parametrize("other", [None, type("Mine", (dict,), {})()])
def test_another_object_in_our_place_is_left_alone(engine: SessionEngine, other: Any) -> None:
    """What is not exactly a dict belongs to somebody else."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = other
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    messages = asyncio.run(get(ASGISessionMiddleware(app, engine=engine)))

    assert cookie_of(messages[0]) == ""


def test_a_second_middleware_of_one_engine_does_nothing(engine: SessionEngine) -> None:
    """Wrapped twice by mistake, an application has one session and one cookie."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})

    inner = ASGISessionMiddleware(app, engine=engine)
    messages = asyncio.run(get(ASGISessionMiddleware(inner, engine=engine)))

    assert [name for name, _ in messages[0]["headers"]].count(b"set-cookie") == 1


def test_two_engines_keep_two_sessions(engine: SessionEngine) -> None:
    """Nested middlewares of different engines do not disturb each other."""
    outer = SessionEngine(secret=new_secret(), store=MemoryStore(), cookie=CookieOptions(name="outer"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})

    messages = asyncio.run(
        get(ASGISessionMiddleware(ASGISessionMiddleware(app, engine=engine), engine=outer))
    )

    assert [name for name, _ in messages[0]["headers"]].count(b"set-cookie") == 1
    assert cookie_of(messages[0]).startswith("__Host-session=")


# -- event loops ----------------------------------------------------------------------------


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


# -- a framework ----------------------------------------------------------------------------


def fetch(app: Any, path: str, cookie: str = "") -> httpx.Response:
    """Ask *app* for *path* by a real client."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://testserver") as client:
            return await client.get(path, headers={"cookie": cookie} if cookie else {})

    return asyncio.run(ask())


def test_starlette_finds_its_session(engine: SessionEngine) -> None:
    """request.session just works, and is a dict to JSON."""

    async def change(request: Request) -> Any:
        request.session["cart"] = [1]
        return PlainTextResponse("ok")

    async def show(request: Request) -> Any:
        return JSONResponse(request.session)

    starlette = Starlette(routes=[Route("/change", change), Route("/show", show)])
    starlette.add_middleware(ASGISessionMiddleware, engine=engine)

    changed = fetch(starlette, "/change")
    shown = fetch(starlette, "/show", changed.headers["set-cookie"].partition(";")[0])

    assert shown.json() == {"cart": [1]}
    assert shown.headers["vary"] == "Cookie"


def test_starlette_passes_an_outage_on_as_503(engine: SessionEngine) -> None:
    """Its error page of 500 becomes ours, inside and outside of its middleware stack."""
    store = engine.requests.store
    assert isinstance(store, FlakyStore)
    token, _ = engine.create_session("user-42")
    store.broken = {"get"}

    async def show(request: Request) -> Any:
        return PlainTextResponse(json.dumps(request.session))

    inside = Starlette(routes=[Route("/", show)])
    inside.add_middleware(ASGISessionMiddleware, engine=engine)
    outside = ASGISessionMiddleware(Starlette(routes=[Route("/", show)]), engine=engine)
    statuses = []
    for app in (inside, outside):
        response = fetch(app, "/", f"__Host-session={token}")
        statuses.append((response.status_code, response.headers["retry-after"]))

    assert statuses == [(503, "5"), (503, "5")]


# -- while a save waits -----------------------------------------------------------------------


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
