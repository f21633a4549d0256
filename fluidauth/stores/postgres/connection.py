"""Connections to PostgreSQL: every wait ends, and none is used again in doubt. Also what its errors mean."""

from __future__ import annotations

import asyncio
import select
import time
from typing import Any, NamedTuple, NoReturn

import psycopg
from psycopg import errors, waiting
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from fluidauth.errors import ConfigError, RecordExists, StoreBusy, StoreError
from fluidauth.stores import idle
from fluidauth.stores.polling import Poller

INIT = "create it with `fluidauth sessions init`, or call create_schema()"
_WAYS = ((waiting.WAIT_R, select.POLLIN), (waiting.WAIT_W, select.POLLOUT))
_LOSSES = 3  # a connection that was made just now may be dead as well
_IN_DOUBT = (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN)
# Nothing was done, and another try may work.
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
# Nothing was done, and nothing can be done over these connections, but maybe over new ones. Either their
# server is a standby since a failover, or the schema changed and a plan is not valid any more.
OUTDATED = (errors.ReadOnlySqlTransaction, errors.FeatureNotSupported)


class Settings(NamedTuple):
    """What both sides of a store need to know."""

    conninfo: str
    namespace: str
    timeout: float
    """Seconds."""
    pool_size: int
    prepare: bool

    @property
    def pool(self) -> dict[str, Any]:
        """Return how psycopg's pool is set up."""
        return {
            "conninfo": self.conninfo,
            "kwargs": {"autocommit": True},
            "min_size": 0,
            "max_size": self.pool_size,
            "reconnect_timeout": self.timeout,
        }


def too_old(link: Link | AsyncLink) -> bool:
    """Note that *link* is used; return whether it was unused for too long, so that its pool replaces it.

    It stays open: the pool warns of a connection that comes back closed.
    """
    unused, link.used_at = time.monotonic() - link.used_at, time.monotonic()
    if unused <= idle.MAX_IDLE:
        return False
    link._expire_at = 0.0
    return True


class Link(psycopg.Connection[Any]):
    """A connection whose every wait ends after ``limit`` seconds.

    It closes unless the server has answered in full. Otherwise the next user would get that answer.
    """

    limit: float = 2.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.used_at: float = time.monotonic()

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=timeout or self.limit)
        except BaseException:
            if self.pgconn.transaction_status in _IN_DOUBT:
                self.pgconn.finish()
            raise


class AsyncLink(psycopg.AsyncConnection[Any]):
    """The same on an event loop. A cancelled wait ends the connection, too."""

    limit: float = 2.0
    poller: Poller | None = None
    """Polls for the answer to the current call on this connection; None for no polling."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.used_at: float = time.monotonic()

    @classmethod
    async def connect(cls, *arguments: Any, **options: Any) -> Any:
        """Connect. If the task is cancelled meanwhile, cancel it once more.

        The pool's own tasks catch the first cancellation and go on, so an event loop would never end.
        """
        try:
            return await super().connect(*arguments, **options)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                asyncio.get_running_loop().call_soon(task.cancel)
            raise

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        gen = hastened(gen, self.pgconn.socket, self.poller) if self.poller else gen
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout or self.limit
            )
        except BaseException:
            if self.pgconn.transaction_status in _IN_DOUBT:
                self.pgconn.finish()
            raise


def hastened(gen: Any, descriptor: int, poller: Poller) -> Any:
    """Do what *gen*, one of psycopg's, does, but wait only for what *poller* does not get at once."""
    look = select.poll()
    try:
        state = next(gen)
        while True:
            look.register(descriptor, sum(event for way, event in _WAYS if state & way))
            # To a full buffer nobody polls; what is sent is nearly always taken at once.
            events = poller.poll(lambda: look.poll(0) or None) if state == waiting.WAIT_R else look.poll(0)
            ready = sum(way for way, event in _WAYS if events[0][1] & event) if events else 0
            state = gen.send(ready or (yield state))
    except StopIteration as done:
        return done.value


class Attempts:
    """Whether a failed call is made again, for *timeout* seconds at most."""

    def __init__(self, timeout: float) -> None:
        self._give_up = time.monotonic() + timeout
        self._losses = 0
        self._outdated = 0

    @property
    def in_doubt(self) -> bool:
        """Whether the answer of an attempt was lost, so that it may have been carried out."""
        return self._losses > 0

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.001, self._give_up - time.monotonic())

    def after(self, error: Exception, lost: bool) -> None:
        """Return if the call should be made again after *error*. If not, raise the store's own error."""
        is_late = time.monotonic() >= self._give_up
        self._losses += lost
        self._outdated += isinstance(error, OUTDATED)
        is_over = not (lost or isinstance(error, _AGAIN + OUTDATED))
        if is_late or is_over or max(self._losses, self._outdated) >= _LOSSES:
            raise_store_error(error)


def conninfo_of(url: str, timeout: float) -> str:
    """Return what to connect with. Raise :class:`ConfigError`, which does not show *url*, if it is none."""
    try:
        known = conninfo_to_dict(url)
        # A replica may not know yet that a session has ended.
        known.setdefault("target_session_attrs", "read-write")
        # Otherwise the environment or the database decides: under SQL_ASCII psycopg gives bytes for text.
        known["client_encoding"] = "UTF8"
        known.setdefault("connect_timeout", str(max(2, round(timeout))))
        known.setdefault("tcp_user_timeout", str(round(timeout * 1000)))  # ms
        for name, value in {"idle": "IDLE", "interval": "INTVL", "count": "CNT"}.items():
            known.setdefault(f"keepalives_{name}", str(idle.KEEP_ALIVE[value]))
        return make_conninfo("", **known)
    except psycopg.ProgrammingError:
        raise ConfigError("the PostgreSQL URL is not one; use postgresql://user@host/database") from None


def place_of(conninfo: str) -> str:
    """Return the host and database of *conninfo*, for people: no user, no password."""
    known = conninfo_to_dict(conninfo)
    return f"{known.get('host') or 'localhost'}/{known.get('dbname') or ''}"


def raise_store_error(error: Exception) -> NoReturn:
    """Raise the store's own error for *error*."""
    if isinstance(error, errors.UniqueViolation):
        raise RecordExists from error
    if isinstance(error, PoolTimeout):
        raise StoreBusy(
            "no PostgreSQL connection was free in time; the logger psycopg.pool says why"
        ) from error
    if isinstance(error, _AGAIN):
        raise StoreBusy("PostgreSQL could not serialize this with concurrent transactions") from error
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
        raise StoreError(f"the database has no fluidauth schema; {INIT}") from error
    if isinstance(error, errors.DuplicatePreparedStatement | errors.InvalidSqlStatementName):
        raise StoreError(
            "a pooler in front of PostgreSQL does not support prepared statements: add prepare=no to the URL"
        ) from error
    raise StoreError(f"PostgreSQL cannot do it: {type(error).__name__}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return what the server said, without the details, because these quote values."""
    return next(iter(str(error).splitlines()), "")
