"""How many SELECTs this process runs on SQLite, whichever library asks for them."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any


class Selects:
    """Counts on every connection that is opened while :meth:`watch` is in force, by SQLite's own trace.

    So nothing needs to be known of the library. The trace itself takes time: what is counted is not timed.
    """

    def __init__(self) -> None:
        self.count = 0
        self._counts = False
        self._connections: list[sqlite3.Connection] = []
        self._connect: Any = sqlite3.connect

    def watch(self) -> None:
        """Know of the connections that are opened from here on."""
        sqlite3.connect = sqlite3.dbapi2.connect = self._open  # type: ignore[assignment]

    def leave(self) -> None:
        """End what :meth:`watch` began."""
        sqlite3.connect = sqlite3.dbapi2.connect = self._connect

    def begin(self) -> None:
        """Count from here on."""
        self._counts = True
        for connection in self._connections:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                connection.set_trace_callback(self._see)

    def _open(self, *place: Any, **options: Any) -> sqlite3.Connection:
        # The trace is set by another thread than the one that opens it.
        connection: sqlite3.Connection = self._connect(*place, **options | {"check_same_thread": False})
        self._connections.append(connection)
        if self._counts:
            connection.set_trace_callback(self._see)
        return connection

    def _see(self, statement: str) -> None:
        self.count += statement.lstrip()[:6].upper() == "SELECT"
