"""Writes from event loops share transactions as well, and hold up none."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SQLiteStore
from fluidauth.errors import StoreBusy
from fluidauth.stores.sqlite import writes
from fluidauth.stores.sqlite.group_commit import INSTANT, MAX_BATCH
from fluidauth.stores.sqlite.transactions import carry_out
from fluidauth.stores.sqlite.waiting import Write
from fluidauth.testing.ticker import Ticker
from tests.stores.sqlite.writers import PATIENCE, SEVERAL, another_process, queued, record, writer_held


def test_a_turn_is_one_transaction(store: SQLiteStore, transactions: list[str]) -> None:
    """What the tasks of one turn of the loop write is committed together."""
    twin = store.async_twin()

    async def main() -> list[Any]:
        await asyncio.gather(*(twin.create(record(n)) for n in range(MAX_BATCH + 44)))
        transactions.clear()
        first = await asyncio.gather(*(twin.update(record(n, 2)) for n in range(MAX_BATCH)))
        at_first.extend(transactions)
        more = (twin.update(record(n, 2 if n >= MAX_BATCH else 3)) for n in range(MAX_BATCH + 44))
        return [*first, *await asyncio.gather(*more)]

    at_first: list[str] = []
    assert asyncio.run(main()) == [True] * (2 * MAX_BATCH + 44)
    assert (at_first.count("COMMIT"), at_first.count("WITH")) == (1, 1)
    assert transactions.count("COMMIT") == 3  # the second turn is too long for one
    assert len(store.scan(limit=1_000)) == MAX_BATCH + 44


def test_a_cancelled_write_is_carried_out(store: SQLiteStore) -> None:
    """A client that goes away takes nobody's write with it, not even its own."""
    twin = store.async_twin()
    store.create(record(1))

    async def main() -> None:
        with writer_held(store):
            leaving = asyncio.create_task(twin.delete(record(1).handle))
            staying = asyncio.create_task(twin.create(record(2)))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        await staying

    asyncio.run(main())

    assert [found.handle for found in store.scan()] == [record(2).handle]


def test_loops_and_threads_share_a_store(store: SQLiteStore) -> None:
    """Two event loops and two threads count in one record, and none of it is lost."""
    store.create(record(1))
    twin = store.async_twin()
    turns = 40

    def swap() -> bool:
        found = store.get(record(1).handle)
        assert found is not None
        return store.update(found._replace(version=found.version + 1))

    async def aswap() -> bool:
        found = await twin.get(record(1).handle)
        assert found is not None
        return await twin.update(found._replace(version=found.version + 1))

    async def tasks() -> int:
        return sum([await aswap() for _ in range(turns)])

    with ThreadPoolExecutor(4) as threads:
        loops = [threads.submit(asyncio.run, tasks()) for _ in range(2)]
        plain = [threads.submit(lambda: sum(swap() for _ in range(turns))) for _ in range(2)]
        done = sum(future.result(PATIENCE) for future in (*loops, *plain))

    found = store.get(record(1).handle)
    assert found is not None
    assert found.version == done + 1
    assert done >= turns


def test_close_carries_out_what_waits(store: SQLiteStore, path: Path) -> None:
    """Nothing that was asked for before is left undone."""
    twin = store.async_twin()

    async def main() -> None:
        writes = [asyncio.create_task(twin.create(record(n))) for n in range(SEVERAL)]
        await asyncio.sleep(0)
        await twin.close()
        await asyncio.gather(*writes)

    asyncio.run(main())

    with closing(SQLiteStore(path)) as other:
        assert len(other.scan()) == SEVERAL


