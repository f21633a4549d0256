"""``FluidAuthSessionConfig`` where Litestar takes one: in SessionAuth, in test clients and for commands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, post
from litestar.cli.commands.sessions import get_session_backend
from litestar.config.cors import CORSConfig
from litestar.exceptions import ImproperlyConfiguredException
from litestar.middleware.session.base import BaseBackendConfig
from litestar.middleware.session.server_side import ServerSideSessionBackend, ServerSideSessionConfig
from litestar.security.session_auth import SessionAuth
from litestar.testing import AsyncTestClient, RequestFactory, TestClient
from litestar.types import Empty

from fluidauth import ConfigError, CookieOptions, MemoryStore, PayloadError, SessionEngine
from fluidauth.errors import NoSuchSession
from fluidauth.integrations.litestar import FluidAuthSessionConfig, SessionMiddleware
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock, memory_engine, sign_in
from tests.integrations.litestar.sites import HANDLERS, AnyRequest, leave, login, site, visitor, who
from tests.integrations.live import live

# -- SessionAuth -----------------------------------------------------------------------------------


@post("/sign-in")
async def sign_in_by_fields(request: AnyRequest) -> None:
    request.set_session({"user_id": "ada"})


def with_authentication(engine: SessionEngine, users: set[str]) -> Litestar:
    auth = SessionAuth[Any, Any](
        session_backend_config=FluidAuthSessionConfig(engine=engine),
        retrieve_user_handler=lambda fields, connection: fields["user_id"] in users and fields["user_id"],
        exclude=["^/login", "^/sign-in", "^/schema"],
    )
    return Litestar(
        [login, leave, who, sign_in_by_fields], on_app_init=[auth.on_app_init], logging_config=None
    )


@pytest.mark.requirement("4")
@pytest.mark.parametrize("entrance", ["/login/ada", "/sign-in"])
def test_session_auth_on_a_real_server(entrance: str) -> None:
    """In by our login or ``set_session``, out by ``clear_session``, which no copied cookie outlives."""
    with (
        live(with_authentication(memory_engine(), {"ada"})) as url,
        httpx.Client(base_url=url, trust_env=False) as ada,
        httpx.Client(base_url=url, trust_env=False) as thief,
    ):
        assert ada.get("/who").status_code == 401
        assert "set-cookie" not in ada.get("/who").headers
        assert ada.post(entrance).status_code == 201
        thief.cookies.update(ada.cookies)
        assert thief.get("/who").json()[1] == {"user_id": "ada"}
        assert ada.delete("/session").status_code == 204
        assert [client.get("/who").status_code for client in (ada, thief)] == [401, 401]


@pytest.mark.requirement("4")
def test_session_auth_signs_out_who_is_no_user_any_more() -> None:
    engine, users = memory_engine(), {"ada"}
    client = TestClient(with_authentication(engine, users))
    client.post("/login/ada")
    assert client.get("/who").status_code == 200

    users.clear()
    answer = client.get("/who")

    assert (answer.status_code, "Max-Age=0" in answer.headers["set-cookie"]) == (401, True)
    assert engine.list_sessions("ada") == []


def test_session_auth_tells_the_cookie_in_its_schema() -> None:
    engine = memory_engine(cookie=CookieOptions("__Host-mine"))
    schemes = with_authentication(engine, set()).openapi_schema.to_schema()["components"]["securitySchemes"]

    assert (schemes["sessionCookie"]["in"], schemes["sessionCookie"]["name"]) == ("cookie", "__Host-mine")


def test_litestar_finds_its_own_classes() -> None:
    config = FluidAuthSessionConfig(engine=memory_engine())
    app = Litestar([], middleware=[config.middleware], logging_config=None)
    backend = get_session_backend(app)

    assert isinstance(config, ServerSideSessionConfig)
    assert isinstance(config, BaseBackendConfig)
    assert isinstance(backend, ServerSideSessionBackend)
    assert backend.config is config


# -- CORS ------------------------------------------------------------------------------------------


@pytest.mark.requirement("17")
def test_the_configuration_with_cors() -> None:
    """The middleware around it all has the session then, and the configured one within makes way."""
    engine = memory_engine()
    cors = CORSConfig(allow_origins=["https://shop.example"], allow_credentials=True)
    app: Any = site(engine, cors_config=cors)
    app.asgi_handler = SessionMiddleware(app.asgi_handler, engine=engine)
    client = TestClient(app)
    sign_in(client, engine, "ada", {"n": 1})

    answer = client.get("/who", headers={"origin": "https://shop.example"})

    assert (answer.json(), answer.headers.get_list("vary")) == (["ada", {"n": 1}], ["Origin, Cookie"])
    assert client.get("/id").text == engine.list_sessions("ada")[0].handle


# -- test clients ----------------------------------------------------------------------------------


def test_the_test_clients_helpers() -> None:
    """What they set is a session like any other, under a cookie of ours; none is read that was not begun."""
    engine = memory_engine()
    config = FluidAuthSessionConfig(engine=engine)
    with TestClient(site(engine, config=config), session_config=config) as client:
        assert client.get_session_data() == {}
        client.set_session_data({"a": 1, "when": timedelta(seconds=1)})
        assert client.cookies["session"].startswith("1.")
        assert client.get("/session").json() == {"a": 1, "when": "PT1S"}

        client.post("/session", json={"b": 2})
        assert client.get_session_data() == {"a": 1, "when": "PT1S", "b": 2}
        before = client.cookies["session"]
        client.set_session_data({"c": 3})
        assert (client.get("/session").json(), client.cookies["session"]) == ({"c": 3}, before)

        client.post("/login/ada")
        assert client.get_session_data() == {"c": 3, "user_id": "ada"}
        client.set_session_data({})
        assert (client.get_session_data(), engine.list_sessions("ada")) == ({}, [])


def test_the_asynchronous_test_clients_helpers() -> None:
    async def main() -> Any:
        engine = memory_engine()
        config = FluidAuthSessionConfig(engine=engine)
        async with AsyncTestClient(site(engine, config=config), session_config=config) as client:
            await client.set_session_data({"a": 1})
            return (await client.get("/session")).json(), await client.get_session_data()

    assert asyncio.run(main()) == ({"a": 1}, {"a": 1})


def test_our_own_helper_signs_its_clients_in() -> None:
    engine = memory_engine()
    client = visitor(engine)

    sign_in(client, engine, "ada", {"a": 1})

    assert client.get("/who").json() == ["ada", {"a": 1}]


@pytest.mark.parametrize("value", [Empty, None, {}])
def test_a_backend_stores_in_a_head(value: Any) -> None:
    """As Litestar's middleware would ask it to: with ``Empty`` the session is cleared."""
    engine = memory_engine()
    config = FluidAuthSessionConfig(engine=engine)
    token, _ = engine.create_session("ada", {"a": 1})
    backend = config._backend_class(config=config)
    head: Any = {"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Origin")]}

    async def main() -> str | None:
        connection = RequestFactory(app=Litestar([], logging_config=None)).get(
            "/", headers={"cookie": f"session={token}"}
        )
        handle = backend.get_session_id(connection)
        await backend.store_in_message(value, head, connection)
        return handle

    [info] = engine.list_sessions("ada")
    assert asyncio.run(main()) == info.handle
    assert [name for name, _ in head["headers"]] == [b"vary", b"cache-control", b"set-cookie"]
    assert (head["headers"][0][1], head["headers"][1][1]) == (b"Origin, Cookie", b"no-store")
    assert b"Max-Age=0" in head["headers"][2][1]
    assert engine.list_sessions("ada") == []


