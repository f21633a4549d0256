"""Sessions in one SQLite file: durable, shared by the processes of one machine.

With write-ahead logging, reads go on during a write. One connection of this process writes, and commits
together what is asked for at once (see ``group_commit``). Others read. A rowid table with a 32-byte handle
takes 489 bytes for a session, against 653 for hex text and WITHOUT ROWID, and writes 17 % faster.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from fluidauth.after_fork import ProcessLock, catch_up, pause_for_fork, renew_in_child
from fluidauth.concurrency import on_asyncio
from fluidauth.errors import ConfigError, StoreBusy, StoreError
from fluidauth.records import SessionRecord, check_namespace
from fluidauth.stores.base import DEFAULT_NAMESPACE, AsyncSessionStore
from fluidauth.stores.delegating import DelegatingStore

from . import transactions, writes
from .async_store import AsyncSQLiteStore
from .file import SessionFile
from .group_commit import GroupCommit
from .opening import advice, identity_of, leave_in_use
from .place import file_at
from .reads import CHECK, COUNT, GET, LIST, SCAN, found, record_in
from .waiting import Join, nobody
from .writes import Writes

T = TypeVar("T")

_logger = logging.getLogger("fluidauth")


class SQLiteStore(DelegatingStore):
    """Sessions in the file *path* (or its ``sqlite:`` URL), created with mode 0600 if absent.

    With ``durability="full"``, what was acknowledged is on disk and survives a power cut. With
    ``"normal"``, a power cut may lose the last moments, but a killed process loses nothing. Each
    wait for a lock or a connection ends after *timeout* seconds. At most *pool_size* connections
    read. Raise :class:`ConfigError` for a place that cannot be used, and ``StoreError`` for every
    failure later.
    """

    inline = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Literal["full", "normal"] = "full",
        namespace: str = DEFAULT_NAMESPACE,
        timeout: float = 2.0,
        pool_size: int = 8,
    ) -> None:
        if durability not in ("full", "normal"):
            raise ConfigError(f"durability={durability!r} must be 'full' or 'normal'")
        if not 0 < timeout <= 60 or pool_size < 1:
            raise ConfigError("timeout must be above 0 and at most 60 seconds, pool_size at least 1")
        self.path: Path = file_at(path)
        self.namespace: str = check_namespace(namespace)
        self._durability = durability
        self._timeout = timeout
        self._pool_size = pool_size
        self._was_open = False
        self._file: SessionFile | None = None
        self._commits = GroupCommit(self._carry_out)
        self._opening = ProcessLock()
        self._holds_opening = False  # whether the thread that forks does
        self._is_opening = False
        pause_for_fork(self, SQLiteStore._pause, SQLiteStore._resume)
        renew_in_child(self, SQLiteStore._begin_anew)

    def _pause(self) -> None:
        # A thread that opens the file would leave the child a connection that no pool closes. The wait has a
        # limit, because a signal handler may fork during the opening, and then waits for its own thread.
        self._holds_opening = self._opening.acquire(timeout=self._timeout)
        if self._file is not None:
            self._file.pause()

    def _resume(self) -> None:
        # A store that was built since the others were paused comes here as well, and holds nothing.
        if self._file is not None:
            self._file.resume()
        if self._holds_opening:
            self._holds_opening = False
            self._opening.release()

    def _begin_anew(self) -> None:
        if self._is_opening:  # in the parent, by a connection that is in no pool yet
            self._is_opening = False
            leave_in_use(identity_of(str(self.path)) or str(self.path))

    def __repr__(self) -> str:
        return f"<SQLiteStore {str(self.path)!r} namespace={self.namespace!r}>"

    def get(self, handle: str) -> SessionRecord | None:
        return found(handle, self._read(GET, (bytes.fromhex(handle),)))

    def get_again(self, handle: str) -> SessionRecord | None:
        catch_up()
        file = self._file
        if file is None or time.monotonic() >= file.check_at:
            return self.get(handle)
        record, known = file.fresh.find(handle)
        if record is not None:
            return record
        try:
            record = found(handle, file.select(GET, (bytes.fromhex(handle),)))
        except StoreBusy:  # another try, if it may wait
            return self.get(handle)
        if known is not None and record is not None:
            file.fresh.keep(known, record)
        return record

    def update(self, record: SessionRecord) -> bool:
        commits = self._commits
        if commits.takes_lead():
            try:
                done = self._update_at_once(record)
            finally:
                commits.pass_on()
            if done is not None:
                return done
        return commits.run(writes.updating(record))

    def _call(self, verb: str, *arguments: Any) -> Any:
        return self._commits.run(writes.BY_VERB[verb](*arguments))

    def get_many(self, handles: Sequence[str]) -> list[SessionRecord | None]:
        return [self.get(handle) for handle in handles]

    def list_for_user(self, user_id: str, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return [record_in(row) for row in self._read(LIST, (user_id, bytes.fromhex(after or ""), limit))]

    def count_by_kid(self) -> dict[str, int]:
        return dict(self._read(COUNT, ()))

    def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return [record_in(row) for row in self._read(SCAN, (bytes.fromhex(after or ""), limit))]

    def damage(self) -> list[str]:
        """Return what ``PRAGMA quick_check`` finds. It reads the whole file."""
        return [row[0] for row in self._read(CHECK, ()) if row[0] != "ok"]

    def advice(self) -> list[str]:
        try:
            return advice(self.path)
        except (OSError, sqlite3.Error) as error:
            return [f"{self.path} cannot be checked: {error}"]

    def why_select(self) -> str:
        """Return why each read asks SQLite, or nothing if what is unchanged is answered from memory."""
        self._read(GET, (b"",))
        return self._opened().fresh.obstacle

    def create_schema(self) -> bool:
        is_new = not self.path.exists()
        self.open()
        return is_new

    def open(self) -> None:
        """Create the file and its tables if absent; raise for a place that cannot be used."""
        self._opened()

    def close(self) -> None:
        """Carry out what has queued up, and close the file."""
        self._commits.close()
        with self._opening:
            file, self._file = self._file, None
        if file is not None:
            file.checkpoints.close()
            file.retire()

    def async_twin(self) -> AsyncSessionStore:
        return AsyncSQLiteStore(self, self._commits)

    # -- the file ----------------------------------------------------------------

    def _opened(self) -> SessionFile:
        with self._opening:
            if self._file is None:
                self._is_opening = True
                settings = self.namespace, self._durability, self._timeout, self._pool_size
                try:
                    # One that was there is not created again: it is lost, or will come back soon.
                    self._file = SessionFile(self.path, *settings, create=not self._was_open)
                finally:
                    self._is_opening = False
                self._was_open = True
            return self._file

    def _left(self, file: SessionFile) -> None:
        """Let go of *file*, which is not the one at its path any more."""
        with self._opening:
            if self._file is not file:  # another thread saw it, too, and may have opened the new one
                return
            self._file = None
        _logger.warning("%s, or its log, was removed or replaced; opening what is there now", self.path)
        file.save_log()
        file.retire()

    # -- one call on one connection ----------------------------------------------

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._read_once(statement, values)
        except StoreBusy:
            if on_asyncio():  # nothing may hold up an event loop
                raise
        return self._until_free(lambda: self._read_once(statement, values))

    def _until_free(self, call: Callable[[], T]) -> T:
        """Call again, within the time limit, while another process holds an exclusive lock on the file."""
        give_up = time.monotonic() + self._timeout
        while True:
            try:
                return call()
            except StoreBusy:
                if time.monotonic() >= give_up:
                    raise

    def _read_once(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        catch_up()
        file = self._file
        file = file or self._opened()
        if time.monotonic() >= file.check_at and not file.is_in_place():
            self._left(file)
            file = self._opened()
        return file.select(statement, values)

    def _update_at_once(self, record: SessionRecord) -> bool | None:
        """Do as :meth:`_carry_out` for what most requests write; None if anything prevented it.

        One statement that commits by itself needs no :class:`Write`. Making one, carrying it out
        and asking for its result takes as long as the statement. What failed was not written.
        """
        file = self._file
        connection = file.writers.take() if file else None
        if file is None or connection is None:
            return None
        fresh = file.fresh
        try:
            fresh.is_committing = True
            try:
                done = writes.update(connection, file.space, record)
            except writes.OWN_ERRORS:  # the queue meets it again, and knows what to do
                file.writers.give_back(connection)
                return None
            if done:
                fresh.committed(fresh.noted(), (record,))
        except BaseException:
            file.writers.discard(connection)
            raise
        finally:
            fresh.is_committing = False
        file.writers.give_back(connection)
        self._written(file, done)
        return done

    def _carry_out(self, batch: Writes, may_wait: bool, join: Join = nobody) -> None:
        """Carry out *batch* on the one connection that writes; each write gets its outcome."""
        try:
            file = self._file or (self._until_free(self._opened) if may_wait else self._opened())
            self._carry_out_on(file, batch, self._timeout if may_wait else None, join)
        except (StoreError, ConfigError, sqlite3.Error) as error:
            for write in batch:
                kind = StoreBusy if isinstance(error, StoreBusy) else StoreError
                write.error = kind(f"session database cannot be written: {error}")
                write.error.__cause__ = error

    def _carry_out_on(self, file: SessionFile, batch: Writes, timeout: float | None, join: Join) -> None:
        connection = file.writers.borrow() if timeout is not None else file.writers.take()
        if connection is None:
            raise StoreBusy("the connection that writes is in use")
        before = connection.total_changes
        try:
            relaxed = self._durability == "full" and not any(write.durable for write in batch)
            is_sound = transactions.carry_out(
                connection, file.space, file.fresh, batch, timeout, relaxed, join
            )
        except BaseException:
            file.writers.discard(connection)
            raise
        changes = connection.total_changes - before
        settle = file.writers.give_back if is_sound else file.writers.discard
        settle(connection)
        self._written(file, changes)

    def _written(self, file: SessionFile, changes: int) -> None:
        """Note that so many rows changed in *file*; raise ``StoreError`` if nobody will find them."""
        if not file.is_in_place():  # nobody will read it
            self._left(file)
            raise StoreError(f"{self.path}, or its log, was removed or replaced")
        file.checkpoints.count(changes)
