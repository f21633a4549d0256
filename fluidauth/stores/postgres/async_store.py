"""The asynchronous side of PostgreSQL: psycopg's own, a pool for each event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from fluidauth.after_fork import catch_up, renew_in_child
from fluidauth.concurrency import adrive, on_asyncio
from fluidauth.errors import RecordExists
from fluidauth.secrecy import HoldsSecrets
from fluidauth.stores.delegating import AsyncDelegatingStore
from fluidauth.stores.polling import Poller, PollingGate

from .batches import steps_of
from .connection import OUTDATED, AsyncLink, Attempts, Settings, too_old
from .statements import Statement

T = TypeVar("T")
Pool = AsyncConnectionPool[AsyncLink]


class Blocking(Protocol):
    """The synchronous side."""

    def carry_out(self, statement: Statement[T]) -> T: ...

    def close(self) -> None: ...


class AsyncPostgresStore(HoldsSecrets, AsyncDelegatingStore):
    """What *blocking* does, to await. Under trio, which psycopg does not support, it blocks."""

    def __init__(self, settings: Settings, blocking: Blocking) -> None:
        self.namespace: str = settings.namespace
        self._settings = settings
        self._blocking = blocking
        self._link: type[AsyncLink] = type("AsyncLink", (AsyncLink,), {"limit": settings.timeout})
        self._begin()
        renew_in_child(self, AsyncPostgresStore._begin)

    def _begin(self) -> None:
        """Begin without connections: the loop of a parent process would read our answers from its own."""
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._gates: dict[asyncio.AbstractEventLoop, PollingGate] = {}
        self._pollers: defaultdict[str, Poller] = defaultdict(Poller)
        self._under_way: set[asyncio.Task[None]] = set()

    async def _call(self, verb: str, *arguments: Any) -> Any:
        return await adrive(steps_of(verb, self.namespace, *arguments), self._do, (RecordExists,))

    async def close(self) -> None:
        """Close the connections of this event loop, and those of the synchronous side."""
        catch_up()
        if on_asyncio():
            pool = self._pools.pop(asyncio.get_running_loop(), None)
            if pool is not None:
                await pool.close()
            await asyncio.to_thread(self._blocking.close)
        else:
            self._blocking.close()

    async def _do(self, statement: Statement[T]) -> T:
        if not on_asyncio():
            return self._blocking.carry_out(statement)
        catch_up()
        attempts = Attempts(self._settings.timeout)
        while True:
            pool = self._pools.get(asyncio.get_running_loop()) or await self._opened()
            link = None
            try:
                link = await pool.getconn(attempts.left)
                if too_old(link):
                    continue
                link.poller = self._pollers[statement.text] if self._gate().is_open() else None
                answer = await self._ask(link, statement)
                break
            except (psycopg.Error, PoolTimeout, PoolClosed) as error:
                lost = link is not None and link.closed
                if lost or isinstance(error, OUTDATED):
                    await asyncio.shield(self._begun(pool.drain()))
                attempts.after(error, lost)
            finally:
                if link is not None:
                    await self._give_back(pool, link)
        proof = statement.proof if attempts.in_doubt and not answer else None
        if proof is not None and await self._do(proof):
            return statement.proven  # type: ignore[no-any-return]  # of the type of the answer
        return answer

    async def _ask(self, link: AsyncLink, statement: Statement[T]) -> T:
        text = statement.text
        cursor = await link.execute(text, statement.values, prepare=self._settings.prepare, binary=True)
        has_rows = cursor.pgresult is not None and cursor.pgresult.nfields
        return statement.answer(cursor.rowcount, await cursor.fetchall() if has_rows else [])

    async def _give_back(self, pool: Pool, link: AsyncLink) -> None:
        try:
            await pool.putconn(link)
        except asyncio.CancelledError:  # while it waited for the pool's lock: nobody has the connection
            self._begun(_given_back(pool, link))
            raise

    def _begun(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Carry out *work* to its end, even if this task is cancelled: half of it would damage a pool."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def _gate(self) -> PollingGate:
        loop = asyncio.get_running_loop()
        return self._gates.get(loop) or self._gates.setdefault(loop, PollingGate())

    async def _opened(self) -> Pool:
        for ended in [loop for loop in self._pools if loop.is_closed()]:
            del self._pools[ended]
            self._gates.pop(ended, None)
        pool: Pool = AsyncConnectionPool(connection_class=self._link, open=False, **self._settings.pool)
        # Another task of this loop may have made one, too: the first pool is for all.
        pool = self._pools.setdefault(asyncio.get_running_loop(), pool)
        await pool.open()
        return pool


async def _given_back(pool: Pool, link: AsyncLink) -> None:
    """Do once more what was cancelled halfway."""
    try:
        link._pool = pool
        await pool.putconn(link)
    except BaseException:  # the event loop ends, and the pool with it
        link.pgconn.finish()
        raise
