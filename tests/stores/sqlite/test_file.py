"""The files of a SQLite store: whose they are, and what is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from fluidauth import ConfigError, SessionEngine, SQLiteStore, StoreError
from fluidauth.keys import new_secret
from fluidauth.testing import make_record


@pytest.mark.requirement("54")
def test_all_files_are_private(path: Path) -> None:
    """Database, write-ahead log and its index have mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store = SQLiteStore(path)
        store.create(make_record())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)

    assert modes == {"sessions.db": 0o600, "sessions.db-wal": 0o600, "sessions.db-shm": 0o600}


@pytest.mark.requirement("54")
def test_a_readable_file_is_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database that others may open is used, but the log says how to mend it."""
    path.touch()
    path.chmod(0o644)

    SQLiteStore(path).open()

    assert caplog.messages == [f"other users may open {path}; sessions should be private: chmod 600"]


@pytest.mark.requirement("54")
def test_a_folder_open_to_all_is_refused(path: Path) -> None:
    """Who may replace the file may replace the sessions."""
    path.parent.chmod(0o777)

    with pytest.raises(ConfigError, match="anybody may replace files in"):
        SQLiteStore(path).open()


@pytest.mark.requirement("54")
@pytest.mark.parametrize("planted", ["", "-wal", "-shm", "link"])
def test_file_of_another_user_is_refused(path: Path, planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder such as /tmp: a database, a journal that SQLite would play back, or a link to one."""
    path.parent.chmod(0o1777)
    SQLiteStore(path).open()  # one of our own may be there
    path.unlink()
    strange = path if planted == "link" else Path(f"{path}{planted}")
    if planted == "link":
        strange.symlink_to(path.with_name("elsewhere.db"))
    else:
        strange.touch()
    if os.geteuid() == 0:
        os.chown(strange, 12345, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(ConfigError, match=rf"{strange.name} belongs to user [0-9]+, in a folder"):
        SQLiteStore(path).open()


@pytest.mark.requirement("54")
def test_deleted_record_is_in_no_free_page(store: SQLiteStore, path: Path) -> None:
    """Nor what was plain before it was encrypted, once the log is in the file."""
    secret = os.urandom(16).hex().encode()
    for version, payload in ((1, secret * 500), (2, b"short")):
        (store.create if version == 1 else store.update)(make_record(version=version, payload=payload))
    store.create(make_record("1", payload=secret * 500))
    store.delete(make_record("1").handle)
    writer = store._opened().writers.borrow()
    assert writer.execute("PRAGMA secure_delete").fetchone() == (1,)
    store._opened().writers.give_back(writer)
    store.close()

    assert secret not in path.read_bytes()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The error names the folder, when the engine is built."""
    with pytest.raises(ConfigError, match=r"the folder .*/nowhere does not exist"):
        SessionEngine(secret=new_secret(), store=SQLiteStore(tmp_path / "nowhere" / "s.db"))


@pytest.mark.requirement("54")
def test_the_journal_is_a_write_ahead_log(store: SQLiteStore, path: Path) -> None:
    """WAL is on, the tables are STRICT, and both durabilities are what they say."""
    store.create(make_record())

    with closing(sqlite3.connect(path)) as connection:
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
        tables = connection.execute("SELECT name, strict FROM pragma_table_list").fetchall()
    synchronous = []
    for durability in ("full", "normal"):
        other = SQLiteStore(path, durability=durability)
        writer = other._opened().writers.borrow()
        synchronous.append(writer.execute("PRAGMA synchronous").fetchone()[0])
        other._opened().writers.give_back(writer)
        other.close()

    assert journal == "wal"
    assert {name for name, strict in tables if strict} == {"fluidauth_sessions", "fluidauth_namespaces"}
    assert synchronous == [2, 1]


def test_a_foreign_file_is_refused(path: Path) -> None:
    """What is no database is never overwritten."""
    path.write_bytes(b"something else entirely" * 100)

    with pytest.raises(StoreError, match="cannot be opened as a session database"):
        SQLiteStore(path).open()

    assert path.read_bytes().startswith(b"something else")


@pytest.mark.requirement("52")
def test_a_file_removed_at_run_time_does_not_come_back_empty(store: SQLiteStore, path: Path) -> None:
    """A vanished database is an error, not a fresh one without sessions."""
    store.create(make_record())
    store.close()
    for file in path.parent.iterdir():
        file.unlink()

    with pytest.raises(StoreError):
        store.get(make_record().handle)

    assert not path.exists()
