"""Each adopter reads its system's sessions, and nothing else."""

from __future__ import annotations

import json
import os
import pickle
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import pytest
import redis
from django.contrib.sessions.backends.db import SessionStore as DatabaseSession
from django.contrib.sessions.backends.file import SessionStore as FileSession
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.core.cache.backends.locmem import LocMemCache
from django.db import InterfaceError, connection
from django.test import Client, override_settings
from flask_session.redis import RedisSessionInterface
from itsdangerous import TimestampSigner

from fluidauth import ConfigError, MemoryStore, StoreError
from fluidauth.adoption import Adopted
from fluidauth.integrations.django import DjangoSessions, SessionStore, get_engine, session_of
from fluidauth.integrations.flask import FlaskCookie, FlaskSessionRedis
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine
from harness.servers.redis import NewRedis, empty_redis
from tests.integrations import django_site
from tests.support import Browser


def starlette_cookie(secret: str, fields: Any) -> str:
    return TimestampSigner(secret).sign(b64encode(json.dumps(fields).encode())).decode()


def flask_cookie(secret: str, fields: dict[str, Any], fallbacks: list[str] | None = None) -> str:
    app = flask.Flask(__name__)
    app.secret_key = secret
    signing = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(app)
    assert signing is not None
    return str(signing.dumps(fields))


@pytest.mark.parametrize("newest", [True, False])
def test_starlettes_cookie(newest: bool) -> None:
    """Whichever of the secrets signed it; weak ones as well, since they signed it."""
    secrets = ["weak", new_secret()] if newest else [new_secret(), "weak"]
    adopter = StarletteCookie(secrets, user_id=lambda fields: fields.get("user"))

    found = adopter.read(starlette_cookie("weak", {"user": "ada", "n": [1]}))

    assert found == Adopted({"user": "ada", "n": [1]}, "ada")
    assert adopter.read(starlette_cookie("other", {"user": "ada"})) is None
    assert adopter.read(starlette_cookie("weak", ["no", "session"])) is None
    assert adopter.read("no cookie") is None


def test_an_expired_cookie_of_starlette(monkeypatch: pytest.MonkeyPatch) -> None:
    value = starlette_cookie("weak", {"n": 1})
    adopter = StarletteCookie("weak", max_age=60)
    later = time.time() + 62
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: int(later))

    assert adopter.read(value) is None


def test_flasks_cookie() -> None:
    """With its types, and with whom Flask-Login knows; former keys count too."""
    value = flask_cookie("old", {"_user_id": "7", "tags": ("a", b"b"), "_permanent": True})

    found = FlaskCookie("new", ["old"]).read(value)

    assert found == Adopted({"_user_id": "7", "tags": {" t": ["a", {" b": "Yg=="}]}, "_permanent": True}, "7")
    assert FlaskCookie("new").read(value) is None
    assert FlaskCookie("old").read("eyJhIjoxfQ.forged.forged") is None


def test_an_expired_cookie_of_flask(monkeypatch: pytest.MonkeyPatch) -> None:
    value = flask_cookie("old", {"n": 1})
    later = time.time() + 62
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: int(later))

    assert FlaskCookie("old", lifetime=timedelta(seconds=60)).read(value) is None


@pytest.fixture
def former() -> Iterator[redis.Redis]:
    """Redis's own client, of a server with nothing stored."""
    with closing(redis.Redis.from_url(empty_redis())) as client:
        yield client


@pytest.mark.filterwarnings("ignore:The 'use_signer' option:DeprecationWarning")  # of theirs
@pytest.mark.parametrize("serialization", ["msgpack", "json"])
@pytest.mark.parametrize("signed", [False, True])
def test_flask_session_in_redis(serialization: str, signed: bool, former: redis.Redis) -> None:
    """As its library reads it; the old record is removed."""
    app = flask.Flask(__name__)
    app.secret_key = "former"
    theirs = RedisSessionInterface(app, former, use_signer=signed, serialization_format=serialization)
    app.session_interface = theirs
    app.add_url_rule("/", view_func=lambda: flask.session.update(_user_id="7", cart=["tea"]) or "ok")
    browser = app.test_client()
    browser.get("/")
    cookie = browser.get_cookie("session")
    assert cookie is not None

    adopter = FlaskSessionRedis(
        former, use_signer=signed, secret_key="former", serialization_format=serialization
    )

    assert adopter.read(cookie.value) == Adopted({"_permanent": True, "_user_id": "7", "cart": ["tea"]}, "7")
    assert adopter.read("unknown") is None
    adopter.forget(cookie.value)
    assert adopter.read(cookie.value) is None
    assert former.keys() == []


