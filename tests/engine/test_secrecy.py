"""No secret is in errors, reprs or tracebacks of an engine."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import flask
import pytest

import fluidauth
from fluidauth import ConfigError, Keyring, MemoryStore, SessionEngine, StoreError
from fluidauth.events import SessionEvent
from fluidauth.integrations import starlette
from fluidauth.integrations.flask import FlaskCookie, FlaskSessionRedis, FluidAuthSessionInterface
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.urls import store_from_url
from tests.support import Browser, FlakyStore

PACKAGE = Path(fluidauth.__file__).parent


@pytest.mark.requirement("25", "59")
def test_no_secret_is_in_errors_or_reprs(events: list[SessionEvent], protocol: Any) -> None:
    """A failing request shows neither token, id nor secret in our frames."""
    secret = new_secret()
    store = FlakyStore()
    engine = SessionEngine(secret=secret, store=store, on_event=events.append)
    token, _ = engine.create_session("ada")
    browser = Browser(protocol, engine, on_store_error="raise")
    browser.cookie = token
    texts = [repr(engine), repr(browser.app), repr(events), repr(engine.policy.keyring)]

    for broken in ("get", "update"):
        store.broken = {broken}
        error = browser.request(lambda session: session.update(a=1), catch=True).error
        assert isinstance(error, StoreError)
        texts += traceback.format_exception(error)
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        ours = [frame for frame in frames if Path(frame.f_code.co_filename).is_relative_to(PACKAGE)]
        assert ours
        hidden = ("environ", "scope", "message")  # the request itself
        texts += [repr(v) for frame in ours for k, v in frame.f_locals.items() if k not in hidden]

    assert [text for text in texts if token in text or token[9:41] in text or secret in text] == []


SECRET = "hunter2-the-secret-of-a-test-vector-0123456789"
URLS = f"postgresql://ann:{SECRET}@127.0.0.1:9", f"redis://:{SECRET}@127.0.0.1:9"
WRONG: dict[str, Callable[[], object]] = {
    "engine": lambda: SessionEngine(SECRET, MemoryStore(), cookie=cast(Any, 5)),
    "weak": lambda: SessionEngine([SECRET, "weak"], MemoryStore()),
    "engine's store": lambda: SessionEngine(new_secret(), f"redis://:{SECRET}@host?tmeout=1"),
    "PostgreSQL is down": lambda: SessionEngine(new_secret(), f"{URLS[0]}/d"),
    "Redis is down": lambda: SessionEngine(new_secret(), URLS[1]),
    "store": lambda: store_from_url(f"postgresql://ann:{SECRET}@host/d?timeout=0"),
    "both": lambda: store_from_url(f"{URLS[1]} -> {URLS[0]}/d?timeout=0"),
    "RedisStore": lambda: RedisStore(URLS[1], pool_size=0),
    "PostgresStore": lambda: PostgresStore(f"{URLS[0]}/d", pool_size=0),
    "FlaskCookie": lambda: FlaskCookie(SECRET, user_id=cast(Any, 5)),
    "FlaskSessionRedis": lambda: FlaskSessionRedis(None, secret_key=SECRET, serialization_format="x"),
    "StarletteCookie": lambda: StarletteCookie(SECRET, path="x"),
    "Starlette": lambda: starlette.SessionMiddleware(cast(Any, None), SECRET, same_site="x"),
    "Starlette, max_age": lambda: starlette.SessionMiddleware(cast(Any, None), SECRET, max_age=0),
    "Redis is down later": lambda: RedisStore(URLS[1]).get("00" * 32),
    "PostgreSQL is down later": lambda: PostgresStore(f"{URLS[0]}/d", timeout=0.1).get("00" * 32),
    "Flask": lambda: flask_interface(SECRET).engine_for(flask_app(SECRET, "weak")),
}


def flask_interface(secret: str) -> FluidAuthSessionInterface:
    return FluidAuthSessionInterface(store=MemoryStore())


def flask_app(secret: str, former: str) -> flask.Flask:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=former, SECRET_KEY_FALLBACKS=[secret])
    return app


@pytest.mark.requirement("59")
@pytest.mark.parametrize("name", WRONG)
def test_refused_setting_shows_no_secret_in_its_traceback(name: str) -> None:
    """Error reporters send the local variables of each frame, and of the errors behind an error."""
    with pytest.raises((ConfigError, StoreError)) as caught:
        WRONG[name]()

    error: BaseException | None = caught.value
    shown = []
    while error is not None:
        shown += [str(error), repr(error)]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename) != Path(__file__):
                shown += [f"{frame.f_code.co_name}: {local!r}" for local in frame.f_locals.values()]
        error = error.__cause__ or error.__context__

    assert [text for text in shown if SECRET in text] == []


@pytest.mark.requirement("59")
def test_objects_with_secrets_cannot_be_pickled(full: SessionEngine) -> None:
    """A worker pool or a cache never gets a copy."""
    keyring: Keyring = full.policy.keyring
    stores = [PostgresStore(f"{URLS[0]}/d"), RedisStore(URLS[1])]
    adopters = [FlaskCookie(SECRET), StarletteCookie(SECRET)]

    for holder in (keyring, keyring.signing, *stores, *[store.async_twin() for store in stores], *adopters):
        with pytest.raises(TypeError, match="holds secrets"):
            pickle.dumps(holder)
