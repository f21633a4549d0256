"""Sessions in PostgreSQL: durable, shared by any number of machines.

Each call is one statement on one connection, which commits by itself. The driver is psycopg, with
its own pool. A statement is prepared at its first use. Give ``prepare=False`` for poolers that send
each transaction over another server connection and do not support prepared statements.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from fluidauth.after_fork import ProcessLock, catch_up, renew_in_child
from fluidauth.concurrency import drive
from fluidauth.errors import ConfigError, RecordExists
from fluidauth.records import check_namespace
from fluidauth.secrecy import HoldsSecrets, without_locals
from fluidauth.stores.base import DEFAULT_NAMESPACE, AsyncSessionStore
from fluidauth.stores.delegating import DelegatingStore

from .async_store import AsyncPostgresStore
from .batches import steps_of
from .connection import (
    INIT,
    OUTDATED,
    Attempts,
    Link,
    Settings,
    conninfo_of,
    place_of,
    raise_store_error,
    too_old,
)
from .statements import (
    BEGIN_SCHEMA,
    FIND_VERSION,
    LOCK_SCHEMA,
    MIGRATIONS,
    NOTE_VERSION,
    VERSION,
    Statement,
)

T = TypeVar("T")


class PostgresStore(HoldsSecrets, DelegatingStore):
    """Sessions in the database at *url*, ``postgresql://user:password@host/database``.

    Its tables are in a schema of their own, ``fluidauth``, which :meth:`create_schema` makes. Each
    wait for a connection or an answer ends after *timeout* seconds. This process has at most
    *pool_size* connections, and as many again for each event loop. Raise :class:`ConfigError` for a
    wrong setting or schema, and ``StoreError`` for every failure later.
    """

    @without_locals
    def __init__(
        self,
        url: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout: float = 2.0,
        pool_size: int = 8,
        prepare: bool = True,
    ) -> None:
        if not 0 < timeout <= 60 or pool_size < 1:
            raise ConfigError("timeout must be above 0 and at most 60 seconds, pool_size at least 1")
        self.namespace: str = check_namespace(namespace)
        self.settings: Settings = Settings(conninfo_of(url, timeout), namespace, timeout, pool_size, prepare)
        self._link: type[Link] = type("Link", (Link,), {"limit": timeout})
        self._opening = ProcessLock()
        self._begin()
        renew_in_child(self, PostgresStore._begin)

    def _begin(self) -> None:
        """Begin without connections: two processes that read from one would get each other's sessions."""
        self._pool: _Pool | None = None

    def __repr__(self) -> str:
        if not hasattr(self, "settings"):  # as of RedisStore
            return "<PostgresStore, not built>"
        return f"<PostgresStore {place_of(self.settings.conninfo)} namespace={self.namespace!r}>"

    def _call(self, verb: str, *arguments: Any) -> Any:
        return drive(steps_of(verb, self.namespace, *arguments), self.carry_out, (RecordExists,))

    def async_twin(self) -> AsyncSessionStore:
        return AsyncPostgresStore(self.settings, self)

    # -- the schema --------------------------------------------------------------

    def create_schema(self) -> bool:
        """Create the schema ``fluidauth`` or bring it up to date; return whether anything was to do.

        Several processes may do so at the same time. Raise ``StoreError`` if the database refuses.
        """
        with self._alone() as connection, connection.transaction():
            connection.execute(LOCK_SCHEMA)
            connection.execute(BEGIN_SCHEMA)
            before = _version(connection)
            for version, step in enumerate(MIGRATIONS[before:], before + 1):
                connection.execute(step)
                connection.execute(NOTE_VERSION, (version,))
            return before < VERSION

    def open(self) -> None:
        """Connect, and check that the schema is the one that this code works with."""
        with self._alone() as connection:
            found = _version(connection)
        if found < VERSION:
            raise ConfigError(f"the fluidauth schema has version {found}, not {VERSION}; {INIT}")

    @contextmanager
    def _alone(self) -> Iterator[Link]:
        """Give a connection outside of the pool, because the pool would not say why it gets none."""
        try:
            with self._link.connect(self.settings.conninfo, autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise_store_error(error)

    def close(self) -> None:
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    # -- one call on one connection ------------------------------------------------

    def carry_out(self, statement: Statement[T]) -> T:
        """Return the answer to *statement*; raise ``StoreError`` or ``RecordExists``."""
        catch_up()
        attempts = Attempts(self.settings.timeout)
        while True:
            pool = self._pool or self._opened()
            link = None
            try:
                link = pool.getconn(attempts.left)
                if too_old(link):
                    continue
                answer = _ask(link, statement, self.settings.prepare)
                break
            except (psycopg.Error, PoolTimeout, PoolClosed) as error:
                lost = link is not None and link.closed
                if lost or isinstance(error, OUTDATED):
                    pool.drain()  # the other connections there are as old
                attempts.after(error, lost)
            finally:
                if link is not None:
                    pool.putconn(link)
        proof = statement.proof if attempts.in_doubt and not answer else None
        if proof is not None and self.carry_out(proof):
            return statement.proven  # type: ignore[no-any-return]  # of the type of the answer
        return answer

    def _opened(self) -> _Pool:
        with self._opening:
            if self._pool is None:
                self._pool = _Pool(connection_class=self._link, open=True, **self.settings.pool)
            return self._pool


class _Pool(ConnectionPool[Link]):
    """A pool that does not wait for its threads where these do not exist or do not run.

    That is in a forked child, and since Python 3.12 while the interpreter ends.
    """

    def __init__(self, **settings: Any) -> None:
        self._made_in = os.getpid()
        super().__init__(**settings)

    def __del__(self) -> None:
        if os.getpid() == self._made_in and not sys.is_finalizing():
            super().__del__()


def _version(connection: Link) -> int:
    return int(connection.execute(FIND_VERSION).fetchall()[0][0])


def _ask(link: Link, statement: Statement[T], prepare: bool) -> T:
    text = statement.text
    cursor = link.execute(text, statement.values, prepare=prepare, binary=True)
    has_rows = cursor.pgresult is not None and cursor.pgresult.nfields
    return statement.answer(cursor.rowcount, cursor.fetchall() if has_rows else [])