class Planted:
    """What its unpickling makes is there to be seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.requirement("42")
@pytest.mark.parametrize("serialization", ["msgpack", "json"])
def test_pickle_in_the_former_redis_is_never_executed(
    serialization: str, former: redis.Redis, tmp_path: Path
) -> None:
    """A pickle that somebody put there, or anything that is neither of the two formats, is no session."""
    former.set("session:pickled", pickle.dumps(Planted(tmp_path / "ran")))
    former.set("session:noise", b"\xc1\x00")
    former.set("session:number", b"7")
    adopter = FlaskSessionRedis(former, serialization_format=serialization)

    assert [adopter.read(name) for name in ("pickled", "noise", "number")] == [None, None, None]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"serialization_format": "pickle"}, "must be 'msgpack' or 'json'"),
        ({"use_signer": True}, "needs the secret key"),
    ],
)
def test_settings_that_flask_session_could_not_have_had(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        FlaskSessionRedis(object(), **options)


def test_redis_that_is_down_is_no_logout(new_redis: NewRedis) -> None:
    server = new_redis()
    adopter = FlaskSessionRedis(server.client)
    server.kill()

    with pytest.raises(StoreError, match="Flask-Session"):
        adopter.read("any")


@pytest.fixture
def table() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("make", [DatabaseSession, CookieSession])
def test_djangos_sessions(make: Callable[[], Any]) -> None:
    """From the table, and from cookies; read by Django's own code and forgotten by it."""
    adopter = DjangoSessions(make.__module__)
    old = make()
    old.update({"_auth_user_id": "7", "cart": ["tea"]})
    old.save()

    assert adopter.read(old.session_key) == Adopted({"_auth_user_id": "7", "cart": ["tea"]}, "7")
    assert adopter.read("unknown" * 5) is None
    adopter.forget(old.session_key)
    assert (adopter.read(old.session_key) is None) is (make is DatabaseSession)


def respellings(value: str) -> list[str]:
    """Return other texts that itsdangerous takes for the same signed cookie."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(value[-1])
    return [value[:-1] + alphabet[last ^ bits] for bits in (1, 2, 3)]


@pytest.mark.requirement("63")
def test_each_spelling_of_a_signed_cookie_has_one_identity() -> None:
    """The signature is decoded leniently; what is signed is not."""
    key = new_secret()
    app = flask.Flask(__name__)
    app.secret_key = key
    signing = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]  # of the default
    assert signing is not None
    starlettes = TimestampSigner(key).sign(b64encode(json.dumps({"a": 1}).encode())).decode()

    for adopter, value in (
        (FlaskCookie(key), str(signing.dumps({"a": 1}))),
        (StarletteCookie(key), starlettes),
    ):
        others = [each for each in respellings(value) if adopter.read(each) is not None]
        assert others, "none is taken: the test shows nothing"
        assert {adopter.identity(each) for each in (value, *others)} == {value.rpartition(".")[0]}
        assert adopter.identity(value[:-4] + "AAAA") is None


@pytest.mark.parametrize("value", ["UPPERCASE" * 4, "short", "a b" * 12, "'" * 32])
def test_value_that_is_no_key_of_django_has_no_identity(value: str) -> None:
    """Some databases compare without regard to case, some caches raise."""
    assert DjangoSessions().identity(value) is None


class DownCache(LocMemCache):  # type: ignore[misc]  # Django has no types
    def get(self, *arguments: Any, **options: Any) -> Any:
        raise ConnectionError("the cache does not answer")


@pytest.mark.requirement("62")
def test_a_cache_that_is_down_is_no_logout() -> None:
    """Its session store takes any error for an empty session."""
    engine = "django.contrib.sessions.backends.cache"
    caches = {"default": {"BACKEND": f"{__name__}.DownCache"}}
    with override_settings(CACHES=caches), pytest.raises(StoreError, match="the cache does not answer"):
        DjangoSessions(engine).read("a" * 32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Django keeps sessions in files; it looks that up once."""
    found = tmp_path / "sessions"
    found.mkdir()
    monkeypatch.setattr(FileSession, "_storage_path", str(found), raising=False)
    return found


def take_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def put_a_file_there(folder: Path) -> None:
    take_away(folder)
    folder.touch()


