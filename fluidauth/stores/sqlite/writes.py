"""What is written to a session file: each write alone, or many as one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fluidauth.errors import FluidAuthError, RecordExists
from fluidauth.records import END_OF_TIME, SessionRecord

from .waiting import Write

Writes = Sequence[Write[Any]]

_CREATE = """INSERT INTO fluidauth_sessions
    (namespace, handle, user_id, created_at, expires_at, version, kid, payload)
    VALUES (:space, :handle, :user_id, :created_at, :expires_at, :version, :kid, :payload)"""
_CREATE_ABSENT = f"{_CREATE} ON CONFLICT DO NOTHING"
# In most updates neither the user nor the expiry changes. Then their indexes are not
# touched, which halves the pages written. The function of ``freshness`` says nothing about rows.
_UPDATE_PAYLOAD = """UPDATE fluidauth_sessions SET version = ?, kid = ?, payload = ?
    WHERE handle = ? AND namespace = ? AND version = ? AND user_id IS ? AND expires_at >= ?
    AND fluidauth_note_header() IS NULL"""
_UPDATE_PAYLOADS = """WITH given (version, kid, payload, handle, space, former, user_id, expires_at)
        AS (VALUES {rows})
    UPDATE fluidauth_sessions INDEXED BY sqlite_autoindex_fluidauth_sessions_1
    SET version = given.version, kid = given.kid, payload = given.payload
    FROM given WHERE fluidauth_sessions.handle = given.handle
    AND fluidauth_sessions.namespace = given.space AND fluidauth_sessions.version = given.former
    AND fluidauth_sessions.user_id IS given.user_id AND fluidauth_sessions.expires_at >= given.expires_at
    RETURNING handle"""
_UPDATE = """UPDATE fluidauth_sessions
    SET user_id = :user_id, expires_at = max(expires_at, :expires_at),
        version = :version, kid = :kid, payload = :payload
    WHERE handle = :handle AND namespace = :space AND version = :version - 1
    AND fluidauth_note_header() IS NULL"""
_BURY = """UPDATE fluidauth_sessions
    SET user_id = :user_id, expires_at = :expires_at,
        version = :version, kid = :kid, payload = :payload
    WHERE handle = :handle AND namespace = :space AND version = :version - 1"""
_DELETE = """DELETE FROM fluidauth_sessions
    WHERE handle = :handle AND namespace = :space AND (:version IS NULL OR version = :version)"""
_TOUCH = """UPDATE fluidauth_sessions SET expires_at = :expires_at
    WHERE handle = :handle AND namespace = :space AND expires_at < :expires_at"""
_CLEAN = """DELETE FROM fluidauth_sessions WHERE id IN (
    SELECT id FROM fluidauth_sessions WHERE namespace = :space AND expires_at <= :now LIMIT :limit)"""
_DELETE_USER = """DELETE FROM fluidauth_sessions
    WHERE namespace = :space AND user_id = :user_id AND (:kept IS NULL OR handle <> :kept)"""

_ROW = "(?, ?, ?, ?, ?, ?, ?, ?)"
_NO_ROW = (None,) * 8
# What a write can cause itself: RecordExists, or a value that SQLite has no type for. Other
# errors come from elsewhere, such as a signal handler.
OWN_ERRORS = (sqlite3.Error, FluidAuthError, OverflowError, TypeError, ValueError)


# -- one write ------------------------------------------------------------------------


def change(connection: sqlite3.Connection, space: int, statement: str, values: dict[str, Any]) -> int:
    """Run one *statement*; return how many rows it changed."""
    return connection.execute(statement, {"space": space, **values}).rowcount


def changed(connection: sqlite3.Connection, space: int, statement: str, values: dict[str, Any]) -> bool:
    """Run one *statement*; return whether it changed anything."""
    return change(connection, space, statement, values) > 0


def update(connection: sqlite3.Connection, space: int, record: SessionRecord) -> bool:
    """Compare and swap; return whether it was done."""
    return (
        connection.execute(_UPDATE_PAYLOAD, _payload_row(space, record)).rowcount > 0
        or connection.execute(_UPDATE, _columns(space, record)).rowcount > 0
    )


def update_all(connection: sqlite3.Connection, space: int, records: Sequence[SessionRecord]) -> list[bool]:
    """Compare and swap each of *records*, of different handles, at once; return for each if it was done."""
    rows = [_payload_row(space, record) for record in records]
    with _undone_if_it_fails(connection):
        if connection.executemany(_UPDATE_PAYLOAD, rows).rowcount == len(rows):  # nearly always
            return [True] * len(rows)
        connection.execute("ROLLBACK TO writes")
        return [update(connection, space, record) for record in records]


def insert_absent(connection: sqlite3.Connection, space: int, records: Sequence[SessionRecord]) -> list[bool]:
    """Insert each of *records* whose handle is not there, at once; return for each if it was inserted."""
    with _undone_if_it_fails(connection):
        return [changed(connection, space, _CREATE_ABSENT, _columns(space, record)) for record in records]


def insert(connection: sqlite3.Connection, space: int, record: SessionRecord) -> None:
    """Insert; raise ``RecordExists`` if the handle is there."""
    try:
        connection.execute(_CREATE, _columns(space, record))
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise RecordExists from error


def bury_and_insert(
    connection: sqlite3.Connection, space: int, tombstone: SessionRecord, record: SessionRecord
) -> bool:
    """Compare and swap to *tombstone* and insert *record*, both or neither."""
    with _undone_if_it_fails(connection):
        buried = connection.execute(_BURY, _columns(space, tombstone)).rowcount > 0
        if buried:
            insert(connection, space, record)
    return buried


def bury_and_insert_all(
    connection: sqlite3.Connection, space: int, pairs: Sequence[tuple[SessionRecord, SessionRecord]]
) -> list[bool]:
    """Do as :func:`bury_and_insert` for each of *pairs*, at once; return for each if it was done."""
    done = []
    with _undone_if_it_fails(connection):
        for pair in pairs:
            try:
                done.append(bury_and_insert(connection, space, *pair))
            except RecordExists:
                done.append(False)
    return done


def remove_all(
    connection: sqlite3.Connection, space: int, keys: Sequence[tuple[str, int | None]]
) -> list[bool]:
    """Delete each handle, at its version if given, at once; return for each if it was there."""
    with _undone_if_it_fails(connection):
        return [
            changed(connection, space, _DELETE, {"handle": bytes.fromhex(handle), "version": version})
            for handle, version in keys
        ]


@contextmanager
def _undone_if_it_fails(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of several statements or none, alone or inside a transaction."""
    connection.execute("SAVEPOINT writes")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # some errors undo everything by themselves
            connection.execute("ROLLBACK TO writes")
            connection.execute("RELEASE writes")
        raise
    connection.execute("RELEASE writes")


