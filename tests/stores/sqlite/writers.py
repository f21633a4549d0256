"""Writers of one SQLite file that wait for each other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fluidauth import SQLiteStore
from fluidauth.stores import SessionRecord
from fluidauth.testing import make_record

PATIENCE = 30  # seconds
SEVERAL = 12


def record(number: int, version: int = 1, **columns: Any) -> SessionRecord:
    return make_record(f"row {number}", version=version, **columns)


@contextmanager
def writer_held(store: SQLiteStore) -> Iterator[None]:
    """Keep the connection that writes busy, so that writes queue up."""
    pool = store._opened().writers
    connection = pool.borrow()
    yield
    pool.give_back(connection)


@contextmanager
def another_process(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection of nobody here that holds SQLite's lock until it commits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def queued(store: SQLiteStore) -> int:
    return len(store._commits._queue)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's doing; nothing else tells of it."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def together(store: SQLiteStore, *calls: Callable[[], Any]) -> list[Any]:
    """Make *calls* in threads so that they share a transaction; return answers or errors."""
    with ThreadPoolExecutor(len(calls) + 1) as threads:
        with writer_held(store):
            leader = threads.submit(store.touch, record(0).handle, 0)
            wait_until(lambda: store._commits._led)
            futures = []
            for number, call in enumerate(calls):
                futures.append(threads.submit(call))
                wait_until(lambda number=number: queued(store) == number + 1)  # type: ignore[misc]
        leader.result(PATIENCE)
        return [future.exception(PATIENCE) or future.result() for future in futures]
