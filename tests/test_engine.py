"""Calls outside a request, blocking and awaited, and what an engine refuses to start with."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import flask
import pytest

import fluidauth
from fluidauth import (
    ConfigError,
    CookieOptions,
    Keyring,
    Lifetime,
    MemoryStore,
    SessionClosed,
    SessionEngine,
    SessionMiddleware,
    SQLiteStore,
    StoreError,
)
from fluidauth.errors import NoSuchSession, NotSupported, UsageError
from fluidauth.events import SessionEvent
from fluidauth.integrations import starlette
from fluidauth.integrations.flask import FlaskCookie, FlaskSessionRedis, FluidAuthSessionInterface
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.urls import store_from_url
from fluidauth.testing import FakeClock

from .support import AsyncBasicStore, Browser, FlakyStore, live_sessions

PACKAGE = Path(fluidauth.__file__).parent


class Calls:
    """The engine's methods by their plain names, blocking or through their twins."""

    def __init__(self, engine: SessionEngine, twins: bool) -> None:
        self.engine, self.twins = engine, twins

    def __getattr__(self, name: str) -> Any:
        if not self.twins:
            return getattr(self.engine, name)
        method = getattr(self.engine, f"a{name}")
        if name == "edit":
            return lambda handle: _Entered(method(handle))
        return lambda *args, **options: asyncio.run(method(*args, **options))


class _Entered(AbstractContextManager[Any]):
    """An asynchronous context manager, entered and left on one event loop."""

    def __init__(self, manager: Any) -> None:
        self._manager, self._runner = manager, asyncio.Runner()

    def __enter__(self) -> Any:
        try:
            return self._runner.run(self._manager.__aenter__())
        except BaseException:
            self._runner.close()
            raise

    def __exit__(self, *exc_info: Any) -> None:
        try:
            self._runner.run(self._manager.__aexit__(*exc_info))
        finally:
            self._runner.close()


@pytest.fixture(params=[False, True], ids=["blocking", "awaited"])
def calls(request: pytest.FixtureRequest, engine: SessionEngine) -> Calls:
    return Calls(engine, request.param)


@pytest.fixture
def full(clock: FakeClock, events: list[SessionEvent]) -> SessionEngine:
    """An engine on a store with every capability."""
    return SessionEngine(secret=new_secret(), store=MemoryStore(), clock=clock, on_event=events.append)


@pytest.fixture(params=[False, True], ids=["blocking", "awaited"])
def admin(request: pytest.FixtureRequest, full: SessionEngine) -> Calls:
    return Calls(full, request.param)


# -- one session ------------------------------------------------------------------------


def test_a_session_can_begin_without_a_request(calls: Calls, protocol: Any) -> None:
    """create_session and set_cookie_header sign a user in from a script or a socket."""
    token, session = calls.create_session("user-42", {"a": 1})
    line = calls.set_cookie_header(token)

    browser = Browser(protocol, calls.engine)
    browser.cookie = line.partition(";")[0].partition("=")[2]

    assert browser.cookie == token
    assert line.endswith("; path=/; Max-Age=86400; httponly; samesite=lax; secure")
    assert browser.get(lambda s: (s.user_id, s.handle, dict(s))) == ("user-42", session.handle, {"a": 1})


def test_a_cookie_header_counts_what_is_left(calls: Calls, clock: FakeClock) -> None:
    """Max-Age reaches to the deadline of this very session."""
    token, _ = calls.create_session("user-42", lifetime=Lifetime(absolute=timedelta(hours=2)))
    clock.advance(600)

    line = calls.set_cookie_header(token)

    assert "; Max-Age=6600;" in line


def test_a_cookie_header_needs_a_live_session(calls: Calls) -> None:
    """A token that opens nothing gets no cookie."""
    token, session = calls.create_session("user-42")
    calls.delete_session(session.handle)

    for dead in (token, "", token[:-1] + "!"):
        with pytest.raises(NoSuchSession, match="the token opens no live session"):
            calls.set_cookie_header(dead)


def test_a_session_is_read_by_its_handle(calls: Calls) -> None:
    """get_session gives the session to read, and refuses changes."""
    _, created = calls.create_session("user-42", {"a": 1})

    session = calls.get_session(created.handle)

    assert (session.user_id, dict(session)) == ("user-42", {"a": 1})
    with pytest.raises(SessionClosed, match=r"change it inside `with engine\.edit\(handle\)`"):
        session["a"] = 2


