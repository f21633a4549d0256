"""How a SQLite file is opened: created for its owner only, in WAL, with its tables.

The file is created with mode 0600 before SQLite opens it, by ``O_CREAT | O_EXCL``. The
journal files take their mode from it, whatever the umask. An existing database is opened
only through SQLite, because closing another descriptor would drop all of the process's
locks on it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

from fluidauth.errors import ConfigError, StoreError

from .locking import LOCK_WAIT, give_up_after, is_busy, patiently, primary_code, store_error

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

Identity = tuple[int, int]

_left_in_use: set[object] = set()
"""The files that the parent was using while this process was forked.

SQLite remembers its locks once for all connections of a process to a file. If a connection is left that
nobody can close, later connections to the file take no lock, in any store.
"""


def leave_in_use(identity: object) -> None:
    """Refuse to open the file of this *identity*, or path, in this process and in its children."""
    _left_in_use.add(identity)


def prepare(path: Path, namespace: str, timeout: float) -> int:
    """Prepare the database at *path*; return the number of *namespace* in it.

    Raise :class:`ConfigError` if the place is unsafe, read-only or without WAL.
    """
    _create_privately(path)
    try:
        # If several workers start at once, one switches to WAL, and locks the others out until then.
        with closing(patiently(lambda: connect(path, "full"), give_up_after(timeout))) as connection:
            _switch_to_wal(connection, path, timeout)
            # This also proves that the file can be written.
            patiently(lambda: connection.execute("BEGIN IMMEDIATE"), give_up_after(timeout))
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(_ADD_NAMESPACE, (namespace,))
            connection.execute("COMMIT")
            return space_in(connection, namespace)
    except sqlite3.Error as error:
        if primary_code(error) == sqlite3.SQLITE_READONLY:
            raise ConfigError(f"{path} cannot be written; check its owner and mode") from error
        raise StoreError(f"{path} cannot be opened as a session database: {error}") from error


def connect(path: Path, durability: str, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode, for use by one thread at a time."""
    if _left_in_use and identity_of(str(path)) in _left_in_use:
        raise StoreError("this process was forked while the session database was in use; restart it")
    # mode=rw: a file that was removed must not come back empty.
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=LOCK_WAIT,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(_SYNCHRONOUS[durability])
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see ``checkpoints``
        # In KiB: enough for the inner pages of a million sessions. SQLite's own 2 MB is not enough.
        connection.execute("PRAGMA cache_size = -4096")
        connection.execute("PRAGMA trusted_schema = OFF")  # a planted trigger calls nothing
        # Free pages keep nothing that was deleted, or not yet encrypted. Most builds do so anyway.
        connection.execute("PRAGMA secure_delete = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def advice(path: Path) -> list[str]:
    """Return what should be changed about the database at *path* and its folder."""
    found = [
        f"{name} can be opened by others (mode {name.stat().st_mode & 0o777:04o}): chmod 600 {name}"
        for name in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm")))
        if name.exists() and name.stat().st_mode & 0o077
    ]
    if path.parent.stat().st_mode & 0o022:
        found.append(
            f"others may write in {path.parent}: keep the database in a folder of its own, chmod 700"
        )
    with closing(connect(path, "full", read_only=True)) as connection:
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    if journal != "wal":
        found.append(
            f"the journal is {journal!r}, not 'wal', so readers wait for writers: find out what changed it"
        )
    return found


def find_space(path: Path, namespace: str) -> int:
    """Return the number of *namespace* in a file that was ready before."""
    try:
        with closing(connect(path, "full")) as connection:
            return space_in(connection, namespace)
    except sqlite3.Error as error:
        raise store_error("opened", error) from error
    except TypeError:  # no such namespace
        raise StoreError(f"{path} was replaced: it is not the session database that was opened") from None


def space_in(connection: sqlite3.Connection, namespace: str) -> int:
    """Return the number of *namespace* in the file of *connection*."""
    number: int = connection.execute(_FIND_NAMESPACE, (namespace,)).fetchone()[0]
    return number


def identity_of(path: str) -> Identity | None:
    try:
        found = os.stat(path)  # Path.stat() takes a tenth longer, after each write
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create_privately(path: Path) -> None:
    folder = path.parent
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        raise ConfigError(f"the folder {folder} does not exist; create it, or choose another path") from None
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be used: {error.strerror}") from error
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigError(f"anybody may replace files in {folder}; remove write permission for others")
    if mode & stat.S_IWOTH and os.name == "posix":
        _check_owners(path)
    _check_kind(path)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            logging.getLogger("fluidauth").warning(
                "other users may open %s; sessions should be private: chmod 600", path
            )
    except OSError as error:
        raise ConfigError(f"{path} cannot be created: {error.strerror}") from error


def _check_kind(path: Path) -> None:
    """Raise if something other than a file is at *path*."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError(f"{path} is a link to nothing; remove it, or create its target") from None
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be used: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise ConfigError(f"{path} is a folder; name a file in it, as {path / 'fluidauth.db'}")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path} is no regular file; choose another path")


def _check_owners(path: Path) -> None:
    """Raise if anybody may have put a database of their own there, or its journal, or a link to it."""
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        try:
            owner = os.lstat(each).st_uid
        except FileNotFoundError:
            continue
        if owner not in (0, os.geteuid()):
            raise ConfigError(
                f"{each} belongs to user {owner}, in a folder where anybody may put files: use a folder of "
                "your own, chmod 700"
            )


def _switch_to_wal(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Turn on write-ahead logging; SQLite's own waiting does not cover this switch."""
    give_up = time.monotonic() + timeout
    while True:
        try:
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(_RETRY)
            continue
        if journal != "wal":
            raise ConfigError(
                f"the file system of {path} does not support write-ahead logging (got {journal!r}); "
                "use a local disk"
            )
        return