def update_together(connection: sqlite3.Connection, space: int, records: list[SessionRecord]) -> set[bytes]:
    """Compare and swap each of *records*, of different handles; return the handles where it was done.

    It is not done for an update that moves the expiry or changes the user: :func:`update` does that.
    """
    length = 2
    while length < len(records):  # few different statements: each is prepared once
        length *= 2
    values = [value for record in records for value in _payload_row(space, record)]
    values.extend(_NO_ROW * (length - len(records)))
    statement = _UPDATE_PAYLOADS.format(rows=", ".join([_ROW] * length))
    return {row[0] for row in connection.execute(statement, values).fetchall()}


def _payload_row(space: int, record: SessionRecord) -> tuple[Any, ...]:
    handle, user_id, _, expires_at, version, kid, payload = record
    return version, kid, payload, bytes.fromhex(handle), space, version - 1, user_id, expires_at


def _columns(space: int, record: SessionRecord) -> dict[str, Any]:
    columns = record._asdict()
    columns["handle"] = bytes.fromhex(record.handle)
    columns["space"] = space
    return columns


# -- as calls ask for them ------------------------------------------------------------


def creation(record: SessionRecord) -> Write[None]:
    """Return the insertion of *record*."""
    return Write(insert, record, handles=(record.handle,))


def updating(record: SessionRecord) -> Write[bool]:
    """Return the compare and swap to *record*."""
    return Write(update, record, handles=(record.handle,))


def updating_all(records: Sequence[SessionRecord]) -> Write[list[bool]]:
    """Return the compare and swap to each of *records*."""
    return Write(update_all, records, handles=[record.handle for record in records])


def creation_of_absent(records: Sequence[SessionRecord]) -> Write[list[bool]]:
    """Return the insertion of those of *records* that are not there."""
    return Write(insert_absent, records, handles=[record.handle for record in records])


def burials(pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> Write[list[bool]]:
    """Return the swap to each tombstone and the insertion of its record."""
    return Write(bury_and_insert_all, pairs, handles=[record.handle for pair in pairs for record in pair])


def deletions(keys: Sequence[tuple[str, int | None]]) -> Write[list[bool]]:
    """Return the removal of each handle, at its version if given."""
    return Write(remove_all, keys, handles=[handle for handle, _ in keys])


def deletion(handle: str, version: int | None) -> Write[bool]:
    """Return the removal of *handle*, at *version* if given."""
    values = {"handle": bytes.fromhex(handle), "version": version}
    return Write(changed, _DELETE, values, handles=(handle,))


def touching(handle: str, expires_at: int) -> Write[bool]:
    """Return the move of the expiry forward; a power cut may undo it."""
    values = {"handle": bytes.fromhex(handle), "expires_at": expires_at}
    return Write(changed, _TOUCH, values, durable=False, handles=(handle,))


def burial(tombstone: SessionRecord, record: SessionRecord) -> Write[bool]:
    """Return the swap to *tombstone* and the insertion of *record*."""
    return Write(bury_and_insert, tombstone, record, handles=(tombstone.handle, record.handle))


def revocation(user_id: str, except_handle: str | None) -> Write[int]:
    """Return the removal of the user's records except one."""
    kept = None if except_handle is None else bytes.fromhex(except_handle)
    return Write(change, _DELETE_USER, {"user_id": user_id, "kept": kept})


def cleaning(now: int, limit: int | None) -> Write[int]:
    """Return the removal of what has expired, *limit* rows at most; a power cut may undo it.

    A cleaning up to the end of time is a revocation of everything, so a power cut does not undo it.
    """
    values = {"now": now, "limit": -1 if limit is None else limit}
    return Write(change, _CLEAN, values, durable=now >= END_OF_TIME)


BY_VERB: dict[str, Callable[..., Write[Any]]] = {
    "create": creation,
    "update": updating,
    "create_many": creation_of_absent,
    "update_many": updating_all,
    "replace_many": burials,
    "delete_many": deletions,
    "delete": deletion,
    "touch": touching,
    "replace": burial,
    "delete_for_user": revocation,
    "clean": cleaning,
}
"""What each call of a store asks for, by its name; the others read."""
