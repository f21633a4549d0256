"""Wait for SQLite's locks, bounded in time.

SQLite's own waiting sleeps longer from try to try. Of two processes that write all the time, the one that
sleeps may miss the lock for 100 ms and more. So no connection waits by itself. Each try ends at once, and the
caller decides if there is another one. A write on an event loop makes no second try.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fluidauth.errors import StoreBusy, StoreError

T = TypeVar("T")

RETRY = 0.0005  # seconds between two tries to get a lock
LOCK_WAIT = 0.02  # seconds that a read or a checkpoint waits for a lock: an event loop may be waiting too


def give_up_after(timeout: float | None) -> float:
    """Return when a caller with *timeout* seconds from now must give up; None means at once."""
    return 0.0 if timeout is None else time.monotonic() + timeout


def patiently(call: Callable[[], T], give_up: float) -> T:
    """Call until *give_up* (monotonic) while others hold the lock; then raise what it raises."""
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= give_up:
                raise
        time.sleep(RETRY)


def wait_for_nobody(connection: sqlite3.Connection) -> None:
    """Let each call on *connection* fail at once if it meets a lock."""
    connection.execute("PRAGMA busy_timeout = 0")


@contextmanager
def waiting(connection: sqlite3.Connection) -> Iterator[None]:
    """Let SQLite wait for locks in a checkpoint, which needs several and reports no error for some."""
    connection.execute("PRAGMA busy_timeout = 20")  # LOCK_WAIT in milliseconds
    try:
        yield
    finally:
        wait_for_nobody(connection)


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection holds a lock."""
    return primary_code(error) == sqlite3.SQLITE_BUSY


def store_error(problem: str, error: sqlite3.Error) -> StoreError:
    """Return the store's own error for *error*; *problem* says what cannot be done."""
    kind = StoreBusy if is_busy(error) else StoreError
    found = kind(f"session database cannot be {problem}: {error}")
    found.__cause__ = error
    return found


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's result code without its extension; 0 if there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
