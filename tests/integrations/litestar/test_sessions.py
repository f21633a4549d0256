"""Litestar's own names for what is done to a session: each does what Litestar documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import attrs
import httpx
import msgspec
import pydantic
import pytest
from litestar import Litestar, delete, get, post, websocket
from litestar.connection import WebSocket
from litestar.testing import TestClient
from litestar.types import Empty

from fluidauth import CookieOptions, SessionEngine
from fluidauth.integrations.litestar import FluidAuthSessionConfig, SessionMiddleware, session_of
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine, sign_in
from tests.integrations.litestar.sites import AnyRequest, site, visitor
from tests.integrations.live import live
from tests.support import AsyncBasicStore, FlakyStore

NUMBER = UUID(int=7)


@dataclass
class Item:
    name: str
    tags: list[str] = field(default_factory=lambda: ["hot"])


@dataclass
class Cart:
    n: int
    item: Item


class Struct(msgspec.Struct):
    n: int
    item: Item


class Model(pydantic.BaseModel):
    n: int
    item: dict[str, Any]


@attrs.define
class Attrs:
    n: int
    item: Item


FIELDS = {"n": 1, "item": {"name": "tea", "tags": ["hot"]}}
MODELS: dict[str, Callable[[], Any]] = {
    "dict": lambda: dict(FIELDS),
    "dataclass": lambda: Cart(1, Item("tea")),
    "msgspec": lambda: Struct(1, Item("tea")),
    "pydantic": lambda: Model(n=1, item={"name": "tea", "tags": ["hot"]}),
    "attrs": lambda: Attrs(1, Item("tea")),
    "dict with a dataclass": lambda: {"n": 1, "item": Item("tea")},
}


def setting(make: Callable[[], Any]) -> Any:
    @post("/set")
    async def set_session(request: AnyRequest) -> None:
        request.set_session(make())

    return set_session


@pytest.mark.requirement("71")
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_set_session_replaces_the_fields(make: Callable[[], Any]) -> None:
    """And leaves who is signed in, and the cookie, as they are."""
    engine = memory_engine()
    client = visitor(engine, setting(make))
    sign_in(client, engine, "ada", {"old": 1})

    answer = client.post("/set")

    assert (answer.status_code, "set-cookie" in answer.headers) == (201, False)
    assert client.get("/who").json() == ["ada", FIELDS]


@pytest.mark.requirement("71")
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_set_session_begins_one(make: Callable[[], Any]) -> None:
    """By our rules for a response that carries a cookie."""
    client = visitor(memory_engine(), setting(make))

    answer = client.post("/set")

    assert answer.headers["set-cookie"].startswith("session=1.")
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "Cookie")
    assert client.get("/session").json() == FIELDS


@pytest.mark.requirement("71")
def test_types_that_the_application_can_encode_are_fields() -> None:
    """As in its responses."""

    class Odd:
        pass

    engine = memory_engine()
    client = visitor(
        engine, setting(lambda: {"id": NUMBER, "odd": Odd()}), type_encoders={Odd: lambda odd: "odd"}
    )

    client.post("/set")

    assert client.get("/session").json() == {"id": str(NUMBER), "odd": "odd"}


@pytest.mark.requirement("71")
@pytest.mark.parametrize(
    "junk",
    [42, "text", ["a"], object(), {"a": object()}, {1: {2: object()}}],
    ids=["int", "str", "list", "object", "object inside", "object deep inside"],
)
def test_set_session_of_what_has_no_fields_is_an_error(junk: Any) -> None:
    """Never a success: Litestar makes a 500 of it."""
    engine = memory_engine()
    client = visitor(engine, setting(lambda: junk))
    sign_in(client, engine, "ada", {"old": 1})

    assert client.post("/set").status_code == 500
    assert client.get("/who").json() == ["ada", {"old": 1}]


def leave_by(name: str) -> Any:
    @delete("/leave")
    async def handler(request: AnyRequest) -> None:
        if name == "clear_session":
            request.clear_session()
        elif name == "clear":
            request.session.clear()
        else:
            nothing: Any = {"Empty": Empty, "None": None, "{}": {}}[name]
            request.set_session(nothing)

    return handler


@pytest.mark.requirement("4")
@pytest.mark.parametrize("name", ["clear_session", "clear", "Empty", "None", "{}"])
def test_clear_session_is_a_logout_on_a_real_server(name: str) -> None:
    """Which Litestar answers with 204; a copy of the cookie opens nothing."""
    engine = memory_engine()
    with (
        live(site(engine, leave_by(name))) as url,
        httpx.Client(base_url=url, trust_env=False) as ada,
        httpx.Client(base_url=url, trust_env=False) as thief,
    ):
        ada.post("/login/ada")
        thief.cookies.update(ada.cookies)
        assert thief.get("/who").json() == ["ada", {"user_id": "ada"}]

        answer = ada.delete("/leave")

        assert (answer.status_code, "Max-Age=0" in answer.headers["set-cookie"]) == (204, True)
        assert [client.get("/who").json() for client in (ada, thief)] == [[None, {}]] * 2
        assert engine.list_sessions("ada") == []


@pytest.mark.requirement("4")
@pytest.mark.parametrize("name", ["clear_session", "clear", "Empty", "None", "{}"])
def test_clear_session_of_nobody_ends_the_session(name: str) -> None:
    engine = memory_engine()
    client = visitor(engine, leave_by(name))
    client.post("/session", json={"n": 1})

    answer = client.delete("/leave")

    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert client.get("/who").json() == [None, {}]


@pytest.mark.requirement("3")
def test_a_login_changes_the_cookie() -> None:
    engine = memory_engine()
    client = visitor(engine)
    client.post("/session", json={"n": 1})
    before = client.cookies["session"]

    client.post("/login/ada")

    assert client.cookies["session"] != before
    assert client.get("/who").json() == ["ada", {"n": 1, "user_id": "ada"}]


def test_a_handler_may_return_the_session() -> None:
    """It is encoded by C code, which does not ask for what was not read."""
    engine = memory_engine()
    client = visitor(engine)
    sign_in(client, engine, "ada", {"cart": ["tea"]})

    answer = client.get("/session")

    assert (answer.json(), answer.headers["vary"]) == ({"cart": ["tea"]}, "Cookie")
    assert visitor(engine).get("/session").json() == {}


@pytest.mark.requirement("19")
def test_a_page_without_a_use_of_it_says_nothing_of_it() -> None:
    engine = memory_engine()
    client = visitor(engine)
    sign_in(client, engine, "ada")

    answer = client.get("/plain")

    assert {"vary", "set-cookie", "cache-control"}.isdisjoint(answer.headers)


@pytest.mark.parametrize("autoload", [True, False])
def test_a_store_that_is_awaited(autoload: bool) -> None:
    engine = SessionEngine(new_secret(), AsyncBasicStore(), cookie=CookieOptions(secure=False))

    @get("/load")
    async def load(request: AnyRequest) -> dict[str, Any]:
        await session_of(request).aload()
        return request.session

    config = FluidAuthSessionConfig(engine=engine, autoload=autoload)
    with TestClient(site(engine, load, setting(MODELS["dataclass"]), config=config)) as client:
        client.post("/set")
        assert client.get("/load").json() == FIELDS
        if autoload:
            assert client.get("/session").json() == FIELDS
        client.delete("/session")
        assert client.get("/load").json() == {}


@pytest.mark.requirement("52")
def test_an_outage_is_a_503() -> None:
    """Also where Litestar made a 500 of it; the cookie stays, and so does who is signed in."""
    store = FlakyStore()
    engine = SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False))
    client = visitor(engine)
    client.post("/login/ada")
    store.broken.add("get")

    answers = [client.get(path) for path in ("/who", "/session", "/plain")]
    store.broken.clear()

    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert client.get("/who").json()[0] == "ada"


# -- which requests have one ------------------------------------------------------------------------


@get("/has", skip_session=True)
async def skips(request: AnyRequest) -> bool:
    return "session" in request.scope


@get(["/has/it", "/has/other"], mine=True)
async def has(request: AnyRequest) -> bool:
    return "session" in request.scope


@websocket("/live")
async def socket_has(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_json("session" in socket.scope)
    await socket.close()


def has_session(path: str, **settings: Any) -> bool:
    engine = memory_engine()
    config = FluidAuthSessionConfig(engine=engine, **settings)
    client = TestClient(site(engine, skips, has, socket_has, config=config))
    if path == "/live":
        with client.websocket_connect(path) as socket:
            return bool(socket.receive_json())
    return bool(client.get(path).json())


def test_requests_are_left_out_as_litestar_documents() -> None:
    assert has_session("/has/it")
    assert not has_session("/has")
    assert has_session("/has", exclude_opt_key="mine")
    assert not has_session("/has/it", exclude_opt_key="mine")
    assert not has_session("/has/it", exclude="^/has/i")
    assert not has_session("/has/it", exclude=["north", "it$"])
    assert has_session("/has/other", exclude=["north", "it$"])
    assert has_session("/live")
    assert not has_session("/live", scopes={"http"})
    assert not has_session("/has/it", scopes={"websocket"})


def test_a_router_and_a_handler_may_have_it_alone() -> None:
    """As any middleware of Litestar's."""
    engine = memory_engine()
    sessions = FluidAuthSessionConfig(engine=engine)

    @get("/alone", middleware=[sessions.middleware])
    async def alone(request: AnyRequest) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    client = TestClient(Litestar([alone, has], openapi_config=None, logging_config=None))

    assert [client.get("/alone").json() for _ in range(2)] == [1, 2]
    assert client.get("/has/it").json() is False


def test_hooks_outside_see_the_session_and_the_route_as_they_are_sent() -> None:
    """Also where the middleware stands around all of it."""
    engine = memory_engine()
    seen: list[Any] = []

    async def hook(message: Any, scope: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append((scope["route_handler"].name, dict(scope["session"])))

    @post("/set", name="sets")
    async def sets(request: AnyRequest) -> None:
        request.session["n"] = 1

    apps: list[Any] = [
        site(engine, sets, before_send=[hook]),
        Litestar([sets], before_send=[hook], openapi_config=None, logging_config=None),
    ]
    apps[1].asgi_handler = SessionMiddleware(apps[1].asgi_handler, engine=engine)
    for app in apps:
        assert TestClient(app).post("/set").status_code == 201

    assert seen == [("sets", {"n": 1})] * 2
