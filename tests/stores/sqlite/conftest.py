"""A SQLite store of the test alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fluidauth import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path)) as store:
        yield store


@pytest.fixture
def transactions(store: SQLiteStore) -> list[str]:
    """What the connection that writes has run so far, without the reads."""
    found: list[str] = []
    pool = store._opened().writers
    connection = pool.borrow()
    connection.set_trace_callback(
        lambda statement: found.append(statement.split()[0]) if not statement.startswith("SELECT") else None
    )
    pool.give_back(connection)
    return found
