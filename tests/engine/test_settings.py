"""An engine's settings: their defaults, and what is refused at once."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fluidauth import (
    ConfigError,
    CookieOptions,
    Lifetime,
    MemoryStore,
    SessionEngine,
    SessionMiddleware,
    SQLiteStore,
)
from fluidauth.keys import new_secret
from fluidauth.stores.urls import store_from_url
from tests.support import Browser


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"absolute_timeout": 0}, "absolute is 0 seconds; it must be from 1 second to 400 days"),
        ({"absolute_timeout": timedelta(days=401)}, "it must be from 1 second to 400 days"),
        ({"absolute_timeout": "1h"}, "absolute='1h' is neither whole seconds nor a timedelta"),
        ({"absolute_timeout": True}, "absolute=True is neither whole seconds nor a timedelta"),
        ({"idle_timeout": -1}, "idle is -1 seconds"),
        ({"encrypted_fields": "email"}, "encrypted_fields='email' is one string; write ('email',)"),
        ({"encrypted_fields": (1,)}, "encrypted_fields must be names of fields"),
        ({"max_payload": 10}, "max_payload=10 must be at least 512 bytes"),
        ({"store": 5}, "store=5 is neither a SessionStore, an AsyncSessionStore nor a path or URL"),
        ({"store": "mongodb://u:hunter2@host"}, "store URL with scheme 'mongodb' is not known"),
        ({"store": "sqlite://host/x.db"}, "needs a path and no host: sqlite:///sessions.db"),
        ({"store": "memory://?max_sessions=many"}, "max_sessions='many', which is not a number"),
        ({"store": "memory://?size=5"}, "has an unknown option 'size'"),
    ],
)
def test_wrong_settings_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    """An engine that could not serve is not built, and the error says what to do."""
    options = {"secret": new_secret(), "store": MemoryStore(), **options}

    with pytest.raises(ConfigError) as caught:
        SessionEngine(**options)

    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryStore),
        ("memory://?max_sessions=5&namespace=shop", MemoryStore),
        ("sqlite:///sessions.db?durability=normal&timeout=1.5&pool_size=2", SQLiteStore),
    ],
)
def test_a_store_may_be_a_url(url: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are text name a store and its options."""
    monkeypatch.chdir(tmp_path)

    store = store_from_url(url)

    assert type(store) is kind


def test_a_sqlite_url_may_be_absolute(tmp_path: Path) -> None:
    """Four slashes lead to the root."""
    store = store_from_url(f"sqlite:///{tmp_path}/a%20b.db")

    assert isinstance(store, SQLiteStore)
    assert store.path == tmp_path / "a b.db"


def test_a_sqlite_url_has_no_fragment(tmp_path: Path) -> None:
    """A number sign is one of the path."""
    store = store_from_url(f"sqlite:///{tmp_path}/app#1.db?namespace=shop")

    assert isinstance(store, SQLiteStore)
    assert (store.path, store.namespace) == (tmp_path / "app#1.db", "shop")


@pytest.mark.requirement("10")
def test_the_defaults_are_those_of_the_standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 hours, 1 hour, a durable file beside the application."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUIDAUTH_SECRET", new_secret())
    monkeypatch.delenv("FLUIDAUTH_SECRETS", raising=False)
    monkeypatch.delenv("FLUIDAUTH_DATABASE", raising=False)

    engine = SessionEngine()

    assert engine.policy.lifetime == Lifetime(absolute=86_400, idle=3_600, persistent=True)
    assert engine.policy.cookie == CookieOptions(name="__Host-session")
    assert (tmp_path / "fluidauth.db").is_file()
    engine.close()


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "{}\r", "sqlite:///{}\r\n"])
def test_the_database_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """FLUIDAUTH_DATABASE is a path or a URL, and what ends its line is not of it; the log says it once."""
    path = tmp_path / "elsewhere.db"
    monkeypatch.setenv("FLUIDAUTH_DATABASE", form.format(path))
    caplog.set_level(logging.INFO, "fluidauth")

    SessionEngine(secret=new_secret()).close()

    assert path.is_file()
    assert [r.getMessage() for r in caplog.records] == [
        f"sessions are kept in <SQLiteStore {str(path)!r} namespace='fluidauth'>"
    ]


@pytest.mark.requirement("16")
def test_plain_http_is_explicit(protocol: Any) -> None:
    """Development without TLS uses another name, and no Secure."""
    engine = SessionEngine(secret=new_secret(), store=MemoryStore(), cookie=CookieOptions(secure=False))
    browser = Browser(protocol, engine)

    line = browser.request(lambda session: session.update(a=1)).set_cookies[0]

    assert line.startswith("session=1.")
    assert "secure" not in line


def test_memory_is_for_development(caplog: pytest.LogCaptureFixture) -> None:
    """An engine that would serve a secure cookie from memory says so."""
    SessionEngine(secret=new_secret(), store=MemoryStore())

    assert caplog.messages == ["MemoryStore is for development: sessions end with this process"]


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1, 10**12])
def test_an_impossible_clock_is_an_error(time: float) -> None:
    """No session is judged by a clock that shows no time."""
    engine = SessionEngine(secret=new_secret(), store=MemoryStore(), clock=lambda: time)

    with pytest.raises(ConfigError, match="the engine's clock returned"):
        engine.create_session("ada")


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (5, "app=5 is not an application"),
        (object, "pass an instance or a function"),
        (lambda: None, "takes neither (environ, start_response) nor (scope, receive, send)"),
    ],
)
def test_middleware_around_no_application_is_refused(full: SessionEngine, app: Any, message: str) -> None:
    """The middleware finds out what it wraps, or says that it cannot."""
    with pytest.raises(ConfigError) as caught:
        SessionMiddleware(app, engine=full)

    assert message in str(caught.value)


@pytest.mark.parametrize("options", [{"engine": 5}, {"on_store_error": "ignore"}])
def test_wrong_middleware_options_are_refused(full: SessionEngine, options: dict[str, Any]) -> None:
    """A misspelt option is found at start-up."""

    def app(environ: Any, start_response: Any) -> Any: ...

    with pytest.raises(ConfigError):
        SessionMiddleware(app, **{"engine": full, **options})