# -- litestar's commands ---------------------------------------------------------------------------

APPLICATION = """
from litestar import Litestar
from fluidauth.integrations.litestar import FluidAuthSessionConfig

sessions = FluidAuthSessionConfig()
app = Litestar([], middleware=[sessions.middleware], logging_config=None)
"""


def test_litestars_commands_end_sessions(tmp_path: Path) -> None:
    """``litestar sessions delete`` by a handle, ``litestar sessions clear``."""
    (tmp_path / "app.py").write_text(APPLICATION)
    secret, database = new_secret(), tmp_path / "sessions.db"
    environ = {**os.environ, "FLUIDAUTH_SECRET": secret, "FLUIDAUTH_DATABASE": str(database)}

    def command(*words: str) -> str:
        run = [sys.executable, "-m", "litestar", "--app", "app:app", "sessions", *words]
        done = subprocess.run(
            run, cwd=tmp_path, env=environ, input="y\n", text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    engine = SessionEngine(secret, f"sqlite:///{database}")
    handles = [engine.create_session(user, {})[1].handle or "" for user in ("ada", "bob", "eve")]
    try:
        assert "Deleted session" in command("delete", handles[0])
        assert [engine.get_session(handle) is None for handle in handles] == [True, False, False]
        assert "sessions deleted" in command("clear")
        assert [engine.get_session(handle) is None for handle in handles] == [True] * 3
    finally:
        engine.close()


WITH_CORS = """
from litestar import Litestar
from litestar.config.cors import CORSConfig
from fluidauth import SessionEngine
from fluidauth.integrations.litestar import SessionMiddleware

app = Litestar([], cors_config=CORSConfig(), logging_config=None)
app.asgi_handler = SessionMiddleware(app.asgi_handler, engine=SessionEngine(store="memory://"))
"""


def test_litestars_commands_take_an_application_with_cors(tmp_path: Path) -> None:
    """It is a ``Litestar`` with the middleware around it as well."""
    (tmp_path / "app.py").write_text(WITH_CORS)
    environ = {**os.environ, "FLUIDAUTH_SECRET": new_secret()}

    done = subprocess.run(
        [sys.executable, "-m", "litestar", "--app", "app:app", "info"],
        cwd=tmp_path,
        env=environ,
        text=True,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout


def test_the_sessions_as_a_store() -> None:
    """By their handles; it begins none, as nobody chooses an id."""
    clock = FakeClock()
    engine = memory_engine(clock=clock)
    config = FluidAuthSessionConfig(engine=engine)
    store: Any = config.get_store_from_app(Litestar([], logging_config=None))
    backend = config._backend_class(config=config)
    handles = [engine.create_session("ada", {"a": n})[1].handle or "" for n in (1, 2)]
    ask = asyncio.run

    assert ask(store.get(handles[0])) == b'{"a":1}'
    assert ask(backend.get(handles[0], store)) == b'{"a":1}'
    ask(backend.set(handles[0], b'{"b":[1]}', store))
    assert dict(engine.get_session(handles[0]) or {}) == {"b": [1]}
    assert [ask(store.exists(handle)) for handle in (*handles, "f" * 64)] == [True, True, False]
    assert ask(store.expires_in(handles[1])) == 60 * 60
    assert ask(store.get(handles[1], renew_for=2 * 60 * 60)) == b'{"a":2}'
    assert ask(store.expires_in(handles[1])) == 2 * 60 * 60
    assert ask(store.expires_in("f" * 64)) is None
    assert ask(store.get("f" * 64)) is None
    with pytest.raises(NoSuchSession):
        ask(store.set("f" * 64, b"{}"))
    with pytest.raises(PayloadError, match="the fields of a session are a dict, not list"):
        ask(store.set(handles[0], b"[]"))
    ask(backend.delete(handles[0], store))
    ask(backend.delete(handles[0], store))
    assert [engine.get_session(handle) is None for handle in handles] == [True, False]
    ask(store.delete_all())
    assert engine.list_sessions("ada") == []


# -- settings --------------------------------------------------------------------------------------


def test_without_an_engine_litestars_settings_are_the_cookies() -> None:
    config = FluidAuthSessionConfig(
        secret=new_secret(), store=MemoryStore(), key="sid", max_age=600, path="/app", samesite="strict"
    )
    client = TestClient(
        Litestar([*HANDLERS], path="/app", middleware=[config.middleware], logging_config=None)
    )

    line = client.post("/app/session", json={"n": 1}).headers["set-cookie"]

    assert line.partition("=")[0] == "sid"
    assert line.partition("; ")[2] == "path=/app; Max-Age=600; httponly; samesite=strict"
    assert client.get("/app/session").json() == {"n": 1}


def test_without_one_the_environment_signs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the store may come later; a weak secret is refused at once, and told nowhere."""
    monkeypatch.setenv("FLUIDAUTH_SECRET", new_secret())
    monkeypatch.setenv("FLUIDAUTH_DATABASE", str(tmp_path / "sessions.db"))
    config = FluidAuthSessionConfig()
    with TestClient(site(config.engine_in_use, config=config)) as client:
        client.post("/session", json={"n": 1})
        assert client.get("/session").json() == {"n": 1}
    config.engine_in_use.close()

    with pytest.raises(ConfigError) as error:
        FluidAuthSessionConfig(secret="dev")
    assert "dev'" not in str(error.value)


def test_a_session_may_last_from_its_last_use() -> None:
    """``renew_on_access``; without it a session ends ``max_age`` after it began."""
    for renews, left in ((True, [600, 600]), (False, [600, 300])):
        config = FluidAuthSessionConfig(
            secret=new_secret(), store=MemoryStore(), max_age=600, renew_on_access=renews
        )
        clock = FakeClock()
        engine = config.engine_in_use
        engine.requests.clock = clock
        client = TestClient(site(engine, config=config))
        handle = client.post("/session", json={"n": 1}).json()["id"]
        store: Any = config.get_store_from_app(Litestar([], logging_config=None))
        found = [asyncio.run(store.expires_in(handle))]
        clock.advance(300)
        client.get("/session")
        assert [*found, asyncio.run(store.expires_in(handle))] == left


def test_what_an_engine_knows_is_told_to_litestar() -> None:
    engine = memory_engine(cookie=CookieOptions("mine", secure=False, path="/x", same_site="strict"))
    config = FluidAuthSessionConfig(engine=engine)

    assert (config.key, config.path, config.samesite, config.secure) == ("mine", "/x", "strict", False)
    assert (config.max_age, config.renew_on_access, config.httponly) == (24 * 60 * 60, True, True)
    assert replace(config, exclude="^/static").engine is engine


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"secret": "s" * 40}, "give either an engine, or secret, store and user_key, not both"),
        ({"store": "memory://"}, "give either an engine, or secret, store and user_key, not both"),
        ({"key": "other"}, "key='other': give it to the engine, or give no engine"),
        ({"max_age": 5}, "max_age=5: give it to the engine, or give no engine"),
        ({"session_id_bytes": 8}, "session_id_bytes cannot be chosen"),
        ({"on_store_error": "ignore"}, "on_store_error='ignore' must be 'respond' or 'raise'"),
    ],
)
def test_what_an_engine_would_not_follow_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        FluidAuthSessionConfig(engine=memory_engine(), **settings)


@pytest.mark.parametrize("settings", [{"key": ""}, {"key": "k" * 257}, {"max_age": 0}])
def test_litestar_refuses_what_it_would(settings: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfiguredException):
        FluidAuthSessionConfig(secret=new_secret(), store=MemoryStore(), **settings)


@pytest.mark.requirement("12")
def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(ConfigError, match="same_site='none' needs secure=True"):
        FluidAuthSessionConfig(secret=new_secret(), store=MemoryStore(), samesite="none")


@pytest.mark.requirement("59")
def test_the_secret_is_in_no_repr_and_not_kept() -> None:
    secret = new_secret()
    config = FluidAuthSessionConfig(secret=secret, store=MemoryStore())

    assert secret not in repr(config)
    assert config.secret is None
