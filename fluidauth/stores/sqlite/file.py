"""The SQLite file itself, as it was opened: whether it is still there, and its connections."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fluidauth.after_fork import renew_in_child
from fluidauth.concurrency import on_asyncio
from fluidauth.errors import StoreError

from .checkpoints import Checkpoints
from .freshness import Freshness
from .locking import LOCK_WAIT, is_busy, store_error, wait_for_nobody, waiting
from .opening import Identity, connect, find_space, identity_of, leave_in_use, prepare, space_in
from .pool import Connections
from .reads import decoded, rows_of
from .wal_index import view_of

CHECK_INTERVAL = 5.0  # seconds between two looks at whether the file was removed or replaced

Journals = tuple[Identity | None, Identity | None]


class SessionFile:
    """A session file as it was opened: which one it is, its namespace, its connections.

    *create* says whether to create the file and its tables if they are missing. Raise
    :class:`ConfigError` if the place is unsafe, read-only or without WAL, and ``StoreError``
    for everything else.
    """

    def __init__(
        self, path: Path, namespace: str, durability: str, timeout: float, pool_size: int, create: bool
    ) -> None:
        self.path = path
        self._namespace = namespace
        self._durability = durability
        self.space: int = prepare(path, namespace, timeout) if create else find_space(path, namespace)
        """The namespace's number in this file."""
        self._path = str(path)
        self._identity = identity_of(self._path)
        real = os.path.realpath(path)  # SQLite follows a link, and has its journals next to the target
        self._log_path, self._index_path = f"{real}-wal", f"{real}-shm"
        self._journals: Journals | None = None
        self.fresh: Freshness = Freshness(self._watch)
        """What was read, and is still as it was."""
        self.readers: Connections = Connections(lambda: self._pooled(read_only=True), pool_size, timeout)
        self.writers: Connections = Connections(self._pooled, 1, timeout)
        self.checkpoints: Checkpoints = Checkpoints(self._connect, self.writers)
        self.check_at: float = time.monotonic() + CHECK_INTERVAL
        """When a read should check again that this is still the file at its path."""
        renew_in_child(self, SessionFile.begin_anew)

    def is_in_place(self) -> bool:
        """Return whether the file at the path, and the log next to it, are still those that were opened.

        After somebody removes the log, this process still writes to it, but nobody else reads that.
        """
        self.check_at = time.monotonic() + CHECK_INTERVAL
        return identity_of(self._path) == self._identity and self._journals_now() == self._journals

    def _journals_now(self) -> Journals:
        """Return the log, and its index, that are next to the file. The first that are there count."""
        found = identity_of(self._log_path), identity_of(self._index_path)
        if self._journals is None or not self._has_connections():
            self._journals = found
        return found

    def select(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of *statement* for the namespace of this file and *values*.

        Raise ``StoreBusy`` if another process has an exclusive lock, and ``StoreError`` for all else.
        """
        pool = self.writers  # a second connection would read again what the first one wrote
        connection = pool.take()
        if connection is None:
            pool = self.readers
            connection = pool.take() or pool.borrow(LOCK_WAIT if on_asyncio() else None)
        try:
            rows = rows_of(connection, statement, (self.space, *values))
        except sqlite3.Error as error:
            if "decode" in str(error):  # text that is not UTF-8 was planted; its MAC will fail
                connection.text_factory = decoded
                pool.give_back(connection)
                return self.select(statement, values)
            if is_busy(error):
                pool.give_back(connection)
            else:
                pool.discard(connection)
            raise store_error("read", error) from error
        except BaseException:
            pool.discard(connection)
            raise
        pool.give_back(connection)
        return rows

    def save_log(self) -> None:
        """Move the content of a removed log into the file, unless there is a new log."""
        with suppress(sqlite3.Error):
            connection = self.writers.take()
            if connection is None:
                return
            try:
                if identity_of(self._path) == self._identity and None in self._journals_now():
                    with waiting(connection):
                        connection.execute("PRAGMA wal_checkpoint(FULL)")
            finally:
                self.writers.give_back(connection)

    def pause(self) -> None:
        """Close everything before a fork."""
        self.checkpoints.close()
        self.writers.pause()
        self.readers.pause()
        self.checkpoints.close()  # one may have begun meanwhile
        self.fresh.stop()

    def resume(self) -> None:
        """Go on after a fork."""
        self.fresh.resume()
        self.writers.resume()
        self.readers.resume()

    def begin_anew(self) -> None:
        """Go on in a forked child."""
        in_use = self.checkpoints.begin_anew() or self.readers.in_use or self.writers.in_use
        in_use = in_use or self.fresh.is_closing
        if in_use:
            leave_in_use(self._identity)
        self.fresh.begin_anew(in_use)
        self.readers.begin_anew(in_use)
        self.writers.begin_anew(in_use)

    def retire(self) -> None:
        """Close all connections. Borrowed ones are closed when they are given back."""
        self.fresh.stop()
        self.readers.retire()
        self.writers.retire()

    @property
    def is_open(self) -> bool:
        """Whether any connection is open."""
        return self._has_connections() or self.checkpoints.is_running

    def _has_connections(self) -> bool:
        return bool(self.writers.opened or self.readers.opened or self.fresh.is_watching)

    def _pooled(self, read_only: bool = False) -> sqlite3.Connection:
        # This one is counted already. SQLite removed the log with the last one before it.
        if self.readers.opened + self.writers.opened == 1 and not self.fresh.is_watching:
            self._journals = None
        self.fresh.start()
        connection = self._connect(read_only)
        if not read_only:
            self.fresh.register(connection)
        return connection

    def _watch(self) -> tuple[memoryview, sqlite3.Connection] | str:
        """Return a view of the header of the log's index, and a connection that keeps it; or why not."""
        connection = self._connect(read_only=True)
        try:
            space_in(connection, self._namespace)  # SQLite opens the log at the first read
            index = identity_of(self._index_path)
            view = view_of(self._index_path, index, self._identity, self)
            if not isinstance(view, str):
                self._journals = identity_of(self._log_path), index
                return view, connection
        except sqlite3.Error as error:
            connection.close()
            raise store_error("opened", error) from error
        except BaseException:
            connection.close()
            raise
        connection.close()
        return view

    def _connect(self, read_only: bool = False) -> sqlite3.Connection:
        try:
            connection = connect(self.path, self._durability, read_only)
            wait_for_nobody(connection)
        except sqlite3.Error as error:
            raise store_error("opened", error) from error
        if identity_of(self._path) != self._identity:
            connection.close()
            raise StoreError(f"{self.path} was replaced: it is not the file that was opened")
        return connection
