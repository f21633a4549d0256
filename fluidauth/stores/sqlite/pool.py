"""A bounded pool of SQLite connections that no forked process inherits."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from fluidauth.errors import StoreBusy

_LOOK_AGAIN = 0.001  # seconds, while others give back what they borrowed


class _Waiter:
    """One thread in the queue for a connection, or for permission to open one."""

    __slots__ = ("connection", "served")

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None
        self.served = threading.Event()


class Connections:
    """Up to *size* connections, opened when needed. The last one used is lent first.

    Borrowing and giving back cost 0.1 µs without contention: both are single, atomic
    list operations. If threads wait, a connection goes to the first of them. So a thread that
    borrows again and again does not block the others.

    No connection is open while the process forks, if Python knows of the fork. SQLite keeps its locks
    in the memory of a process. A child that inherits them takes no locks of its own, so the parent
    could delete the log while the child uses it. If a child still inherits connections, it closes
    them before it opens anything. A child that was forked during a use refuses to work (``file``).
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], size: int, timeout: float) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._retired = False
        self._paused = False
        self._start()

    def _start(self) -> None:
        self._idle: list[sqlite3.Connection] = []
        self._waiters: deque[_Waiter] = deque()
        self.opened: int = 0
        """How many connections there are, with those that are being made."""
        self._lock = threading.Lock()

    def take(self) -> sqlite3.Connection | None:
        """Return an idle connection; None if there is none, or a thread waits for it."""
        if self._waiters or not self._idle:
            return None
        try:
            return self._idle.pop()
        except IndexError:  # another thread was faster
            return None

    def borrow(self, timeout: float | None = None) -> sqlite3.Connection:
        """Return a connection; raise ``StoreBusy`` if none is free within *timeout* or the time limit."""
        return self.take() or self._queue_up(self._timeout if timeout is None else timeout)

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Return a borrowed *connection* to the pool."""
        if self._retired or self._paused:
            self.discard(connection)
            return
        # First put it into the list, then look for waiting threads. These queue up first, then look into the
        # list. So one side sees the other. In any other order a thread could wait for an idle connection.
        self._idle.append(connection)
        if self._waiters:
            self._serve()

    def discard(self, connection: sqlite3.Connection) -> None:
        """Close a borrowed *connection* that failed. Another one will be opened instead."""
        try:
            connection.close()
        finally:
            self._make_room()

    def retire(self) -> None:
        """Close the idle connections now, and the borrowed ones when they come back."""
        self._retired = True
        self._close_idle()

    def pause(self) -> None:
        """Close every connection, borrowed ones as they come back, for up to the time limit."""
        self._paused = True
        give_up = time.monotonic() + self._timeout
        # Repeatedly: a thread that saw no pause yet may put its connection into the list just emptied.
        while self.opened and time.monotonic() < give_up:
            self._close_idle()
            if self.opened:
                time.sleep(_LOOK_AGAIN)

    def resume(self) -> None:
        """Open connections again when they are asked for."""
        self._paused = False
        self._serve()

    @property
    def in_use(self) -> bool:
        """Whether any connection is borrowed, or being opened."""
        return self.opened > len(self._idle)

    def begin_anew(self, in_use: bool) -> None:
        """Close what is left from the parent process, unless the file was *in_use* there."""
        for connection in () if in_use else self._idle:
            close_inherited(connection)
        self._paused = False
        self._start()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self.discard(self._idle.pop())

    def _queue_up(self, timeout: float) -> sqlite3.Connection:
        waiter = _Waiter()
        with self._lock:
            self._waiters.append(waiter)
        try:
            self._serve()
            waiter.served.wait(timeout)
            with self._lock:  # it may have been served between the end of the wait and here
                if not waiter.served.is_set():
                    raise StoreBusy(f"no SQLite connection was free within {timeout} s")
        except BaseException:  # also from a signal handler: what it was given goes to the next
            self._leave(waiter)
            raise
        if waiter.connection is not None:
            return waiter.connection
        try:
            return self._connect()
        except BaseException:
            self._make_room()
            raise

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            is_served = waiter.served.is_set()
            if not is_served:
                self._waiters.remove(waiter)
        if waiter.connection is not None:
            self.give_back(waiter.connection)
        elif is_served:  # it had permission to open one, which is counted already
            self._make_room()

    def _serve(self) -> None:
        """Give what is free to the first that wait: a connection, or permission to open one."""
        with self._lock:
            while self._waiters and not self._paused:
                with suppress(IndexError):  # taken by a thread that saw nobody wait
                    self._waiters[0].connection = self._idle.pop()
                if self._waiters[0].connection is not None:
                    pass
                elif self.opened < self._size:
                    self.opened += 1
                else:
                    return
                self._waiters.popleft().served.set()

    def _make_room(self) -> None:
        with self._lock:
            self.opened -= 1
        self._serve()


def close_inherited(connection: sqlite3.Connection) -> None:
    """Close a connection of the parent in a forked child."""
    if sys.version_info >= (3, 12):  # its view of the log may be old: it must not clean that up
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
    with suppress(sqlite3.Error):
        connection.close()
