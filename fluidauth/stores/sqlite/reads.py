"""What is read from a session file."""

from __future__ import annotations

import sqlite3
from typing import Any

from fluidauth.records import SessionRecord

from .locking import LOCK_WAIT, give_up_after, is_busy, patiently

# The handle is known. All else is covered by the payload's MAC.
GET = """SELECT user_id, created_at, expires_at, version, kid, payload
    FROM fluidauth_sessions WHERE namespace = ? AND handle = ?"""
LIST = """SELECT handle, user_id, created_at, expires_at, version, kid, payload
    FROM fluidauth_sessions WHERE namespace = ? AND user_id = ? AND handle > ?
    ORDER BY handle LIMIT ?"""
CHECK = "SELECT quick_check FROM pragma_quick_check WHERE ? IS NOT NULL"  # every call gives a namespace
COUNT = "SELECT kid, count(*) FROM fluidauth_sessions WHERE namespace = ? GROUP BY kid"
# Without the hint SQLite would sort the whole namespace for each page.
SCAN = """SELECT handle, user_id, created_at, expires_at, version, kid, payload
    FROM fluidauth_sessions INDEXED BY sqlite_autoindex_fluidauth_sessions_1
    WHERE namespace = ? AND handle > ? ORDER BY handle LIMIT ?"""


def rows_of(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return what *statement* finds. Only a lock on the whole file makes it wait, for a moment."""
    try:
        return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
    return patiently(lambda: connection.execute(statement, values).fetchall(), give_up_after(LOCK_WAIT))


def found(handle: str, rows: list[tuple[Any, ...]]) -> SessionRecord | None:
    """Return the record of *handle* that :data:`GET` finds, if it finds one."""
    # As ``SessionRecord._make``, which is a call more.
    return tuple.__new__(SessionRecord, (handle, *rows[0])) if rows else None


def record_in(row: tuple[Any, ...]) -> SessionRecord:
    """Return the record of a *row* of :data:`LIST` or :data:`SCAN`."""
    return SessionRecord(row[0].hex(), *row[1:])


def decoded(text: bytes) -> str:
    """Return *text* as a string, even if it is not UTF-8."""
    return text.decode("utf-8", "replace")
