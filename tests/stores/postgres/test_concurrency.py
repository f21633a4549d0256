"""Threads, processes and event loops that share a PostgreSQL store."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from fluidauth.errors import StoreBusy
from fluidauth.stores.postgres import PostgresStore
from tests.measures import Ticker
from tests.stores.postgres.support import LIMIT, PATIENCE, record


def test_an_exhausted_pool_is_busy_within_the_time_limit(url: str) -> None:
    with closing(PostgresStore(url, pool_size=1, timeout=0.2)) as store:
        store.create(record(1))
        assert store._pool is not None
        link = store._pool.getconn()
        with pytest.raises(StoreBusy, match="no PostgreSQL connection could be had in time"):
            store.get(record(1).handle)
        store._pool.putconn(link)
        assert store.get(record(1).handle) == record(1)


def test_cancelled_reads_hand_nobody_the_row_of_another(url: str) -> None:
    """A connection whose answer nobody waited for is never used again."""
    store = PostgresStore(url, pool_size=4)
    for number in range(50):
        store.create(record(number))
    twin = store.async_twin()

    async def main() -> int:
        async def read(number: int) -> bool:
            return await twin.get(record(number).handle) == record(number)  # type: ignore[no-any-return]

        wrong = 0
        for number in range(300):
            task = asyncio.create_task(read(number % 50))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            wrong += not await read((number + 1) % 50)
        await twin.close()
        return wrong

    assert asyncio.run(main()) == 0


@pytest.mark.requirement("55")
def test_who_is_cancelled_while_a_connection_goes_back_keeps_none(url: str) -> None:
    """Another task holds the pool's lock at that moment, as it takes a connection or gives one back."""
    twin = PostgresStore(url, pool_size=1, timeout=LIMIT).async_twin()

    async def main() -> list[Any]:
        await twin.create(record(1))
        [pool] = twin._pools.values()  # type: ignore[attr-defined]
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute("LOCK TABLE fluidauth.sessions")
            task = asyncio.create_task(twin.get(record(1).handle))
            while pool.get_stats()["pool_available"]:
                await asyncio.sleep(0)
            async with pool._lock:
                await other.commit()
                while not pool._lock._waiters:
                    await asyncio.sleep(0.001)
                task.cancel()
                given_up = await asyncio.gather(task, return_exceptions=True)
        found = [*given_up, await twin.get(record(1).handle)]
        await twin.close()
        return found

    given_up, found = asyncio.run(main())

    assert isinstance(given_up, asyncio.CancelledError)
    assert found == record(1)


@pytest.mark.requirement("55")
def test_an_event_loop_ends_while_a_connection_goes_back(url: str) -> None:
    """It ends at once, and what it cancels gives its connection back first."""
    twin = PostgresStore(url, pool_size=1, timeout=LIMIT).async_twin()

    async def hold(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.sleep(PATIENCE)

    async def main() -> Any:
        await twin.get(record(1).handle)
        [pool] = twin._pools.values()  # type: ignore[attr-defined]
        links.extend(pool._pool)
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute("LOCK TABLE fluidauth.sessions")
            tasks.append(asyncio.create_task(twin.get(record(1).handle)))
            while pool.get_stats()["pool_available"]:
                await asyncio.sleep(0)
            tasks.append(asyncio.create_task(hold(pool._lock)))
            while not pool._lock.locked():
                await asyncio.sleep(0)
        while not pool._lock._waiters:
            await asyncio.sleep(0.001)
        return pool

    tasks: list[Any] = []
    links: list[Any] = []
    with Ticker() as ticker:
        pool = asyncio.run(main())

    assert ticker.seconds < PATIENCE / 2
    assert [task.cancelled() for task in tasks] == [True, True]
    assert list(pool._pool) == links


def test_transactions_that_must_be_ordered_are_tried_again(url: str) -> None:
    """Where the database is set to serializable, which is not the default, concurrent writes still end."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = conninfo_to_dict(url)["dbname"]
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with closing(PostgresStore(url)) as store, ThreadPoolExecutor(8) as threads:
        store.create(record(1))
        for version in range(2, 12):
            done = [threads.submit(store.update, record(1, version)) for _ in range(8)]
            assert sum(each.result(PATIENCE) for each in done) == 1


@pytest.mark.requirement("55")
def test_a_forked_process_has_connections_of_its_own(url: str) -> None:
    """Parent and children read at once, and the end of a child harms nobody."""
    store = PostgresStore(url)
    store.create(record(1))

    def read() -> None:
        os._exit(0 if store.get(record(1).handle) == record(1) else 1)

    children = [multiprocessing.get_context("fork").Process(target=read) for _ in range(3)]
    for child in children:
        child.start()
    for _ in range(20):
        assert store.get(record(1).handle) == record(1)
    for child in children:
        child.join(PATIENCE)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert store.get(record(1).handle) == record(1)
    store.close()


def test_trio_uses_the_blocking_side(url: str) -> None:
    import trio

    store = PostgresStore(url)
    store.create(record(1))
    assert trio.run(store.async_twin().get, record(1).handle) == record(1)
    store.close()
