"""Wait for SQLite's locks, bounded in time.

SQLite's own waiting sleeps up to 100 ms between two looks and cannot tell an event loop
from a thread; here each look is short and the caller decides.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def patiently(call: Callable[[], T], timeout: float | None) -> T:
    """Call again for *timeout* seconds while others hold the lock; then raise what it raises.

    None: call once.
    """
    try:
        return call()  # nearly always
    except sqlite3.OperationalError as error:
        if timeout is None or not is_busy(error):
            raise
    give_up = time.monotonic() + timeout
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= give_up:
                raise


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether somebody else holds a lock."""
    return primary_code(error) == sqlite3.SQLITE_BUSY


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's result code without its extension; 0 if there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
