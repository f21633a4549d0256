"""``fluidauth sessions``: what goes over the whole store: clean, stats, check, rekey, copy."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from fluidauth import Keyring, Session, SessionEngine, SQLiteStore
from fluidauth.errors import FieldTampered
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.records import Body
from fluidauth.testing.proxy import Proxy
from harness.servers.postgres import address_of, empty_postgres, new_database, postgres_url
from harness.servers.redis import empty_redis
from tests.cli.support import LONG_AGO, OLD, Cli, change_row, expire, former_visitor, promote_new, sign_in


def test_expired_sessions_are_cleaned(cli: Cli, engine: SessionEngine) -> None:
    """Live sessions stay."""
    expire(engine, sign_in(engine)[1])
    sign_in(engine)

    assert cli("sessions", "clean", "--json").json == {"removed": 1, "revoked": 0}
    assert cli("sessions", "clean").out == "0 expired records removed\n"
    assert len(engine.list_sessions("ada")) == 1


def test_a_store_is_made_before_its_first_use(cli: Cli, tmp_path: Path) -> None:
    """In SQLite a private file, in PostgreSQL a schema; a second time does no harm."""
    postgres = new_database(postgres_url())
    before = cli("sessions", "stats", "--store", postgres)
    for place in (str(tmp_path / "new.db"), postgres):
        first, second = (cli("sessions", "init", "--store", place) for _ in range(2))
        assert (first.out, second.out) == ("the store is ready\n", "the store was ready before\n")
        assert cli("sessions", "stats", "--store", place, "--json").json["live"] == 0

    assert (before.code, "fluidauth sessions init" in before.err) == (3, True)
    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600
    assert cli("sessions", "init", "--store", "memory://").code == 3


def test_stats_count_sessions_users_and_keys(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """By the key of the cookie and of the seal."""
    for user in ("ada", "ada", "eve"):
        sign_in(engine, user)
    expire(engine, sign_in(engine)[1])
    found = cli("sessions", "stats", "--json").json
    text = cli("sessions", "stats").out

    assert (found["live"], found["expired"], found["users"]) == (3, 1, 2)
    assert found["by_cookie_key"] == found["by_seal_key"] == {kid_of(OLD): 3}
    assert found["largest_payload"] * 4 >= found["payload_bytes"] > 0
    assert re.search(rf"cookies under {kid_of(OLD)} +3", text)


def test_check_reports_every_bad_record(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Tampered, foreign, undecryptable and revoked ones by their handles; code 0 without any."""
    good = cli("sessions", "check", "--json")
    handles = [sign_in(engine)[1] for _ in range(4)]
    store = engine.requests.store
    change_row(
        "UPDATE fluidauth_sessions SET user_id = 'mallory' WHERE handle = ?", bytes.fromhex(handles[0])
    )
    foreign = SessionEngine(new_secret(), store).create_session("ada")[1].handle

    found = cli("sessions", "check", "--json")
    text = cli("sessions", "check")
    promote_new(ring)
    keyfile.change(ring, lambda r: r.revoked(kid_of(OLD), LONG_AGO))
    after = cli("sessions", "check", "--json").json

    assert (good.code, good.json) == (0, {"records": 0, "verdicts": {}, "damage": [], "bad": []})
    assert found.code == text.code == 1
    assert found.json["verdicts"] == {"live": 3, "tampered": 1, "foreign": 1}
    assert {bad["handle"]: bad["verdict"] for bad in found.json["bad"]} == {
        handles[0]: "tampered",
        foreign: "foreign",
    }
    assert handles[0] in text.out
    assert after["verdicts"] == {"revoked": 4, "foreign": 1}
    assert [bad["verdict"] for bad in after["bad"]] == ["foreign"]
    assert cli("sessions", "rekey", "--json").json["skipped"] == 4
    assert "by a revoked key" in cli("sessions", "show", handles[1]).out
    assert cli("sessions", "clean", "--revoked", "--json").json == {"removed": 0, "revoked": 4}
    assert len(stored_handles()) == 1


