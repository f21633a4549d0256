"""Development mode: a secret of this machine's own, a cookie for plain http, and a warning."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluidauth import ConfigError, CookieOptions, Keyring, MemoryStore, SessionEngine, SQLiteStore
from fluidauth.events import SessionEvent
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.stores.under_test import run

WEAK = ["dev", "django-insecure-0123456789!@#$%^&*(-_=+)", b"x" * 40, ["dev", new_secret()], None]


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SECRET", "SECRETS", "KEYRING", "DATABASE", "DEVELOPMENT"):
        monkeypatch.delenv(f"FLUIDAUTH_{name}", raising=False)


def kid_kept(path: Path) -> str:
    return kid_of(path.read_text().strip())


@pytest.mark.requirement("69")
@pytest.mark.parametrize("secret", WEAK, ids=["short", "published", "repeated", "one of two", "none"])
def test_a_random_secret_stands_in_for_one_that_is_weak(secret: Any, tmp_path: Path) -> None:
    """It is kept beside the database, so that sessions survive a restart."""
    engines = [SessionEngine(secret, tmp_path / "s.db", development=True) for _ in range(2)]

    kept = tmp_path / "s.db.development-secret"
    assert {engine.policy.keyring.kids for engine in engines} == {(kid_kept(kept),)}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for engine in engines:
        engine.close()


@pytest.fixture
def tests_run() -> Iterator[None]:
    run.begin()
    yield
    run.end()


@pytest.mark.requirement("69")
@pytest.mark.usefixtures("tests_run")
def test_tests_in_memory_keep_no_secret(tmp_path: Path) -> None:
    """An application that a test builds twice has the same sessions in both; with a file it is as ever."""
    first, second = (SessionEngine("dev", development=True) for _ in range(2))

    assert second.policy.keyring.kids == first.policy.keyring.kids
    assert list(tmp_path.iterdir()) == []
    SessionEngine("dev", tmp_path / "s.db", development=True).close()
    assert (tmp_path / "s.db.development-secret").exists()


@pytest.mark.requirement("69")
def test_a_strong_secret_goes_on_signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given in code, in a keyring or in the environment: no other is made."""
    secret, ring = new_secret(), tmp_path / "ring.json"
    keyfile.change(ring, lambda document: document.added(secret, 1))
    given: list[Any] = [secret, [secret], Keyring.from_secrets(secret), Keyring.from_file(ring)]

    kids = [SessionEngine(each, MemoryStore(), development=True).policy.keyring.kids for each in given]
    monkeypatch.setenv("FLUIDAUTH_SECRET", secret)
    kids.append(SessionEngine(store=MemoryStore(), development=True).policy.keyring.kids)

    assert set(kids) == {(kid_of(secret),)}
    assert list(tmp_path.glob("*development-secret")) == []


@pytest.mark.requirement("69")
@pytest.mark.parametrize("store", [MemoryStore(), "memory://"], ids=["store", "url"])
def test_without_a_file_it_is_kept_where_the_default_database_would_be(store: Any, tmp_path: Path) -> None:
    """A store in memory or on a server has no place beside it."""
    engine = SessionEngine("dev", store, development=True)

    assert engine.policy.keyring.kids == (kid_kept(tmp_path / "fluidauth.db.development-secret"),)


@pytest.mark.parametrize(
    ("text", "on"),
    [("1", True), ("true", True), ("Yes", True), (" on\r", True), ("", False), ("0", False), ("No", False)],
)
def test_the_environment_switches_it_on(text: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUIDAUTH_DEVELOPMENT", text)

    assert SessionEngine(new_secret(), MemoryStore()).development is on
    assert SessionEngine(new_secret(), MemoryStore(), development=False).development is False


def test_what_is_neither_on_nor_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as given:
        SessionEngine(new_secret(), MemoryStore(), development="1")  # type: ignore[arg-type]
    monkeypatch.setenv("FLUIDAUTH_DEVELOPMENT", "maybe")
    with pytest.raises(ConfigError) as found:
        SessionEngine(new_secret(), MemoryStore())

    assert str(given.value) == "development='1' must be True, False or None"
    assert str(found.value) == "FLUIDAUTH_DEVELOPMENT='maybe' must be 1 or 0"


@pytest.mark.requirement("69")
def test_without_it_a_weak_secret_is_refused_as_ever(tmp_path: Path) -> None:
    for secret in ("dev", None):
        with pytest.raises(ConfigError):
            SessionEngine(secret, MemoryStore())

    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_are_mistakes_here_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a weak secret is done without."""
    for given in ("sqlite:///x.db", SQLiteStore("x.db"), Path("x.db")):
        with pytest.raises(ConfigError, match="first argument"):
            SessionEngine(given, development=True)  # type: ignore[arg-type]
    monkeypatch.setenv("FLUIDAUTH_KEYRING", "absent.json")
    with pytest.raises(ConfigError, match="keyring file"):
        SessionEngine(development=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("69")
@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "session"),
        (CookieOptions(), "session"),
        (CookieOptions("__Host-shop"), "shop"),
        (CookieOptions("__Secure-shop", domain="example.org", path="/x"), "shop"),
        (CookieOptions("shop", same_site="none", partitioned=True), "shop"),
        (CookieOptions(secure=False), "session"),
    ],
)
def test_the_cookie_is_one_for_plain_http(given: CookieOptions | None, name: str) -> None:
    """With all that the options say else."""
    cookie = SessionEngine(store=MemoryStore(), cookie=given, development=True).policy.cookie

    assert (cookie.name, cookie.secure, cookie.domain, cookie.partitioned) == (name, False, None, False)
    assert cookie.same_site == "lax"
    assert cookie.path == (given.path if given else "/")


@pytest.mark.requirement("69", "59")
def test_it_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By an event, and by a line that has no secret in it."""
    caplog.set_level(logging.DEBUG, "fluidauth")
    events: list[SessionEvent] = []

    engine = SessionEngine("dev", tmp_path / "s.db", development=True, on_event=events.append)
    engine.create_session("ann")
    engine.close()

    kept = tmp_path / "s.db.development-secret"
    assert [event.name for event in events] == ["development_mode", "session_created"]
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == [
        "development mode: only this machine is served. Requests from elsewhere, to another host than "
        "localhost or through a proxy get 403. The cookie works over plain http. No strong secret was given, "
        f"so a random one signs, which is kept in {kept}",
    ]
    assert kept.read_text().strip() not in caplog.text + repr(events) + repr(engine)
