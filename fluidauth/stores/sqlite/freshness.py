"""What was read from a session file a moment ago, and is known to be still there as it was.

A record counts to the header of the WAL index (``wal_index``) as it was before the ``SELECT``. As long as
the header is the same, no process has committed anything, and a ``SELECT`` would return the same record.
So a hit needs no system call, and does not let go of the interpreter's lock. A ``SELECT`` does that 13 times
in Python 3.11, an ``UPDATE`` 6 times, and one within a transaction of its own 15 times.

A commit of our own store moves the header, too, and we know what it changed. The other records stay under
four conditions. The header was read while we had the write lock. It is the one that the records count to. A
row was certainly changed. The counter moved by exactly one. Then nobody else has committed, neither before
nor since. The counter alone proves nothing: our refused write moves it by none, and another
process by one meanwhile. One case is left. Recovery sets the counter to zero, so a process would have to die
in the middle of a header, between our commit and our next step. As many commits of others must then follow in
that moment as bring the counter to the very number.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from fluidauth.recent import Recent
from fluidauth.records import SessionRecord

from .pool import close_inherited
from .wal_index import HEADER_LENGTH, follows

MAX_BYTES = 8 * 1024 * 1024  # of records that a file keeps
NOTE = "fluidauth_note_header"
"""The SQL function that notes the header. In a statement that writes, SQLite holds the write lock by then."""
_OVERHEAD = 500  # bytes of a record besides its payload

Records = Recent[bytes, str, SessionRecord]


def size_of(record: SessionRecord) -> int:
    """Return about how many bytes *record* takes in memory."""
    return len(record.payload) + _OVERHEAD


class Freshness:
    """The records of one file that are known to be good.

    *watch* returns a view of the header, and a connection that must stay open as long as the view is used. If
    there is no view, it returns the reason.
    """

    def __init__(self, watch: Callable[[], tuple[memoryview, sqlite3.Connection] | str]) -> None:
        self._watch = watch
        self._begin()

    def _begin(self) -> None:
        self._header = memoryview(b"")
        self._anchor: sqlite3.Connection | None = None
        self._noted = bytearray(HEADER_LENGTH)
        self._records = Records(b"", MAX_BYTES)
        self._is_tried = False
        self.is_closing: bool = False
        """Whether the connection is being closed, so that a child that is forked now may not."""
        self.obstacle: str = ""
        """Why nothing can be known."""
        self.is_committing: bool = False
        """Whether our commit may have moved the header already, and :meth:`committed` is still to come."""
        self._changing = threading.Lock()
        self._watching = threading.RLock()

    @property
    def is_watching(self) -> bool:
        """Whether hits are possible, and a connection is open for them."""
        return self._anchor is not None

    # -- reading -----------------------------------------------------------------

    def find(self, handle: str) -> tuple[SessionRecord | None, Records | None]:
        """Return the record of *handle* as a ``SELECT`` would now, if it is known.

        If not, return also what a record counts to that is selected from now on, for :meth:`keep`.
        """
        records = self._records
        try:
            header = self._header.tobytes()
        except ValueError:  # the view was just given up
            return None, None
        if header == records.label:
            return records.younger.get(handle) or records.older.get(handle), records
        if self.is_committing or records is not self._records:
            return None, None
        records = self._records = records.emptied(header)
        return None, records

    def keep(self, records: Records, record: SessionRecord) -> None:
        """Keep *record*, which was selected after *records* was returned.

        It is not kept if a commit of our own came in between. This waits for no other thread: the caller may
        be a signal handler, which has interrupted that thread.
        """
        if records.label and self._changing.acquire(blocking=False):
            try:
                if self._records is records:
                    records.put(record.handle, record, size_of(record))
            finally:
                self._changing.release()

    # -- writing -----------------------------------------------------------------

    def held(self) -> bytes:
        """Return the header as it is now. A caller that has the write lock knows that it stays."""
        try:
            return self._header.tobytes()
        except ValueError:
            return b""

    def noted(self) -> bytes:
        """Return the header that the last statement with :data:`NOTE` found, if it changed a row."""
        return bytes(self._noted)

    def committed(
        self, held: bytes, updated: Iterable[SessionRecord] = (), others: Iterable[str] = ()
    ) -> None:
        """Keep what was not changed by a commit of this process, which is done.

        *held* is the header while it had the write lock. It has changed a row at least: it made the records
        of *updated*, and it touched, made or removed *others*, which are handles.
        """
        if not self._changing.acquire(blocking=False):
            return  # then the records count to a former header, and are of no more use
        try:
            records, header = self._records, self.held()
            if header and header == held:
                self._distrust()
            if held != records.label or not header or not follows(header, held):
                return
            for record in updated:
                _replace(records, record)
            for handle in others:
                records.drop(handle)
            self._records = records.good_for(header)
        finally:
            self._changing.release()

    def _distrust(self) -> None:
        """Stop, because a commit has left the header as it was: it belongs to another index.

        Somebody removed the file of the index while a connection was open. SQLite goes on with that one.
        """
        self.stop()
        self.obstacle = "the index of the log was replaced while it was in use"

    def register(self, connection: sqlite3.Connection) -> None:
        """Give *connection*, which writes, the function :data:`NOTE`.

        It is a method written in C. So no signal handler can interrupt it, and raise into SQLite. Its view is
        not given up with ours: *connection* itself is open whenever it is called.
        """
        with self._watching:
            noted, view = self._noted, memoryview(self._header)
        if not view:
            noted, view = bytearray(HEADER_LENGTH), memoryview(bytes(HEADER_LENGTH))
        connection.create_function(NOTE, 0, partial(noted.__setitem__, slice(0, HEADER_LENGTH), view))

    # -- the view ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch, unless that was tried before. Raise ``StoreError`` if that fails for now."""
        with self._watching:
            if not self._is_tried:
                found = self._watch()
                self._is_tried = True
                if isinstance(found, str):
                    self.obstacle = found
                else:
                    self._header, self._anchor = found

    def stop(self) -> None:
        """Forget everything, and close the connection. Nothing is found any more."""
        with self._watching:
            self._is_tried = True
            self._header.release()  # a thread that reads it is done, or will find it so
            self._header = memoryview(b"")
            self._records = Records(b"", MAX_BYTES)
            if self._anchor is not None:
                self.is_closing = True
                with suppress(sqlite3.Error):
                    self._anchor.close()
                self._anchor = None
                self.is_closing = False

    def resume(self) -> None:
        """Let the next connection start again."""
        self._is_tried = False

    def begin_anew(self, in_use: bool) -> None:
        """Forget in a child what belongs to the parent. Close its connection unless the file was *in_use*."""
        anchor = self._anchor
        self._begin()
        if anchor is not None and not in_use:
            close_inherited(anchor)


def _replace(records: Records, record: SessionRecord) -> None:
    """Have *record* take the place of what is known under its handle, as ``writes`` updates a row."""
    former = records.younger.get(record.handle) or records.older.get(record.handle)
    if former is not None:
        stored = record._replace(
            created_at=former.created_at, expires_at=max(former.expires_at, record.expires_at)
        )
        records.drop(record.handle)
        records.put(record.handle, stored, size_of(stored))