@pytest.mark.requirement("63", "64")
def test_marker_of_an_adopted_cookie_is_no_session(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """It is in no list, and stays when sessions under a revoked key are removed: nobody comes back."""
    browser, cookie = former_visitor(engine, ring)
    cookies = [cookie("ada"), cookie("bob")]

    def users() -> list[str | None]:
        tab = browser()
        return [tab.with_cookie(None).get(lambda session: session.user_id, cookie_header=c) for c in cookies]

    browser().request(Session.logout, cookie_header=cookies[0])
    browser().engine.revoke_user("bob")
    listed = cli("sessions", "list", "--json").json["sessions"]
    before = users()
    promote_new(ring)
    keyfile.change(ring, lambda r: r.revoked(kid_of(OLD), LONG_AGO))
    cli("sessions", "clean", "--revoked")

    assert listed == []
    assert before == users() == [None, None]


def test_check_finds_fields_that_cannot_be_read(cli: Cli, engine: SessionEngine) -> None:
    """The seal is genuine, one envelope in it belongs elsewhere."""
    _, handle = sign_in(engine)
    _, other = sign_in(engine)
    store, sealer = engine.requests.store, engine.policy.sealer
    record, source = store.get(handle), store.get(other)
    assert record and source
    body, others = sealer.unseal(record), sealer.unseal(source)
    assert isinstance(body, Body) and isinstance(others, Body)
    locked = {name: kept._replace(error=FieldTampered(name)) for name, kept in others.locked.items()}
    store.update(sealer.seal(record._replace(version=2), body._replace(fields={}, locked=locked)))

    found = cli("sessions", "check", "--json")

    assert found.code == 1
    assert [bad["verdict"] for bad in found.json["bad"]] == ["undecryptable"]
    assert "'email'" in found.json["bad"][0]["detail"]


def test_check_reports_a_damaged_file(cli: Cli, engine: SessionEngine, tmp_path: Path) -> None:
    """Pages that do not fit together are found before anybody meets them."""
    for number in range(50):
        sign_in(engine, f"user-{number}")
    engine.close()
    path = tmp_path / "sessions.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'fluidauth_sessions_by_user'")

    found = cli("sessions", "check")

    assert found.code == 1
    assert "error" in found.out
    assert "never used" in found.out


