"""What a SQLite store knows without asking SQLite, and what is true."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SQLiteStore
from fluidauth.stores import SessionRecord
from fluidauth.stores.sqlite.file import SessionFile
from fluidauth.stores.sqlite.reads import GET, record_in


def selects(store: SQLiteStore, patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each statement that *store* reads by."""
    found: list[str] = []
    select = SessionFile.select

    def noted(file: SessionFile, statement: str, values: tuple[Any, ...]) -> Any:
        if file is store._file:
            found.append(statement)
        return select(file, statement, values)

    patch.setattr(SessionFile, "select", noted)
    return found


def warm(store: SQLiteStore, *records: SessionRecord) -> None:
    """Read each of *records* until it is known."""
    for record in records:
        for _ in range(2):
            store.get_again(record.handle)
        assert knows(store, record)


def knows(store: SQLiteStore, record: SessionRecord) -> bool:
    """Return whether the record under the handle of *record* would be read without SQLite."""
    return store._opened().fresh.find(record.handle)[0] is not None


def truth(path: Path, record: SessionRecord) -> SessionRecord | None:
    """Return what a connection of its own finds under the handle of *record*."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            GET.replace("SELECT ", "SELECT handle, ").replace("namespace = ? AND", ""),
            (bytes.fromhex(record.handle),),
        ).fetchall()
    return record_in(found[0]) if found else None
