"""The SQLite file itself: who may read it, its journal, its tables.

The file is made with mode 0600 before SQLite opens it, by ``O_CREAT | O_EXCL``: the
journal files take their mode from it, whatever the umask. An existing database is
never opened by other means, since closing such a descriptor drops all of the
process's locks on it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

from ..errors import ConfigError, StoreError

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS fluidauth_namespaces (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS fluidauth_sessions (
        id INTEGER PRIMARY KEY,
        handle BLOB NOT NULL UNIQUE,
        namespace INTEGER NOT NULL REFERENCES fluidauth_namespaces (id),
        user_id TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        kid TEXT NOT NULL,
        payload BLOB NOT NULL
    ) STRICT""",
    """CREATE INDEX IF NOT EXISTS fluidauth_sessions_by_expiry
        ON fluidauth_sessions (namespace, expires_at)""",
    """CREATE INDEX IF NOT EXISTS fluidauth_sessions_by_user
        ON fluidauth_sessions (namespace, user_id) WHERE user_id IS NOT NULL""",
)
_ADD_NAMESPACE = "INSERT OR IGNORE INTO fluidauth_namespaces (name) VALUES (?)"
_FIND_NAMESPACE = "SELECT id FROM fluidauth_namespaces WHERE name = ?"

_SYNCHRONOUS = {"full": "PRAGMA synchronous = FULL", "normal": "PRAGMA synchronous = NORMAL"}
_RETRY = 0.01  # seconds


def prepare(path: Path, namespace: str, timeout: float) -> int:
    """Make the database at *path* ready; return the number of *namespace* in it.

    Raise :class:`ConfigError` if the place is unsafe, read-only or without WAL.
    """
    _create_privately(path)
    try:
        with closing(connect(path, timeout, "full")) as connection:
            _switch_to_wal(connection, path, timeout)
            connection.execute("BEGIN IMMEDIATE")  # also proves that the file can be written
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(_ADD_NAMESPACE, (namespace,))
            connection.execute("COMMIT")
            number: int = connection.execute(_FIND_NAMESPACE, (namespace,)).fetchone()[0]
            return number
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            raise ConfigError(f"{path} cannot be written; check its owner and mode") from error
        raise StoreError(f"{path} cannot be opened as a session database: {error}") from error


def connect(path: Path, timeout: float, durability: str, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode, for use by one thread at a time."""
    # mode=rw: a file that was removed must not come back empty.
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(_SYNCHRONOUS[durability])
        connection.execute("PRAGMA trusted_schema = OFF")  # a planted trigger calls nothing
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create_privately(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"the folder {folder} does not exist; create it, or choose another path")
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigError(f"anybody may replace files in {folder}; take write permission from others")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            logging.getLogger("fluidauth").warning(
                "other users may open %s; sessions should be private: chmod 600", path
            )
    except OSError as error:
        raise ConfigError(f"{path} cannot be created: {error.strerror}") from error


def _switch_to_wal(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Turn on write-ahead logging; SQLite's own waiting does not cover this switch."""
    give_up = time.monotonic() + timeout
    while True:
        try:
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_RETRY)
            continue
        if journal != "wal":
            raise ConfigError(
                f"the file system of {path} does not grant write-ahead logging (got {journal!r}); "
                "use a local disk"
            )
        return
