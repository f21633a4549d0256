"""Development mode in each framework: its test client is served, and others are refused in its own way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import fastapi
import flask
import litestar
import litestar.testing
import pytest
import quart
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from fluidauth import ConfigError, MemoryStore, SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.litestar import SessionMiddleware as LitestarMiddleware
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.starlette import SessionMiddleware
from fluidauth.keys import new_secret

pytestmark = pytest.mark.requirement("69")
FORWARDED = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUIDAUTH_DEVELOPMENT", "1")


def check_refusal(status: int, text: str, headers: Any) -> None:
    assert status == 403
    assert "Development mode serves only this machine" in text
    assert "set-cookie" not in {name.lower() for name in headers.keys()}  # noqa: SIM118  some iterate over pairs


async def page(request: Request) -> PlainTextResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return PlainTextResponse(str(request.session["visits"]))


async def socket(websocket: Any) -> None:
    await websocket.accept()
    await websocket.send_text(str(websocket.session.get("visits")))
    await websocket.close()


def starlette_client() -> Any:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", socket)])
    app.add_middleware(SessionMiddleware, secret_key="dev")
    return TestClient(app)


def fastapi_client() -> Any:
    app = fastapi.FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="dev")
    app.router.routes += [Route("/", page), WebSocketRoute("/ws", socket)]
    return TestClient(app)


def litestar_client() -> Any:
    @litestar.get("/")
    async def index(request: litestar.Request[Any, Any, Any]) -> str:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return str(request.session["visits"])

    middleware = [DefineMiddleware(LitestarMiddleware, engine=SessionEngine())]
    return litestar.testing.TestClient(litestar.Litestar([index], middleware=middleware))


@pytest.mark.parametrize("make", [starlette_client, fastapi_client, litestar_client])
def test_asgi_frameworks(make: Any) -> None:
    """The test client has no address, which no server says of anybody."""
    with make() as client:
        seen = [client.get("/").text for _ in range(2)]
        refused = client.get("/", headers=FORWARDED)
        seen.append(client.get("/").text)

    assert [text.strip('"') for text in seen] == ["1", "2", "3"]
    check_refusal(refused.status_code, refused.text, refused.headers)


@pytest.mark.parametrize("make", [starlette_client, fastapi_client])
def test_a_websocket_is_refused_before_it_opens(make: Any) -> None:
    client = make()
    client.get("/")

    with client.websocket_connect("/ws") as opened:
        assert opened.receive_text() == "1"
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/ws", headers=FORWARDED),
    ):
        pass

    check_refusal(refused.value.status_code, refused.value.text, refused.value.headers)


def in_page(app: Any, session: Any) -> Any:
    app.config["SECRET_KEY"] = "dev"
    asked: list[str] = []
    app.before_request(lambda: asked.append("before"))

    def visits() -> str:
        asked.append("page")
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    app.add_url_rule("/", view_func=visits)

    def told(error: Any) -> Any:
        session["error"] = "not kept"
        return f"own page: {error.description}", 403

    app.register_error_handler(403, told)
    return asked


def test_flask() -> None:
    """Its own page for a 403 tells why; no function of the application's was asked before."""
    app: Any = flask.Flask(__name__)
    app.session_interface = FlaskInterface()
    asked = in_page(app, flask.session)
    client = app.test_client()

    first = client.get("/", headers=FORWARDED)
    before = list(asked)
    seen = [client.get("/").text for _ in range(2)]
    rebound = client.get("/", base_url="http://rebound.example:5000")
    seen.append(client.get("/").text)
    other = client.get("/", environ_base={"REMOTE_ADDR": "172.17.0.1"})

    assert before == []
    assert asked == ["before", "page"] * 3
    assert seen == ["1", "2", "3"]
    for refused in (first, rebound, other):
        assert refused.text.startswith("own page: ")
        check_refusal(refused.status_code, refused.text, refused.headers)


def test_flasks_session_transaction() -> None:
    """It makes a request of its own, which names no peer; nothing is lost without a word."""
    app = flask.Flask(__name__)
    app.session_interface = FlaskInterface(development=True, store=MemoryStore())
    app.add_url_rule("/", view_func=lambda: dict(flask.session))
    client = app.test_client()

    with client.session_transaction() as session:
        session["a"] = 1

    assert client.get("/").json == {"a": 1}


def test_quart() -> None:
    """As Flask; a WebSocket is refused before it opens."""

    async def visit() -> None:
        app: Any = quart.Quart(__name__)
        app.session_interface = QuartInterface()
        app.config["SECRET_KEY"] = "dev"

        async def index() -> str:
            quart.session["visits"] = quart.session.get("visits", 0) + 1
            return str(quart.session["visits"])

        async def socket() -> None:
            await quart.websocket.send(str(quart.session.get("visits")))

        app.add_url_rule("/", view_func=index)
        app.add_websocket("/ws", view_func=socket)

        client = app.test_client()
        first = await client.get("/", headers=FORWARDED)
        seen = [await (await client.get("/")).get_data(as_text=True) for _ in range(2)]
        check_refusal(first.status_code, await first.get_data(as_text=True), first.headers)
        async with client.websocket("/ws") as opened:
            assert await opened.receive() == "2"
        with pytest.raises(Exception, match="403"):
            async with client.websocket("/ws", headers=FORWARDED) as closed:
                await closed.receive()
        assert seen == ["1", "2"]

    asyncio.run(visit())


@pytest.mark.parametrize(
    "build",
    [
        lambda engine: SessionMiddleware(Starlette(), engine=engine, development=True),
        lambda engine: FlaskInterface(engine, development=True),
        lambda engine: QuartInterface(engine, development=True),
    ],
)
def test_an_engine_says_itself(build: Any) -> None:
    with pytest.raises(ConfigError, match="not both"):
        build(SessionEngine(new_secret()))


def test_each_drop_in_has_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the variable, and over it."""
    monkeypatch.setenv("FLUIDAUTH_DEVELOPMENT", "0")
    app, other = flask.Flask(__name__), quart.Quart(__name__)
    app.secret_key = other.secret_key = "dev"
    found = [
        SessionMiddleware(Starlette(), "dev", development=True).engine,
        FlaskInterface(app=app, development=True).engine_for(app),
        QuartInterface(app=other, development=True).engine_for(other),
    ]

    assert [engine is not None and engine.development for engine in found] == [True] * 3