def test_rekey_keeps_to_its_rate(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Throttled it takes its time, and a second run has nothing to do."""
    for number in range(20):
        sign_in(engine, f"user-{number}")
    promote_new(ring)
    start = time.monotonic()

    first = cli("sessions", "rekey", "--rate", "40", "--json")
    took = time.monotonic() - start
    second = cli("sessions", "rekey", "--rate", "0")

    assert (first.code, first.json) == (0, {"done": 20, "skipped": 0, "failed": []})
    assert took >= 0.45
    assert second.out.startswith("0 done, 20 skipped, 0 failed in ")


def test_copy_moves_every_session_and_what_is_done_is_done(
    cli: Cli, engine: SessionEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file to Redis; expired ones stay behind, a second run has nothing to do."""
    tokens = [sign_in(engine, f"user-{number}")[0] for number in range(20)]
    _, expired = sign_in(engine)
    change_row("UPDATE fluidauth_sessions SET expires_at = 1000 WHERE handle = ?", bytes.fromhex(expired))
    new = empty_redis()
    monkeypatch.setenv("FLUIDAUTH_DATABASE", f"{tmp_path / 'sessions.db'} -> {new}")
    start = time.monotonic()

    first = cli("sessions", "copy", "--rate", "40", "--json")
    took = time.monotonic() - start
    second = cli("sessions", "copy", "--store", f"sqlite:///{tmp_path / 'sessions.db'} -> {new}")

    assert (first.code, first.json) == (0, {"moved": 20, "skipped": 1})
    assert took >= 0.45
    assert second.out.startswith("0 sessions moved, 1 expired or gone in ")
    assert second.err == "next: give the application the new store alone\n"
    assert [record.handle for record in engine.requests.store.scan()] == [expired]
    with closing(SessionEngine(Keyring.from_file(tmp_path / "keyring.json"), new)) as moved:
        assert all(moved.set_cookie_header(token) for token in tokens)


@pytest.mark.requirement("4", "5")
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"fluidauth/1/claim", id="claims"),  # of the request amid which the command is killed
        pytest.param(b"user-7", id="sessions"),
    ],
)
@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_copy_that_is_killed_goes_on_with_the_next(
    cli: Cli, engine: SessionEngine, tmp_path: Path, server: str, words: bytes
) -> None:
    """Amid a batch, the old store marked or not: no session is lost, and none is left behind."""
    tokens = [sign_in(engine, f"user-{number}")[0] for number in range(20)]
    ended = [sign_in(engine, "gone") for _ in range(3)]
    if server == "redis":
        direct = empty_redis()
        proxy = Proxy((urlsplit(direct).hostname, urlsplit(direct).port))
        through = f"redis://127.0.0.1:{proxy.port}"
    else:
        direct = empty_postgres()
        proxy = Proxy(address_of(direct))
        known = conninfo_to_dict(direct)
        words = words if words == b"user-7" else words.hex().encode()  # as psycopg sends bytes in a list
        through = f"postgresql://{known['user']}@127.0.0.1:{proxy.port}/{known['dbname']}?sslmode=disable"
    with closing(proxy):
        copying: list[subprocess.Popen[bytes]] = []
        proxy.cut_after(words, then=lambda: copying[0].kill())
        line = ["sessions", "copy", "--rate", "0", "--store", f"{tmp_path / 'sessions.db'} -> {through}"]
        copying.append(
            subprocess.Popen([sys.executable, "-m", "fluidauth", *line], stderr=subprocess.DEVNULL)
        )
        assert copying[0].wait() == -signal.SIGKILL
    both = f"{tmp_path / 'sessions.db'} -> {direct}"
    with closing(SessionEngine(Keyring.from_file(tmp_path / "keyring.json"), both)) as serving:
        assert all(serving.delete_session(handle) for _, handle in ended)

    found = cli("sessions", "copy", "--rate", "0", "--store", both, "--json")

    assert found.code == 0
    assert list(engine.requests.store.scan()) == []
    with closing(SessionEngine(Keyring.from_file(tmp_path / "keyring.json"), direct)) as moved:
        assert all(moved.set_cookie_header(token) for token in tokens)
        assert moved.list_sessions("gone") == []


@pytest.mark.parametrize("store", ["sqlite:///a.db", "sqlite:///a.db + sqlite:///b.db"])
def test_copy_refuses_what_is_no_migration(cli: Cli, store: str, tmp_path: Path) -> None:
    """An application that knows the old store alone would find nothing of what was moved."""
    for name in ("a.db", "b.db"):
        SQLiteStore(tmp_path / name).open()
    os.chdir(tmp_path)

    found = cli("sessions", "copy", "--store", store)

    assert found.code == 1
    assert "the application must have both already" in found.err


def test_rekey_names_what_it_left_alone(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """With exit code 1."""
    _, handle = sign_in(engine)
    change_row("UPDATE fluidauth_sessions SET user_id = 'mallory'")
    promote_new(ring)

    found, text = cli("sessions", "rekey", "--json"), cli("sessions", "rekey")

    assert (found.code, found.json["failed"][0]["handle"]) == (1, handle)
    assert handle in text.out


def stored_handles() -> list[str]:
    with closing(sqlite3.connect("sessions.db")) as connection:
        return [row[0].hex() for row in connection.execute("SELECT handle FROM fluidauth_sessions")]