@pytest.mark.requirement("52")
@pytest.mark.parametrize("outage", [take_away, put_a_file_there])
def test_a_folder_that_is_out_of_order_is_no_logout(
    folder: Path, outage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session store takes any error for an empty session; the visitor gets a 503 and keeps the cookie."""
    old = FileSession()
    old["_auth_user_id"] = "7"
    old.save()
    browser = Client(raise_request_exception=False)
    browser.cookies["sessionid"] = old.session_key
    options = {"store": MemoryStore(), "adopt": ["django.contrib.sessions.backends.file"]}
    monkeypatch.setattr(django_site, "handlers", [lambda request: request.session.get("_auth_user_id")])

    with override_settings(FLUIDAUTH=options):
        outage(folder)
        during = browser.get("/")
        folder.unlink(missing_ok=True)
        folder.with_name("elsewhere").rename(folder)
        after = browser.get("/")

    assert (during.status_code, list(during.cookies)) == (503, [])
    assert after.json() == {"value": "7"}


def test_a_file_that_is_not_there_is_no_outage(folder: Path) -> None:
    assert DjangoSessions("django.contrib.sessions.backends.file").read("a" * 32) is None


@pytest.mark.requirement("62")
def test_a_connection_that_is_closed_is_no_logout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the errors of a driver only some are a DatabaseError."""

    def closed(*_: object) -> None:
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(DatabaseSession, "load", closed)
    with pytest.raises(StoreError, match="already closed"):
        DjangoSessions().read("a" * 32)


@pytest.mark.usefixtures("table")
def test_a_database_that_is_down_is_no_logout() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_session RENAME TO elsewhere")
    try:
        with pytest.raises(StoreError, match="backends"):
            DjangoSessions().read("a" * 32)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO django_session")


def user_of(session: SessionStore) -> str | None:
    return session_of(SimpleNamespace(session=session)).user_id


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("asynchronously", [False, True])
def test_a_session_of_django_goes_on_in_django(asynchronously: bool) -> None:
    """Under a token of ours, which its middleware is told to send; both twins."""
    import asyncio

    old = DatabaseSession()
    old.update({"_auth_user_id": "7", "cart": ["tea"]})
    old.set_expiry(600)
    old.save()
    options = {"store": MemoryStore(), "adopt": ["django.contrib.sessions.backends.db"]}
    with override_settings(FLUIDAUTH=options):
        session = SessionStore(old.session_key)
        fields = asyncio.run(session.aload()) if asynchronously else session.load()
        assert fields["cart"] == ["tea"]
        assert session.modified
        assert len(session.session_key or "") == 66
        session.save()

        again = SessionStore(session.session_key)
        assert (user_of(again), again["cart"], again.get_expiry_age()) == ("7", ["tea"], 600)
        assert [found.user_id for found in get_engine().list_sessions("7")] == ["7"]
        assert "cart" in SessionStore(old.session_key)  # its response may be lost
        again.flush()
        assert "cart" not in SessionStore(old.session_key)
    assert not old.exists(old.session_key)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("asynchronously", [False, True])
@pytest.mark.parametrize("first", ["flush", "clear"])
def test_the_first_request_may_end_or_empty_it(first: str, asynchronously: bool) -> None:
    """Without having read it: no copy of the former key opens anything then."""
    import asyncio

    old = DatabaseSession()
    old.update({"_auth_user_id": "7", "cart": ["tea"]})
    old.save()
    options = {"store": MemoryStore(), "adopt": ["django.contrib.sessions.backends.db"]}
    with override_settings(FLUIDAUTH=options):
        session = SessionStore(old.session_key)
        if first == "flush":
            asyncio.run(session.aflush()) if asynchronously else session.flush()
        else:
            session.clear()
            asyncio.run(session.asave()) if asynchronously else session.save()
            assert dict(SessionStore(session.session_key).items()) == {}
        again = SessionStore(old.session_key)
        assert "cart" not in again
        assert user_of(again) is None
    assert not old.exists(old.session_key)


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_several_former_systems_are_adopted_at_once(protocol: Any) -> None:
    """Each cookie is read by whom it belongs to."""
    engine = memory_engine(adopt=[FlaskCookie("old"), StarletteCookie("old")])
    values = [flask_cookie("old", {"by": "flask"}), starlette_cookie("old", {"by": "starlette"})]

    found = [Browser(protocol, engine).get(dict, cookie_header=f"session={value}") for value in values]

    assert found == [{"by": "flask"}, {"by": "starlette"}]


def test_wrong_arguments_are_told() -> None:
    for wrong in (
        lambda: StarletteCookie(None),
        lambda: StarletteCookie("old", user_id="user"),  # type: ignore[arg-type]  # the mistake
        lambda: FlaskCookie(""),
        lambda: FlaskCookie("old", user_id="user"),  # type: ignore[arg-type]  # the mistake
    ):
        with pytest.raises(ConfigError):
            wrong()
