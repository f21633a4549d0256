"""The asynchronous side of PostgreSQL: psycopg's own, a pool for each event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from fluidauth.after_fork import renew_in_child
from fluidauth.concurrency import on_asyncio
from fluidauth.errors import RecordExists
from fluidauth.records import SessionRecord
from fluidauth.secrecy import HoldsSecrets
from fluidauth.stores.base import AsyncSessionStore
from fluidauth.stores.polling import Lookout, Turn

from . import statements
from .connection import AsyncLink, Attempts, Settings
from .statements import Call

T = TypeVar("T")
Pool = AsyncConnectionPool[AsyncLink]


class Blocking(Protocol):
    """The synchronous side."""

    def carry_out(self, call: Call[T]) -> T: ...

    def close(self) -> None: ...


class AsyncPostgresStore(HoldsSecrets, AsyncSessionStore):
    """What *blocking* does, to await; under trio, which psycopg does not know, it blocks."""

    def __init__(self, settings: Settings, blocking: Blocking) -> None:
        self.namespace = settings.namespace
        self._settings = settings
        self._blocking = blocking
        self._link: type[AsyncLink] = type("AsyncLink", (AsyncLink,), {"limit": settings.timeout})
        self._begin()
        renew_in_child(self, AsyncPostgresStore._begin)

    def _begin(self) -> None:
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._turns: dict[asyncio.AbstractEventLoop, Turn] = {}
        self._lookouts: defaultdict[str, Lookout] = defaultdict(Lookout)
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, handle: str) -> SessionRecord | None:
        return await self._do(statements.getting(self.namespace, handle))

    async def create(self, record: SessionRecord) -> None:
        if not await self._do(statements.creation(self.namespace, record)):
            raise RecordExists

    async def update(self, record: SessionRecord) -> bool:
        return await self._do(statements.updating(self.namespace, record))

    async def delete(self, handle: str, version: int | None = None) -> bool:
        return await self._do(statements.deletion(self.namespace, handle, version))

    async def clean(self, now: int, limit: int | None = None) -> int:
        return await self._do(statements.cleaning(self.namespace, now, limit))

    async def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        return await self._do(statements.updating_all(self.namespace, records))

    async def touch(self, handle: str, expires_at: int) -> bool:
        return await self._do(statements.touching(self.namespace, handle, expires_at))

    async def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        return await self._do(statements.burial(self.namespace, tombstone, record))

    async def list_for_user(
        self, user_id: str, after: str | None = None, limit: int = 100
    ) -> list[SessionRecord]:
        return await self._do(statements.listing(self.namespace, user_id, after, limit))

    async def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        removed = 0
        while True:
            found, gone = await self._do(statements.revocation(self.namespace, user_id, except_handle))
            removed += gone
            if gone == found:
                return removed

    async def count_by_kid(self) -> dict[str, int]:
        return await self._do(statements.counting(self.namespace))

    async def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return await self._do(statements.scanning(self.namespace, after, limit))

    async def close(self) -> None:
        """Close the connections of this event loop, and those of the synchronous side."""
        if on_asyncio():
            pool = self._pools.pop(asyncio.get_running_loop(), None)
            if pool is not None:
                await pool.close()
            await asyncio.to_thread(self._blocking.close)
        else:
            self._blocking.close()

    async def _do(self, call: Call[T]) -> T:
        if not on_asyncio():
            return self._blocking.carry_out(call)
        attempts = Attempts(self._settings.timeout)
        while True:
            pool = self._pools.get(asyncio.get_running_loop()) or await self._opened()
            link = None
            try:
                link = await pool.getconn(attempts.left)
                link.lookout = self._lookouts[call.statement] if self._turn().is_mine() else None
                answer = await self._ask(link, call)
                break
            except (psycopg.Error, PoolTimeout, PoolClosed) as error:
                lost = link is not None and link.closed
                attempts.after(error, lost)
                if lost:
                    await asyncio.shield(self._begun(pool.drain()))
            finally:
                if link is not None:
                    await self._give_back(pool, link)
        if attempts.in_doubt and not answer and call.proof is not None and await self._do(call.proof):
            return call.proven  # type: ignore[no-any-return]  # of the type of the answer
        return answer

    async def _ask(self, link: AsyncLink, call: Call[T]) -> T:
        statement = call.statement
        cursor = await link.execute(statement, call.values, prepare=self._settings.prepare, binary=True)
        has_rows = cursor.pgresult is not None and cursor.pgresult.nfields
        return call.answer(cursor.rowcount, await cursor.fetchall() if has_rows else [])

    async def _give_back(self, pool: Pool, link: AsyncLink) -> None:
        try:
            await pool.putconn(link)
        except asyncio.CancelledError:  # it waited for the pool's lock, and nobody has the connection
            self._begun(_given_back(pool, link))
            raise

    def _begun(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have *work* done to its end, also if this task is cancelled: a pool never gets over half of it."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def _turn(self) -> Turn:
        loop = asyncio.get_running_loop()
        return self._turns.get(loop) or self._turns.setdefault(loop, Turn())

    async def _opened(self) -> Pool:
        for ended in [loop for loop in self._pools if loop.is_closed()]:
            del self._pools[ended]
            self._turns.pop(ended, None)
        pool: Pool = AsyncConnectionPool(connection_class=self._link, open=False, **self._settings.pool)
        # Another task of this loop may be as far: the first pool is for all.
        pool = self._pools.setdefault(asyncio.get_running_loop(), pool)
        await pool.open()
        return pool


async def _given_back(pool: Pool, link: AsyncLink) -> None:
    """Do what was cancelled halfway once more."""
    try:
        link._pool = pool
        await pool.putconn(link)
    except BaseException:  # the event loop ends, and the pool with it
        link.pgconn.finish()
        raise
