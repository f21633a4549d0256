"""Threads, processes and event loops that share a PostgreSQL store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.postgres.statements import replace
from fluidauth.testing.ticker import Ticker
from harness.servers.redis import until
from tests.stores.postgres.support import LIMIT, PATIENCE, record


@pytest.fixture(params=["blocking", "asynchronous"])
def call(request: pytest.FixtureRequest, url: str) -> Iterator[Callable[..., Any]]:
    """Make one call of a store, on either side."""
    with closing(PostgresStore(url, timeout=LIMIT)) as store, asyncio.Runner() as runner:
        if request.param == "blocking":
            yield lambda name, *values: getattr(store, name)(*values)
            return
        twin = store.async_twin()
        yield lambda name, *values: runner.run(getattr(twin, name)(*values))
        runner.run(twin.close())


@pytest.mark.requirement("23")
def test_a_renewal_under_way_escapes_no_revocation(call: Callable[..., Any], url: str) -> None:
    """It is seen under its old id, which then is nobody's, and not yet under its new one."""
    call("create", record(1))
    renewal = next(replace("fluidauth", record(1, 2, user_id=None), record(2, user_id="user-1")))

    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as watch:
        other.execute(renewal.text, renewal.values)

        def is_waited_for() -> bool:
            waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return bool(watch.execute(f"SELECT 1 {waiting}").fetchall())

        with ThreadPoolExecutor(1) as apart:
            revoked = apart.submit(call, "delete_for_user", "user-1")
            until(is_waited_for)
            other.commit()
            assert revoked.result() == 1

    assert call("get", record(2).handle) is None


@pytest.mark.requirement("55")
def test_cancelled_call_gives_its_connection_back(url: str) -> None:
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
def test_event_loop_that_ends_gives_connections_back(url: str) -> None:
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
