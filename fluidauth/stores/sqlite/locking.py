"""Wait for SQLite's locks, bounded in time.

SQLite's own waiting sleeps up to 100 ms between two tries, and does not know if an event
loop waits. Here each try is short, and the caller decides.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from fluidauth.errors import StoreBusy, StoreError

T = TypeVar("T")


def give_up_after(timeout: float | None) -> float:
    """Return when a caller with *timeout* seconds from now must give up; None means at once."""
    return 0.0 if timeout is None else time.monotonic() + timeout


def patiently(call: Callable[[], T], give_up: float) -> T:
    """Call until *give_up* (monotonic) while others hold the lock; then raise what it raises.

    Each call itself waits for as long as its connection is set to.
    """
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= give_up:
                raise


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
