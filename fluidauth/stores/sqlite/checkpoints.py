"""Move SQLite's write-ahead log into the file outside of requests.

SQLite itself does it in the commit that fills the log, and that commit then takes 10 ms and more.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress

from fluidauth.errors import StoreError

from .locking import waiting
from .pool import Connections

ROWS = 1_000  # changed between two checkpoints of a process; SQLite itself takes a thousand pages
_LONG_LOG = 1_000  # pages
_SHORT_REST = 200  # pages
_PASSES = 5
_HUGE_LOG = 50_000  # pages, 200 MB; better a stall than a full disk


class Checkpoints:
    """Begins a checkpoint, in a thread that ends with it, after every thousand changed rows."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], writers: Connections) -> None:
        self._connect = connect
        self._writers = writers
        self._pending = 0
        self._thread: threading.Thread | None = None

    def count(self, rows: int) -> None:
        """Note that so many *rows* were changed; called by one thread at a time."""
        self._pending += rows
        if self._pending < ROWS or self.is_running:
            return
        self._pending = 0
        self._thread = threading.Thread(target=self._run, name="fluidauth-checkpoint", daemon=True)
        with suppress(RuntimeError):  # at the interpreter's end no thread can be had
            self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether a checkpoint is under way."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Wait for a checkpoint under way."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def begin_anew(self) -> bool:
        """Begin without a thread in a child; return whether one was working in the parent."""
        thread, self._thread = self._thread, None
        return thread is not None and thread.is_alive()  # it seems so if Python does not know of the fork

    def _run(self) -> None:
        # A failure only leaves the log longer. The next write meets its cause.
        with suppress(sqlite3.Error, StoreError), closing(self._connect()) as connection:
            length = 0
            for _ in range(_PASSES):
                before = length
                _, length, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if length <= _LONG_LOG:
                    return
                if length - before <= _SHORT_REST:  # what came during this pass is moved quickly
                    self._catch_up()
                    return
            if length > _HUGE_LOG:
                self._catch_up()

    def _catch_up(self) -> None:
        """Move the little that was written meanwhile, so that the log can begin again."""
        connection = self._writers.borrow()  # nothing of this process is written now
        try:
            with waiting(connection):
                connection.execute("PRAGMA wal_checkpoint(RESTART)")
        finally:
            self._writers.give_back(connection)
