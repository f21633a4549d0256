"""Writes carried out: alone, or many as one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from fluidauth.errors import StoreBusy
from fluidauth.records import SessionRecord

from .freshness import Freshness
from .locking import give_up_after, is_busy, patiently, primary_code, store_error, waiting
from .waiting import Join, Write, nobody
from .writes import OWN_ERRORS, update, update_together

Writes = Sequence[Write[Any]]

_MAX_ROWS = 256  # updated by one statement


def carry_out(
    connection: sqlite3.Connection,
    space: int,
    fresh: Freshness,
    writes: Writes,
    timeout: float | None,
    relaxed: bool = False,
    join: Join = nobody,
) -> bool:
    """Do all of *writes*, each with its own outcome, and wait up to *timeout* seconds for a lock, if at all.

    They are one transaction. If that fails, they are done one by one, so that only those
    fail that cannot be done. If *relaxed*, nothing waits for the disk. *join* is called when the
    lock was waited for, and takes more into *writes*. What is known to be *fresh* follows each
    commit. Return whether the connection is still good.
    """
    give_up = give_up_after(timeout)
    if relaxed:
        connection.execute("PRAGMA synchronous = NORMAL")
    fresh.is_committing = True
    try:
        # What has come since may have to be on disk.
        is_sound = _all(connection, space, fresh, writes, give_up, nobody if relaxed else join)
    finally:
        fresh.is_committing = False
    if relaxed:
        connection.execute("PRAGMA synchronous = FULL")
    return is_sound


def _all(
    connection: sqlite3.Connection, space: int, fresh: Freshness, writes: Writes, give_up: float, join: Join
) -> bool:
    if len(writes) == 1:
        is_sound = _alone(connection, space, fresh, writes[0], 0.0)
        if not give_up or not isinstance(writes[0].error, StoreBusy):
            return is_sound
    # Others come during the wait for a lock. If they had to wait for the next transaction, they would
    # wait for this process twice, and for the others in between.
    if _together(connection, space, fresh, writes, give_up, join):
        return True
    outcomes = [_alone(connection, space, fresh, write, give_up) for write in writes]
    return all(outcomes)


def _together(
    connection: sqlite3.Connection, space: int, fresh: Freshness, writes: Writes, give_up: float, join: Join
) -> bool:
    """Return whether all of *writes* were committed, or are known to be hopeless."""
    try:
        has_waited = _begin(connection, give_up)
    except sqlite3.Error as error:
        if not is_busy(error):
            return False
        for write in writes:  # one by one they would fail, too
            write.error = store_error("written", error)
        return True
    held = b""
    try:
        held = fresh.held()
        if has_waited:
            join()
        for write in _left_over(connection, space, writes):
            _inside(connection, space, write)
        connection.execute("COMMIT")
    except BaseException as error:
        foreign = not isinstance(error, OWN_ERRORS)
        if foreign and not connection.in_transaction:
            raise  # from a signal handler, after the commit
        for write in writes:
            write.reset()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if foreign:
            raise
        return False  # the write that caused it meets it again alone
    _account(fresh, held, writes)
    return True


def _begin(connection: sqlite3.Connection, give_up: float) -> bool:
    """Return whether the lock had to be waited for."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
        patiently(lambda: connection.execute("BEGIN IMMEDIATE"), give_up)
        return True
    return False


def _left_over(connection: sqlite3.Connection, space: int, writes: Writes) -> Writes:
    """Do the updates among *writes* in one statement; return those that it did not do.

    They may overtake the others: no caller has two writes in one transaction.
    """
    updates: dict[bytes, Write[Any]] = {}
    for write in writes:
        if write.work is update and len(updates) < _MAX_ROWS:
            updates.setdefault(bytes.fromhex(write.values[0].handle), write)
    if len(updates) < 2:
        return writes
    done = update_together(connection, space, [write.values[0] for write in updates.values()])
    for handle in done:
        updates[handle].answer, updates[handle].error = True, None
    finished = {id(updates[handle]) for handle in done}
    return [write for write in writes if id(write) not in finished]


def _inside(connection: sqlite3.Connection, space: int, write: Write[Any]) -> None:
    """Do *write* inside a transaction; raise only if that was rolled back as a whole."""
    write.error = None
    try:
        write.answer = write.work(connection, space, *write.values)
    except sqlite3.Error as error:
        if not connection.in_transaction or _wants_room(error):
            raise
        write.error = store_error("written", error)
    except OWN_ERRORS as error:
        write.error = error


def _alone(
    connection: sqlite3.Connection, space: int, fresh: Freshness, write: Write[Any], give_up: float
) -> bool:
    """Do *write* as a transaction of its own; return whether the connection is still good."""

    def attempt() -> None:
        if write.work is update:  # a single statement, which notes the header itself
            write.answer = write.work(connection, space, *write.values)
            held = fresh.noted()
        else:
            held = _in_transaction(connection, space, fresh, write)
        _account(fresh, held, (write,))

    write.error = None
    try:
        try:
            patiently(attempt, give_up)
        except sqlite3.Error as error:
            if not _wants_room(error):
                raise
            if not give_up:
                raise StoreBusy("the log must be moved first, which is not for an event loop") from error
            # A full disk may still have room for a small change, a logout above all,
            # once the log gives back its own.
            with waiting(connection):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            patiently(attempt, give_up)
    except sqlite3.Error as error:
        write.error = store_error("written", error)
        return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)
    except OWN_ERRORS as error:
        write.error = error
    return True


def _in_transaction(connection: sqlite3.Connection, space: int, fresh: Freshness, write: Write[Any]) -> bytes:
    """Do *write* and commit it; return the header as it was during the transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        held = fresh.held()
        write.answer = write.work(connection, space, *write.values)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return held


def _account(fresh: Freshness, held: bytes, writes: Writes) -> None:
    """Have what is known follow the commit of *writes*; the header was *held* during it."""
    updated: list[SessionRecord] = []
    others: list[str] = []
    for write in writes:
        if write.handles is None:
            return
        if not write.has_changed():
            continue
        if write.work is update:
            updated.append(write.values[0])
        else:
            others.extend(write.handles)
    if updated or others:
        fresh.committed(held, updated, others)


def _wants_room(error: sqlite3.Error) -> bool:
    return primary_code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
