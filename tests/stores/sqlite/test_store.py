"""The SQLite store: its options, its connections, its locks."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import ConfigError, Session, SessionEngine, SQLiteStore, StoreError
from fluidauth.engine.visit import Visit
from fluidauth.errors import StoreBusy
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import make_record
from fluidauth.testing.ticker import Ticker


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, timeout=0.2)
    store.open()
    yield store
    store.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ":memory:"}, "names no file; use MemoryStore"),
        ({"path": ""}, "names no file"),
        ({"durability": "some"}, "durability='some' must be 'full' or 'normal'"),
        ({"namespace": "a b"}, "namespace='a b' must be 1 to 64 letters"),
        ({"namespace": ""}, "namespace='' must be"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"pool_size": 0}, "pool_size at least 1"),
    ],
)
def test_wrong_options_are_refused(path: Path, options: dict[str, Any], message: str) -> None:
    """A store that could not work is not made."""
    with pytest.raises(ConfigError) as caught:
        SQLiteStore(**{"path": path, **options})

    assert message in str(caught.value)


@pytest.mark.requirement("53")
def test_a_locked_file_is_an_error_within_the_time_limit(path: Path) -> None:
    """Reads go on beside another's transaction; a write gives up and says so."""
    store = SQLiteStore(path, timeout=0.2)
    store.create(make_record())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    start = time.monotonic()
    with Ticker() as ticker, pytest.raises(StoreBusy, match="database is locked"):
        store.create(make_record("b"))
    took = time.monotonic() - start
    seen = store.get(make_record().handle)
    other.execute("ROLLBACK")
    other.close()
    store.create(make_record("b"))
    store.close()

    assert seen == make_record()
    assert took >= 0.2
    assert ticker.seconds < 1


def test_a_failed_replace_leaves_nothing_behind(store: SQLiteStore) -> None:
    """After an error inside a transaction the next write begins anew."""
    record = make_record()
    store.create(record)

    with pytest.raises(StoreError):
        store.replace(record._replace(version=2), make_record("b", kid=None))
    store.create(make_record("c"))

    assert store.get(record.handle) == record
    assert store.get(make_record("b").handle) is None


@pytest.mark.requirement("55")
def test_many_threads_share_few_connections(store: SQLiteStore) -> None:
    """Five hundred threads hold no more descriptors than the pool allows."""
    store.create(make_record())
    store.get(make_record().handle)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    start = threading.Barrier(100)
    answers: list[Any] = []

    def work() -> None:
        start.wait()
        for _ in range(5):
            answers.append(store.get(make_record().handle))

    threads = [threading.Thread(target=work) for _ in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = len(os.listdir("/proc/self/fd")) if before else 0

    assert answers == [make_record()] * 2_500
    assert after - before <= 8 * 3


def _use_inherited_store(store: SQLiteStore, results: Any) -> None:
    file = store._opened()
    inherited = [file.readers.opened, file.writers.opened]
    store.create(make_record("child"))
    results.put((store.get(make_record().handle) is not None, inherited))


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_worker_opens_its_own_connections(store: SQLiteStore, path: Path) -> None:
    """Connections from before the fork are left alone, and both processes go on."""
    store.get(make_record().handle)  # before anything was written: by a connection that only reads
    store.create(make_record())
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    child = context.Process(target=_use_inherited_store, args=(store, results), daemon=True)
    child.start()
    answer = results.get(timeout=30)
    child.join()
    store.create(make_record("parent"))

    assert answer == (True, [0, 0])
    assert len(store.scan()) == 3
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.requirement("26")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("user_id", "thief"),
        ("user_id", None),
        ("created_at", 5),
        ("version", 9),
        ("payload", b"\x80\x04K\x01."),
        ("payload", b""),
        ("user_id", b"\xff\xfe"),
    ],
)
def test_a_row_changed_in_the_database_is_no_session(path: Path, column: str, value: Any) -> None:
    """Whoever can write to the file can end sessions, but not forge them."""
    events: list[SessionEvent] = []
    engine = SessionEngine(secret=new_secret(), store=SQLiteStore(path), on_event=events.append)
    token, _ = engine.create_session("ada")

    with closing(sqlite3.connect(path)) as connection, connection:
        text = "CAST(? AS TEXT)" if isinstance(value, bytes) and column == "user_id" else "?"
        connection.execute(f"UPDATE fluidauth_sessions SET {column} = {text}", (value,))
    seen = Session(Visit(engine.requests, f"__Host-session={token}")).user_id
    engine.close()

    assert seen is None
    assert [event.name for event in events[1:]] == ["record_tampered"]


@pytest.mark.requirement("52")
@pytest.mark.parametrize("kind", ["readers", "writers"])
def test_a_connection_that_fails_is_replaced(store: SQLiteStore, kind: str) -> None:
    """The call that met it gets the store's own error, and the next one a new connection."""
    store.get(make_record().handle)
    if kind == "writers":
        store.create(make_record())
    pool = getattr(store._opened(), kind)
    connection = pool.borrow()
    connection.close()
    pool.give_back(connection)

    with pytest.raises(StoreError):
        store.get(make_record().handle)

    assert store.get(make_record().handle) == (make_record() if kind == "writers" else None)
