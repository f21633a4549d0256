"""The log does not grow for ever, and what it costs on the disk."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fluidauth import SQLiteStore
from fluidauth.stores.sqlite import checkpoints, writes
from fluidauth.stores.sqlite.waiting import Write
from fluidauth.testing import BEGINNING
from tests.stores.sqlite.writers import PATIENCE, another_process, queued, record, together, wait_until


def test_statistics_do_not_mislead_the_joint_update(store: SQLiteStore, path: Path) -> None:
    """ANALYZE on a young table must not make it scan an old one."""
    store.create(record(1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ANALYZE")
    with closing(sqlite3.connect(path)) as connection:
        statement = writes._UPDATE_PAYLOADS.format(rows=", ".join([writes._ROW] * 2))
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * 16).fetchall()

    assert any("SEARCH fluidauth_sessions USING INDEX" in row[3] for row in plan)
    assert not any("SCAN fluidauth_sessions" in row[3] for row in plan)


def test_the_log_does_not_grow_for_ever(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints run in a thread of their own, never in the commit of a request."""
    monkeypatch.setattr(checkpoints, "ROWS", 50)
    monkeypatch.setattr(checkpoints, "_LONG_LOG", 100)
    store.create(record(1))

    for version in range(2, 2_000):
        assert store.update(record(1, version, payload=os.urandom(3_000)))
    file = store._opened()
    file.checkpoints.close()

    size = Path(f"{path}-wal").stat().st_size
    connection = file.writers.borrow()
    automatic = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    file.writers.give_back(connection)

    assert size < 400 * 4096
    assert automatic == (0,)  # SQLite's own checkpoints, in the commit that fills the log, are off


def test_a_touch_does_not_wait_for_the_disk(store: SQLiteStore, transactions: list[str]) -> None:
    """It may be lost in a power cut; what comes with it or after it may not."""
    store.create(record(1))
    transactions.clear()
    levels: list[int] = []

    def level(connection: sqlite3.Connection, space: int) -> None:
        levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])

    assert store.touch(record(1).handle, BEGINNING + 3_000)
    store._commits.run(Write(level, durable=False))
    store._commits.run(Write(level))
    together(
        store,
        lambda: store.touch(record(1).handle, BEGINNING + 4_000),
        lambda: store._commits.run(Write(level)),
    )

    assert levels == [1, 2, 2]
    assert transactions[:5] == ["PRAGMA", "BEGIN", "UPDATE", "COMMIT", "PRAGMA"]


@pytest.mark.requirement("54")
def test_nothing_that_must_be_on_disk_joins_a_touch(store: SQLiteStore, path: Path) -> None:
    """What comes while a touch waits for the lock has a transaction of its own, which waits for the disk."""
    levels: list[int] = []

    def level(connection: sqlite3.Connection, space: int) -> None:
        levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])

    with ThreadPoolExecutor(2) as threads:
        with another_process(path) as other:
            touch = threads.submit(store.touch, record(1).handle, BEGINNING + 3_000)
            wait_until(lambda: store._commits._led)
            durable = threads.submit(store._commits.run, Write(level))
            wait_until(lambda: queued(store) == 1)
            other.execute("COMMIT")
        touch.result(PATIENCE)
        durable.result(PATIENCE)

    assert levels == [2]