@pytest.mark.parametrize("handle", ["", "x", "../etc/passwd", "A" * 64, "0" * 64, "0" * 63 + "\n", None])
def test_an_absent_handle_is_none(calls: Calls, handle: Any) -> None:
    """Whatever an administrator pastes, no store is harmed."""
    assert calls.get_session(handle) is None
    assert calls.delete_session(handle) is False
    assert calls.extend_session(handle, 60) is False


def test_an_edit_is_merged(calls: Calls, protocol: Any) -> None:
    """An administrator's change and a request's do not overwrite each other."""
    token, created = calls.create_session("user-42", {"a": 1, "n": 1})
    browser = Browser(protocol, calls.engine)
    browser.cookie = token

    with calls.edit(created.handle) as session:
        session["admin"] = True
        session.add("n")
        browser.request(lambda s: s.update(a=2, n=5))

    assert browser.get(dict) == {"a": 2, "n": 6, "admin": True}


def test_an_edit_that_fails_changes_nothing(calls: Calls) -> None:
    """An exception inside the block drops the changes."""
    _, created = calls.create_session("user-42", {"a": 1})

    with pytest.raises(RuntimeError), calls.edit(created.handle) as session:
        session["a"] = 2
        raise RuntimeError

    assert dict(calls.get_session(created.handle)) == {"a": 1}


def test_an_edit_may_log_out_but_not_in(calls: Calls) -> None:
    """No response is there to carry a new cookie."""
    _, created = calls.create_session("user-42")

    with calls.edit(created.handle) as session:
        with pytest.raises(SessionClosed):
            session.login("other")
        session.logout()

    assert calls.get_session(created.handle) is None


def test_an_edit_of_nothing_is_an_error(calls: Calls) -> None:
    """Who edits means a session that is there."""
    with pytest.raises(NoSuchSession, match="no live session has this handle"), calls.edit("0" * 64):
        pass


def test_deleting_follows_a_new_id(calls: Calls, protocol: Any) -> None:
    """A handle taken from a list still ends the session after it was regenerated."""
    token, created = calls.create_session("user-42")
    browser = Browser(protocol, calls.engine)
    browser.cookie = token
    browser.request(lambda session: session.regenerate())

    answers = [calls.delete_session(created.handle), calls.delete_session(created.handle)]

    assert answers == [True, False]
    assert browser.get(lambda session: session.user_id) is None


def test_extending_never_passes_the_deadline(calls: Calls, clock: FakeClock) -> None:
    """The idle deadline moves, the absolute one does not, and the dead stay dead."""
    _, created = calls.create_session("user-42")

    answers = [calls.extend_session(created.handle, timedelta(days=30))]
    clock.advance(86_399)
    alive = calls.get_session(created.handle) is not None
    clock.advance(1)
    answers.append(calls.extend_session(created.handle, 3_600))

    assert (answers, alive) == ([True, False], True)


# -- many sessions ------------------------------------------------------------------------


@pytest.mark.requirement("23")
def test_a_users_sessions_are_listed_and_revoked(admin: Calls, events: list[SessionEvent]) -> None:
    """Handles list what lives; revoking spares the one named."""
    kept = [admin.create_session("ada")[1].handle for _ in range(3)]
    _, other = admin.create_session("bob")

    listed = admin.list_sessions("ada")
    count = admin.revoke_user("ada", except_handle=kept[1])

    assert {info.handle for info in listed} == set(kept)
    assert {info.user_id for info in listed} == {"ada"}
    assert count == 2
    assert [info.handle for info in admin.list_sessions("ada")] == [kept[1]]
    assert [info.handle for info in admin.list_sessions("bob")] == [other.handle]
    assert [event.reason for event in events if event.name == "session_revoked"] == ["2 sessions"]


@pytest.mark.requirement("23")
def test_a_handle_is_no_cookie(admin: Calls, protocol: Any) -> None:
    """What a list shows cannot be used to sign in."""
    admin.create_session("ada")
    browser = Browser(protocol, admin.engine)
    browser.cookie = admin.list_sessions("ada")[0].handle

    assert browser.get(lambda session: session.user_id) is None


def test_lists_leave_out_the_expired(admin: Calls, clock: FakeClock) -> None:
    """A session that idled out is not shown as a device signed in."""
    admin.create_session("ada")
    clock.advance(3_600)

    assert admin.list_sessions("ada") == []


def test_long_lists_are_whole(admin: Calls) -> None:
    """More sessions than one page of the store come all the same."""
    for _ in range(1_001):
        admin.engine.create_session("ada")

    assert len(admin.list_sessions("ada")) == 1_001


