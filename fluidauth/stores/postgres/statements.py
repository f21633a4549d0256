"""What is asked of PostgreSQL: each call of a store as statements, to be run by anybody."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from fluidauth.errors import OutcomeUnknown, RecordExists
from fluidauth.records import END_OF_TIME, SessionRecord

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

VERSION = 1
"""Of the schema that this code works with."""

# Each step leads from one version to the next, and is never changed after its release.
# The fill factor leaves room next to each row, so a new payload is written without touching an index.
MIGRATIONS = (
    """CREATE TABLE fluidauth.sessions (
        namespace text NOT NULL COLLATE "C",
        handle bytea NOT NULL CHECK (octet_length(handle) = 32),
        user_id text COLLATE "C",
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        version bigint NOT NULL,
        kid text NOT NULL COLLATE "C",
        stamp bigint NOT NULL,
        payload bytea NOT NULL,
        PRIMARY KEY (namespace, handle)
    ) WITH (fillfactor = 70);
    CREATE INDEX sessions_by_expiry ON fluidauth.sessions (namespace, expires_at);
    CREATE INDEX sessions_by_user ON fluidauth.sessions (namespace, user_id, handle)
        WHERE user_id IS NOT NULL;
    CREATE INDEX sessions_by_kid ON fluidauth.sessions (namespace, kid)""",
)
BEGIN_SCHEMA = """CREATE SCHEMA IF NOT EXISTS fluidauth;
    CREATE TABLE IF NOT EXISTS fluidauth.schema_version (
        version integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""
FIND_VERSION = "SELECT coalesce(max(version), 0) FROM fluidauth.schema_version"
NOTE_VERSION = "INSERT INTO fluidauth.schema_version (version) VALUES (%s)"
# Any number that nobody else locks. Two processes may create the schema at the same time.
LOCK_SCHEMA = "SELECT pg_advisory_xact_lock(7063489121)"

_GET = """SELECT user_id, created_at, expires_at, version, kid, payload
    FROM fluidauth.sessions WHERE namespace = %s AND handle = %s"""
_CREATE = """INSERT INTO fluidauth.sessions
    (namespace, handle, user_id, created_at, expires_at, version, kid, payload, stamp)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_UPDATE = """UPDATE fluidauth.sessions
    SET user_id = %s, expires_at = greatest(expires_at, %s), version = %s, kid = %s, payload = %s, stamp = %s
    WHERE namespace = %s AND handle = %s AND version = %s"""
_DELETE = "DELETE FROM fluidauth.sessions WHERE namespace = %s AND handle = %s"
_DELETE_VERSION = "DELETE FROM fluidauth.sessions WHERE namespace = %s AND handle = %s AND version = %s"
_TOUCH = """UPDATE fluidauth.sessions SET expires_at = %s
    WHERE namespace = %s AND handle = %s AND expires_at < %s"""
_REPLACE = """WITH buried AS (
        UPDATE fluidauth.sessions
        SET user_id = %s, expires_at = %s, version = %s, kid = %s, payload = %s, stamp = %s
        WHERE namespace = %s AND handle = %s AND version = %s RETURNING 1)
    INSERT INTO fluidauth.sessions
    (namespace, handle, user_id, created_at, expires_at, version, kid, payload, stamp)
    SELECT %s, %s, %s::text, %s, %s, %s, %s, %s::bytea, %s FROM buried"""
_FIND_STAMP = "SELECT version, stamp FROM fluidauth.sessions WHERE namespace = %s AND handle = %s"
# Rows that others are writing are left for the next time, unless everything must be removed.
_CLEAN = """DELETE FROM fluidauth.sessions WHERE namespace = %s AND handle = ANY (ARRAY(
    SELECT handle FROM fluidauth.sessions WHERE namespace = %s AND expires_at <= %s LIMIT %s
    FOR UPDATE SKIP LOCKED))"""
_CLEAN_ALL = """DELETE FROM fluidauth.sessions WHERE namespace = %s AND handle = ANY (ARRAY(
    SELECT handle FROM fluidauth.sessions WHERE namespace = %s AND expires_at <= %s LIMIT %s
    FOR UPDATE))"""
_LIST = """SELECT handle, user_id, created_at, expires_at, version, kid, payload FROM fluidauth.sessions
    WHERE namespace = %s AND user_id = %s AND handle > %s ORDER BY handle LIMIT %s"""
# A session that is renewed at this moment is seen under its old id, which no longer belongs to the user, and
# not yet under its new id. So as many rows must be deleted as were found. If not, the statement runs again.
_DELETE_USER = """WITH found AS (
        SELECT handle FROM fluidauth.sessions WHERE namespace = %s AND user_id = %s
        AND (%s::bytea IS NULL OR handle <> %s)),
    gone AS (
        DELETE FROM fluidauth.sessions AS own USING found
        WHERE own.namespace = %s AND own.user_id = %s AND own.handle = found.handle RETURNING 1)
    SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM gone)"""
_COUNT = "SELECT kid, count(*) FROM fluidauth.sessions WHERE namespace = %s GROUP BY kid"
_SCAN = """SELECT handle, user_id, created_at, expires_at, version, kid, payload FROM fluidauth.sessions
    WHERE namespace = %s AND handle > %s ORDER BY handle LIMIT %s"""


class Statement(NamedTuple, Generic[T]):
    """One statement of SQL, and what its outcome means."""

    text: str
    values: Sequence[Any]
    answer: Callable[[int, Rows], T]
    """Called with the number of rows that were changed or found, and with the rows, if there are any."""
    proof: Statement[bool] | None = None
    """Says whether this was carried out, if its answer was lost and the second try did nothing.

    Each change has its own stamp, because another one may have written the same fields. After a change by
    others the stamp is gone, and :class:`OutcomeUnknown` is raised."""
    proven: Any = None
    """The answer then."""


Steps = Generator[Statement[Any], Any, T]
"""A call of a store: it yields statements and is sent the answers."""


def get(space: str, handle: str) -> Steps[SessionRecord | None]:
    values = (space, bytes.fromhex(handle))
    return told(Statement(_GET, values, lambda _, rows: SessionRecord(handle, *rows[0]) if rows else None))


def create(space: str, record: SessionRecord) -> Steps[None]:
    stamp = new_stamp()
    values, proof = _whole(space, record, stamp), _proof(space, record, stamp)
    if not (yield Statement(_CREATE, values, _is_done, proof, True)):
        raise RecordExists


def update(space: str, record: SessionRecord) -> Steps[bool]:
    stamp = new_stamp()
    values, proof = _swap(space, record, stamp), _proof(space, record, stamp)
    return told(Statement(_UPDATE, values, _is_done, proof, True))


def delete(space: str, handle: str, version: int | None) -> Steps[bool]:
    key = (space, bytes.fromhex(handle))
    is_gone = Statement(_FIND_STAMP, key, lambda _, rows: not rows)
    if version is None:
        return told(Statement(_DELETE, key, _is_done, is_gone, True))
    return told(Statement(_DELETE_VERSION, (*key, version), _is_done, is_gone, True))


def touch(space: str, handle: str, expires_at: int) -> Steps[bool]:
    return told(Statement(_TOUCH, (expires_at, space, bytes.fromhex(handle), expires_at), _is_done))


def replace(space: str, tombstone: SessionRecord, record: SessionRecord) -> Steps[bool]:
    stamp = new_stamp()
    values = (*_swap(space, tombstone, stamp), *_whole(space, record, stamp))
    return told(Statement(_REPLACE, values, _is_done, _proof(space, tombstone, stamp), True))


def clean(space: str, now: int, limit: int | None) -> Steps[int]:
    statement = _CLEAN_ALL if now >= END_OF_TIME else _CLEAN
    return told(Statement(statement, (space, space, now, limit), _count))


def list_for_user(space: str, user_id: str, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
    return told(Statement(_LIST, (space, user_id, bytes.fromhex(after or ""), limit), records_in))


def delete_for_user(space: str, user_id: str, except_handle: str | None) -> Steps[int]:
    """Delete until as many rows are deleted as were found."""
    kept = None if except_handle is None else bytes.fromhex(except_handle)
    values = (space, user_id, kept, kept, space, user_id)
    statement: Statement[tuple[int, int]] = Statement(_DELETE_USER, values, lambda _, rows: rows[0])
    removed = 0
    while True:
        found, gone = yield from told(statement)
        removed += gone
        if gone == found:
            return removed


def count_by_kid(space: str) -> Steps[dict[str, int]]:
    return told(Statement(_COUNT, (space,), lambda _, rows: dict(rows)))


def scan(space: str, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
    return told(Statement(_SCAN, (space, bytes.fromhex(after or ""), limit), records_in))


def told(statement: Statement[T]) -> Steps[T]:
    answer: T = yield statement
    return answer


def new_stamp() -> int:
    return int.from_bytes(os.urandom(8), "big", signed=True)


def _proof(space: str, record: SessionRecord, stamp: int) -> Statement[bool]:
    def is_ours(_: int, rows: Rows) -> bool:
        if rows and rows[0][0] > record.version:
            raise OutcomeUnknown
        return rows == [(record.version, stamp)]

    return Statement(_FIND_STAMP, (space, bytes.fromhex(record.handle)), is_ours)


def _swap(space: str, record: SessionRecord, stamp: int) -> tuple[Any, ...]:
    handle, user_id, _, expires_at, version, kid, payload = record
    return user_id, expires_at, version, kid, payload, stamp, space, bytes.fromhex(handle), version - 1


def _whole(space: str, record: SessionRecord, stamp: int) -> tuple[Any, ...]:
    return space, bytes.fromhex(record.handle), *record[1:], stamp


def _count(count: int, rows: Rows) -> int:
    return count


def _is_done(count: int, rows: Rows) -> bool:
    return count > 0


def records_in(_: int, rows: Rows) -> list[SessionRecord]:
    return [SessionRecord(bytes(row[0]).hex(), *row[1:]) for row in rows]
