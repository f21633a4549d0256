"""What is asked of PostgreSQL about many records at once: one statement for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fluidauth.errors import RecordExists
from fluidauth.records import SessionRecord

from . import statements
from .statements import Rows, Statement, Steps, new_stamp, records_in, told

_UPDATE_MANY = """WITH given AS (
        SELECT * FROM unnest(%s::bytea[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])
        AS given (handle, user_id, expires_at, version, kid, payload)),
    locked AS (
        SELECT own.handle FROM fluidauth.sessions AS own JOIN given USING (handle)
        WHERE own.namespace = %s AND own.version = given.version - 1 ORDER BY own.handle FOR UPDATE OF own)
    UPDATE fluidauth.sessions AS own
    SET user_id = given.user_id, expires_at = greatest(own.expires_at, given.expires_at),
        version = given.version, kid = given.kid, payload = given.payload, stamp = %s
    FROM given JOIN locked USING (handle)
    WHERE own.namespace = %s AND own.handle = given.handle AND own.version = given.version - 1
    RETURNING own.handle"""
_GET_MANY = """SELECT handle, user_id, created_at, expires_at, version, kid, payload
    FROM fluidauth.sessions WHERE namespace = %s AND handle = ANY (%s)"""
_CREATE_MANY = """INSERT INTO fluidauth.sessions
    (namespace, stamp, handle, user_id, created_at, expires_at, version, kid, payload)
    SELECT %s, %s, given.* FROM unnest(
        %s::bytea[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])
    AS given (handle, user_id, created_at, expires_at, version, kid, payload) ORDER BY given.handle
    ON CONFLICT DO NOTHING RETURNING handle"""
# If a handle is taken between the look and the insertion, that is an error, and everything is undone.
_REPLACE_MANY = """WITH given AS (
        SELECT * FROM unnest(
            %s::bytea[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[],
            %s::bytea[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])
        AS given (grave, grave_user, grave_expires, grave_version, grave_kid, grave_payload,
            handle, user_id, created_at, expires_at, version, kid, payload)
        WHERE NOT EXISTS (SELECT FROM fluidauth.sessions AS own
            WHERE own.namespace = %s AND own.handle = given.handle)),
    locked AS (
        SELECT own.handle FROM fluidauth.sessions AS own JOIN given ON own.handle = given.grave
        WHERE own.namespace = %s AND own.version = given.grave_version - 1
        ORDER BY own.handle FOR UPDATE OF own),
    buried AS (
        UPDATE fluidauth.sessions AS own
        SET user_id = grave_user, expires_at = grave_expires, version = grave_version, kid = grave_kid,
            payload = grave_payload, stamp = %s
        FROM given JOIN locked ON locked.handle = given.grave
        WHERE own.namespace = %s AND own.handle = given.grave AND own.version = given.grave_version - 1
        RETURNING own.handle)
    INSERT INTO fluidauth.sessions
    (namespace, stamp, handle, user_id, created_at, expires_at, version, kid, payload)
    SELECT %s, %s, given.handle, given.user_id, given.created_at, given.expires_at, given.version,
        given.kid, given.payload
    FROM given JOIN buried ON buried.handle = given.grave ORDER BY given.handle RETURNING handle"""
_DELETE_MANY = """DELETE FROM fluidauth.sessions AS own
    USING unnest(%s::bytea[], %s::bigint[]) AS given (handle, version)
    WHERE own.namespace = %s AND own.handle = given.handle
    AND (given.version IS NULL OR own.version = given.version) RETURNING own.handle"""
_FIND = "SELECT handle FROM fluidauth.sessions WHERE namespace = %s AND handle = ANY (%s)"
_FIND_STAMPED = """SELECT handle FROM fluidauth.sessions
    WHERE namespace = %s AND handle = ANY (%s) AND stamp = %s"""

Pairs = Sequence[tuple[SessionRecord, SessionRecord]]


def get_many(space: str, handles: Sequence[str]) -> Steps[list[SessionRecord | None]]:
    def answer(count: int, rows: Rows) -> list[SessionRecord | None]:
        found = {record.handle: record for record in records_in(count, rows)}
        return [found.get(handle) for handle in handles]

    return told(Statement(_GET_MANY, (space, [bytes.fromhex(handle) for handle in handles]), answer))


def create_many(space: str, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
    stamp = new_stamp()
    return _changed(space, stamp, records, _CREATE_MANY, (space, stamp, *_columns(records)))


def update_many(space: str, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
    stamp = new_stamp()
    return _changed(space, stamp, records, _UPDATE_MANY, (*_swap(records), space, stamp, space))


def replace_many(space: str, pairs: Pairs) -> Steps[list[bool]]:
    """Do all at once, or one by one if others took one of the handles at this moment."""
    stamp = new_stamp()
    graves, records = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    values = (*_swap(graves), *_columns(records), space, space, stamp, space, space, stamp)
    try:
        return (yield from _changed(space, stamp, records, _REPLACE_MANY, values))
    except RecordExists:
        done = []
        for pair in pairs:
            try:
                done.append((yield from statements.replace(space, *pair)))
            except RecordExists:
                done.append(False)
        return done


def delete_many(space: str, keys: Sequence[tuple[str, int | None]]) -> Steps[list[bool]]:
    handles = [bytes.fromhex(handle) for handle, _ in keys]
    values = (handles, [version for _, version in keys], space)
    is_gone = Statement(_FIND, (space, handles), lambda _, rows: not rows)
    gone: set[bytes] = yield Statement(_DELETE_MANY, values, _handles_in, is_gone, set(handles))
    return [handle in gone for handle in handles]


def steps_of(verb: str, *arguments: Any) -> Steps[Any]:
    """Return the steps of a store's call by its name."""
    steps: Steps[Any] = (_BY_VERB.get(verb) or getattr(statements, verb))(*arguments)
    return steps


_BY_VERB = {call.__name__: call for call in (get_many, create_many, update_many, replace_many, delete_many)}


def _changed(
    space: str, stamp: int, records: Sequence[SessionRecord], text: str, values: Sequence[Any]
) -> Steps[list[bool]]:
    """Return for each of *records* if it was written. Look for the others, as an answer may be lost."""
    done: set[bytes] = yield Statement(text, values, _handles_in)
    handles = [bytes.fromhex(record.handle) for record in records]
    left = [handle for handle in handles if handle not in done]
    if left:
        done |= yield Statement(_FIND_STAMPED, (space, left, stamp), _handles_in)
    return [handle in done for handle in handles]


def _handles_in(_: int, rows: Rows) -> set[bytes]:
    return {bytes(row[0]) for row in rows}


def _swap(records: Sequence[SessionRecord]) -> list[list[Any]]:
    """Return the columns that an update changes, and those by which it finds its row."""
    handle, user_id, _, expires_at, version, kid, payload = _columns(records)
    return [handle, user_id, expires_at, version, kid, payload]


def _columns(records: Iterable[SessionRecord]) -> list[list[Any]]:
    rows = [(bytes.fromhex(record.handle), *record[1:]) for record in records]
    return (
        [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in SessionRecord._fields]
    )