@pytest.mark.requirement("23")
def test_everybody_can_be_revoked(calls: Calls) -> None:
    """revoke_all needs no more than the five verbs."""
    for user in ("ada", "bob", None):
        calls.create_session(user)

    assert calls.revoke_all() == 3
    assert live_sessions(calls.engine) == 0


def test_clean_removes_the_expired(calls: Calls, clock: FakeClock) -> None:
    """All that has expired by now goes, in batches, and is counted."""
    for _ in range(3):
        calls.create_session("ada")
    clock.advance(3_600)
    _, live = calls.create_session("ada")

    assert calls.clean() == 3
    assert calls.get_session(live.handle) is not None


def test_missing_capabilities_are_told() -> None:
    """A store of five verbs says which call it does not offer."""
    engine = SessionEngine(secret=new_secret(), store=AsyncBasicStore())

    with pytest.raises(NotSupported, match=r"AsyncBasicStore does not offer list_for_user\(\)"):
        engine.list_sessions("ada")


@pytest.mark.parametrize("name", ["list_sessions", "revoke_user", "create_session"])
def test_user_ids_are_text_here_too(full: SessionEngine, name: str) -> None:
    """A number for a user is a mistake that would otherwise match nobody."""
    with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
        getattr(full, name)(42)


def test_blocking_calls_on_an_event_loop_are_refused() -> None:
    """With an asynchronous store the error names the twin instead of a deadlock."""
    engine = SessionEngine(secret=new_secret(), store=AsyncBasicStore())

    async def handler() -> None:
        with pytest.raises(UsageError, match="use the asynchronous twin"):
            engine.create_session("ada")

    asyncio.run(handler())


@pytest.mark.requirement("6")
def test_an_id_that_is_taken_is_never_adopted(full: SessionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a broken random generator cannot overwrite somebody's session."""
    token, session = full.create_session("ada", {"a": 1})
    real = __import__("secrets").token_bytes
    stored = full.requests.store.get(str(session.handle))
    taken = __import__("base64").urlsafe_b64decode(token[9:41])
    answers = iter([taken, taken])
    monkeypatch.setattr("secrets.token_bytes", lambda size: next(answers, None) or real(size))

    _, other = full.create_session("bob")

    assert other.handle != session.handle
    assert full.requests.store.get(str(session.handle)) == stored


@pytest.mark.requirement("6")
def test_three_taken_ids_are_an_error(full: SessionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that repeats itself stops the login, not the other user."""
    monkeypatch.setattr("secrets.token_bytes", lambda size: b"x" * size)
    full.create_session("ada")

    with pytest.raises(StoreError, match="3 new session ids were taken already"):
        full.create_session("bob")


# -- configuration ------------------------------------------------------------------------


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
        ({"store": 5}, "store=5 is neither a SessionStore, an AsyncSessionStore nor a URL"),
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


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_the_database_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """FLUIDAUTH_DATABASE is a path or a URL; the log says once where sessions are."""
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
def test_what_is_no_application_is_refused(full: SessionEngine, app: Any, message: str) -> None:
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


# -- secrets ----------------------------------------------------------------------------


@pytest.mark.requirement("25", "59")
def test_no_secret_is_in_errors_or_reprs(events: list[SessionEvent], protocol: Any) -> None:
    """A failing request shows neither token, id nor secret in our frames."""
    secret = new_secret()
    store = FlakyStore()
    engine = SessionEngine(secret=secret, store=store, on_event=events.append)
    token, _ = engine.create_session("ada")
    browser = Browser(protocol, engine, on_store_error="raise")
    browser.cookie = token
    texts = [repr(engine), repr(browser.app), repr(events), repr(engine.policy.sealer.keyring)]

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
def test_no_secret_is_in_what_a_refused_setting_leads_to(name: str) -> None:
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
def test_what_holds_secrets_cannot_be_pickled(full: SessionEngine) -> None:
    """A worker pool or a cache never gets a copy."""
    keyring: Keyring = full.policy.sealer.keyring
    stores = [PostgresStore(f"{URLS[0]}/d"), RedisStore(URLS[1])]
    adopters = [FlaskCookie(SECRET), StarletteCookie(SECRET)]

    for holder in (keyring, keyring.signing, *stores, *[store.async_twin() for store in stores], *adopters):
        with pytest.raises(TypeError, match="holds secrets"):
            pickle.dumps(holder)