def test_close_waits_for_writes_behind_another(store: SQLiteStore, path: Path) -> None:
    """The transaction under way is not the last one that close() waits for."""
    twin = store.async_twin()

    async def main() -> None:
        with writer_held(store):
            first = asyncio.create_task(twin.create(record(1)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            second = asyncio.create_task(twin.create(record(2)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            closing_down = asyncio.create_task(twin.close())
            await asyncio.sleep(0.05)
            assert not closing_down.done()
        await asyncio.gather(first, second, closing_down)

    asyncio.run(main())

    assert store._file is None  # nothing opened it anew
    assert store._commits._executor is None
    with closing(SQLiteStore(path)) as other:
        assert len(other.scan()) == 2


def test_loop_that_ends_early_blocks_no_writer(store: SQLiteStore) -> None:
    """Its write is carried out or not, and others go on."""
    twin = store.async_twin()
    loop = asyncio.new_event_loop()
    pending = loop.create_task(twin.create(record(1)))
    loop.run_until_complete(asyncio.sleep(0))
    with writer_held(store):
        loop.run_until_complete(asyncio.sleep(0))
        pending._log_destroy_pending = False  # type: ignore[attr-defined]  # no noise at its end
        loop.close()

    store.create(record(2))

    assert record(2).handle in [found.handle for found in store.scan()]


def test_another_process_does_not_hold_up_the_loop(store: SQLiteStore, path: Path) -> None:
    """While somebody else writes, a thread waits for the lock and the loop runs on."""
    twin = store.async_twin()
    store.create(record(1))

    async def main(other: sqlite3.Connection) -> tuple[bool, float]:
        await twin.update(record(1, 2))  # now the disk is known to be quick
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(twin.update(record(1, 3)))
        longest = 0.0
        for _ in range(20):
            before = ticker.seconds
            await asyncio.sleep(0.005)
            longest = max(longest, ticker.seconds - before)
        assert not writing.done()
        other.execute("COMMIT")
        return await writing, longest

    with closing(sqlite3.connect(path, isolation_level=None)) as other, Ticker() as ticker:
        done, longest = asyncio.run(main(other))

    assert done
    assert longest < 0.05 + 0.005


def test_later_turns_join_what_waits_for_a_lock(
    store: SQLiteStore, path: Path, transactions: list[str]
) -> None:
    """What the loop asks for during the wait is in the same transaction."""
    twin = store.async_twin()

    async def until(condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up
            await asyncio.sleep(0)

    async def main(other: sqlite3.Connection) -> None:
        tasks = [asyncio.create_task(twin.create(record(1)))]
        await until(lambda: store._commits._led)
        await until(lambda: not queued(store))  # a thread has it now
        before = transactions.count("BEGIN")  # among them one of the loop itself
        await until(lambda: transactions.count("BEGIN") > before + 1)  # the thread waits for the lock
        for number in (2, 3):
            tasks.append(asyncio.create_task(twin.create(record(number))))
            await until(lambda number=number: queued(store) == number - 1)  # type: ignore[misc]
        other.execute("COMMIT")
        await asyncio.gather(*tasks)

    with another_process(path) as other:
        asyncio.run(main(other))

    assert transactions[-5:] == ["BEGIN", "INSERT", "INSERT", "INSERT", "COMMIT"]


@pytest.mark.requirement("53")
def test_sqlite_itself_waits_for_no_lock(store: SQLiteStore) -> None:
    """Its own waiting would hold up the loop. That is so after a checkpoint, too."""
    file = store._opened()
    waits = []
    for work in (file.is_in_place, file.checkpoints._catch_up, file.save_log):
        work()
        connection = file.writers.borrow()
        waits.append(connection.execute("PRAGMA busy_timeout").fetchone())
        file.writers.give_back(connection)

    assert waits == [(0,)] * 3


def test_a_write_that_met_a_lock_is_done_with_the_next(store: SQLiteStore) -> None:
    """What it met the first time is forgotten when it is carried out with others."""
    for number in range(3):
        store.create(record(number))
    again: list[Write[Any]] = [
        Write(writes.update, record(0, 2)),
        Write(writes.insert, record(8)),
    ]
    for write in again:
        write.error = StoreBusy("the first time")
    file = store._opened()
    connection = file.writers.borrow()

    carry_out(connection, file.space, file.fresh, [*again, Write(writes.update, record(1, 2))], 1.0)
    file.writers.give_back(connection)

    assert [write.result() for write in again] == [True, None]


def test_a_write_that_takes_no_time_waits_for_no_turn(store: SQLiteStore) -> None:
    """While the disk answers at once a lone write is done where it is asked for; later, at the turn's end."""
    twin = store.async_twin()
    store.create(record(1))

    async def first_step(version: int, slowest: float) -> Any:
        store._commits._slowest = slowest
        writing = twin.update(record(1, version))
        try:
            waits_for = writing.send(None)
        except StopIteration as done:
            return done.value
        writing.close()
        return waits_for

    assert asyncio.run(first_step(2, slowest=0)) is True
    assert isinstance(asyncio.run(first_step(3, slowest=INSTANT)), asyncio.Future)


@pytest.mark.requirement("53")
def test_a_write_that_meets_a_lock_at_once_waits_in_a_thread(store: SQLiteStore) -> None:
    """The loop goes on meanwhile, and the write is carried out when its turn comes."""
    twin = store.async_twin()
    store.create(record(1))

    async def main() -> bool:
        store._commits._slowest = 0
        with writer_held(store):
            with Ticker() as ticker:
                writing = asyncio.create_task(twin.update(record(1, 2)))
                for _ in range(5):
                    await asyncio.sleep(0)
            assert ticker.seconds < store._timeout / 2
            assert not writing.done()
        return await writing

    assert asyncio.run(main()) is True
    assert [found.version for found in store.scan()] == [2]


def test_a_loop_without_asyncio_writes_inline(store: SQLiteStore) -> None:
    """Under trio nothing could wait for a thread of ours."""
    trio = pytest.importorskip("trio")
    twin = store.async_twin()

    async def main() -> Any:
        await twin.create(record(1))
        return await twin.get(record(1).handle)

    assert trio.run(main) == record(1)
