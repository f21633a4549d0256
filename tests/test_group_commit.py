"""Writes that come together: one transaction, each with its own outcome."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SessionRecord, SQLiteStore, StoreError
from fluidauth.errors import RecordExists, StoreBusy
from fluidauth.stores.base import AsyncSessionStore
from fluidauth.stores.sqlite import checkpoints, writes
from fluidauth.stores.sqlite.group_commit import INSTANT, MAX_BATCH, GroupCommit
from fluidauth.stores.sqlite.transactions import carry_out
from fluidauth.stores.sqlite.waiting import Write
from fluidauth.testing import BEGINNING, make_record

from .measures import Ticker

PATIENCE = 30  # seconds
SEVERAL = 12


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


def record(number: int, version: int = 1, **columns: Any) -> SessionRecord:
    return make_record(f"row {number}", version=version, **columns)


@contextmanager
def writer_held(store: SQLiteStore) -> Iterator[None]:
    """Keep the connection that writes busy, so that writes queue up."""
    pool = store._opened().writers
    connection = pool.borrow()
    yield
    pool.give_back(connection)


def queued(store: SQLiteStore) -> int:
    return len(store._commits._queue)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's doing; nothing else tells of it."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def together(store: SQLiteStore, *calls: Callable[[], Any]) -> list[Any]:
    """Make *calls* in threads so that they share a transaction; return answers or errors."""
    with ThreadPoolExecutor(len(calls) + 1) as threads:
        with writer_held(store):
            leader = threads.submit(store.touch, record(0).handle, 0)
            wait_until(lambda: store._commits._led)
            futures = []
            for number, call in enumerate(calls):
                futures.append(threads.submit(call))
                wait_until(lambda number=number: queued(store) == number + 1)  # type: ignore[misc]
        leader.result(PATIENCE)
        return [future.exception(PATIENCE) or future.result() for future in futures]


# -- threads -----------------------------------------------------------------------------


def test_writes_that_wait_share_a_transaction(store: SQLiteStore, transactions: list[str]) -> None:
    """What queues up behind a write is committed together, updates in one statement."""
    for number in range(SEVERAL):
        store.create(record(number))
    transactions.clear()

    answers = together(store, *(lambda n=n: store.update(record(n, 2)) for n in range(SEVERAL)))

    assert answers == [True] * SEVERAL
    assert [word for word in transactions if word != "PRAGMA"] == ["UPDATE", "BEGIN", "WITH", "COMMIT"]
    assert {found.version for found in store.scan()} == {2}


def test_each_write_has_its_own_outcome(store: SQLiteStore) -> None:
    """In one transaction one fails, one loses its swap, and the others are kept."""
    for number in range(5):
        store.create(record(number))
    broken = record(1, 2, payload=None)  # refused by the table

    answers = together(
        store,
        lambda: store.update(record(0, 2)),
        lambda: store.update(broken),
        lambda: store.update(record(2, 7)),
        lambda: store.create(record(3)),
        lambda: store.create(record(9)),
        lambda: store.delete(record(4).handle),
        lambda: store.replace(record(2, 2, user_id=None), record(0)),
        lambda: store.replace(record(2, 2, user_id=None), record(8)),
        lambda: store.update(record(3, 2, expires_at=BEGINNING + 5_000)),
    )

    assert answers[0] is True
    assert isinstance(answers[1], StoreError)
    assert answers[2] is False
    assert isinstance(answers[3], RecordExists)
    assert answers[4] is None
    assert answers[5] is True
    assert isinstance(answers[6], RecordExists)
    assert answers[7] is True
    assert answers[8] is True
    kept = {found.handle: found for found in store.scan()}
    assert kept.keys() == {record(n).handle for n in (0, 1, 2, 3, 8, 9)}
    assert [kept[record(n).handle].version for n in (0, 1, 2, 3)] == [2, 1, 2, 2]
    assert kept[record(3).handle].expires_at == BEGINNING + 5_000
    assert kept[record(2).handle].user_id is None


def test_of_two_swaps_of_one_record_one_is_done(store: SQLiteStore) -> None:
    """Also when both are in the same transaction."""
    store.create(record(1))
    store.create(record(2))

    swaps = [lambda n=n: store.update(record(1, 2, payload=b"%d" % n)) for n in range(SEVERAL)]
    answers = together(store, *swaps, lambda: store.update(record(2, 2)))

    found = store.get(record(1).handle)
    assert answers.count(True) == 2
    assert answers[-1] is True
    assert found is not None
    assert found.payload == b"%d" % answers.index(True)


def test_a_broken_transaction_is_tried_one_by_one(store: SQLiteStore) -> None:
    """An error that undoes the whole transaction costs only the write that causes it."""
    for number in range(4):
        store.create(record(number))

    def undo_all(connection: sqlite3.Connection, space: int) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("as after a failed write to the disk")

    answers = together(
        store,
        lambda: store.update(record(0, 2)),
        lambda: store.update(record(1, 2)),
        lambda: store._commits.run(Write(undo_all)),
        lambda: store.update(record(2, 2, expires_at=9_000)),
    )

    assert answers[:2] == [True, True]
    assert isinstance(answers[2], StoreError)
    assert answers[3] is True
    assert [found.version for found in map(store.get, (record(n).handle for n in range(4))) if found] == [
        2,
        2,
        2,
        1,
    ]


def test_a_value_that_no_column_takes_fails_alone(store: SQLiteStore) -> None:
    """Also where Python refuses it before SQLite sees it."""
    for number in range(4):
        store.create(record(number))

    answers = together(
        store,
        lambda: store.update(record(0, 2)),
        lambda: store.update(record(1, 2, expires_at=2**70)),
        lambda: store.create(record(8, created_at=2**70)),
        lambda: store.update(record(2, 2)),
    )

    assert [type(answer) for answer in answers] == [bool, OverflowError, OverflowError, bool]
    assert store.update(record(3, 2))
    assert {found.version for found in map(store.get, (record(n).handle for n in (0, 2, 3))) if found} == {2}


def test_an_interrupted_follower_blocks_nobody() -> None:
    """A signal that ends the wait of a queued thread: the others go on without it."""
    begun, go = threading.Event(), threading.Event()

    def carry_out(writes: Any, may_wait: bool) -> None:
        begun.set()
        assert go.wait(PATIENCE)
        for write in writes:
            write.answer = "done"

    def interrupted(self: Any, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    group = GroupCommit(carry_out)
    with ThreadPoolExecutor(3) as threads, pytest.MonkeyPatch.context() as patch:
        first = threads.submit(group.run, Write(print))
        assert begun.wait(PATIENCE)
        patch.setattr("fluidauth.stores.sqlite.waiting.WaitingThread.wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            group.run(Write(print))
        patch.undo()
        last = threads.submit(group.run, Write(print))
        go.set()

        assert [future.result(PATIENCE) for future in (first, last)] == ["done", "done"]


def test_an_interrupted_transaction_leaves_no_false_success(store: SQLiteStore) -> None:
    """What was undone with it is not acknowledged."""
    store.create(record(0))

    def interrupt(connection: sqlite3.Connection, space: int) -> None:
        raise KeyboardInterrupt

    answers = together(store, lambda: store.create(record(1)), lambda: store._commits.run(Write(interrupt)))
    store.create(record(2))

    assert sorted(type(answer).__name__ for answer in answers) == ["KeyboardInterrupt", "StoreError"]
    assert {found.handle for found in store.scan()} == {record(0).handle, record(2).handle}


def test_who_writes_alone_leads(store: SQLiteStore, transactions: list[str]) -> None:
    """What comes while one update is under way is one transaction, and not one after the other."""
    begun, go = threading.Event(), threading.Event()

    class Slow(int):
        def __sub__(self, other: int) -> int:
            begun.set()
            assert go.wait(PATIENCE)
            return int(self) - other

    for number in range(3):
        store.create(record(number))
    transactions.clear()

    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(store.update, record(0, Slow(2)))]
        assert begun.wait(PATIENCE)
        answers += [threads.submit(store.update, record(number, 2)) for number in (1, 2)]
        wait_until(lambda: queued(store) == 2)
        go.set()

        assert [answer.result(PATIENCE) for answer in answers] == [True] * 3
    assert [word for word in transactions if word != "PRAGMA"] == ["UPDATE", "BEGIN", "WITH", "COMMIT"]


def test_an_interrupted_update_keeps_nobody_from_writing(store: SQLiteStore) -> None:
    """Ctrl-C amid an update that nobody waits for: the next one has the lead and a connection."""

    class Interrupting(int):
        def __sub__(self, other: int) -> int:
            raise KeyboardInterrupt

    store.create(record(0))

    with pytest.raises(KeyboardInterrupt):
        store.update(record(0, Interrupting(2)))

    assert store.update(record(0, 2))


def test_an_update_that_cannot_be_done_is_an_error(store: SQLiteStore) -> None:
    """Alone as well as among others; the next one is done."""
    store.create(record(0))

    with pytest.raises(StoreError):
        store.update(record(0, 2, payload=None))

    assert store.update(record(0, 2))


def test_an_interrupted_leader_leaves_no_false_success() -> None:
    """Ctrl-C in the thread that leads: the others get an error, and the queue goes on."""
    begun, go = threading.Event(), threading.Event()
    calls: list[int] = []

    def carry_out(writes: Any, may_wait: bool) -> None:
        calls.append(len(writes))
        if len(calls) == 1:
            begun.set()
            assert go.wait(PATIENCE)
        if len(calls) == 2:
            raise KeyboardInterrupt
        for write in writes:
            write.answer = "done"

    group = GroupCommit(carry_out)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(group.run, Write(print))
        assert begun.wait(PATIENCE)
        others = [threads.submit(group.run, Write(print)) for _ in range(2)]
        wait_until(lambda: len(group._queue) == 2)
        go.set()
        outcomes = [type(other.exception(PATIENCE)) for other in others]

    assert first.result() == "done"
    assert sorted(kind.__name__ for kind in outcomes) == ["KeyboardInterrupt", "StoreError"]
    assert group.run(Write(print)) == "done"


# -- event loops ---------------------------------------------------------------------------


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


def test_close_waits_for_who_queued_behind_another(store: SQLiteStore, path: Path) -> None:
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


def test_a_loop_that_ends_early_blocks_nobody(store: SQLiteStore) -> None:
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

    carry_out(connection, file.space, [*again, Write(writes.update, record(1, 2))], 1.0)
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


# -- processes, checkpoints, durability ------------------------------------------------------


def _write_in_child(twin: AsyncSessionStore, results: Any) -> None:
    asyncio.run(_write_some(twin, 100))
    results.put(os.getpid())


async def _write_some(twin: AsyncSessionStore, start: int) -> None:
    await asyncio.gather(*(twin.create(record(start + n)) for n in range(SEVERAL)))


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_worker_has_a_writer_of_its_own(store: SQLiteStore) -> None:
    """The parent's writer thread is not in the child; both write on, while a third one never stops."""
    twin = store.async_twin()
    asyncio.run(_write_some(twin, 0))  # the thread exists
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    stop = threading.Event()
    numbers = itertools.count(1_000)

    def write_on() -> None:
        while not stop.is_set():
            store.create(record(next(numbers)))

    busy = threading.Thread(target=write_on)
    busy.start()
    try:
        for _ in range(3):
            child = context.Process(target=_write_in_child, args=(twin, results), daemon=True)
            child.start()
            assert results.get(timeout=PATIENCE) == child.pid
            child.join()
            for number in range(SEVERAL):
                assert store.delete(record(100 + number).handle)
    finally:
        stop.set()
        busy.join()
    asyncio.run(_write_some(twin, 200))

    assert len(store.scan(limit=100_000)) == 2 * SEVERAL + next(numbers) - 1_000


def _write_after_the_parent(store: SQLiteStore, closed: Any, results: Any) -> None:
    store.create(record(2))
    assert closed.wait(PATIENCE)
    store.create(record(3))
    results.send(store.delete(record(1).handle))
    os._exit(0)  # without closing, as a worker that is killed


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_parent_that_goes_takes_nothing_from_its_child(store: SQLiteStore, path: Path) -> None:
    """SQLite deletes the log with what it takes for the last connection; the child's is not in it."""
    store.create(record(1))
    store.get(record(1).handle)
    context = multiprocessing.get_context("fork")
    closed = context.Event()
    here, there = context.Pipe()

    child = context.Process(target=_write_after_the_parent, args=(store, closed, there), daemon=True)
    child.start()
    store.close()
    closed.set()
    assert here.poll(PATIENCE)
    deleted = here.recv()
    child.join()

    assert deleted
    with closing(SQLiteStore(path)) as other:
        assert {found.handle for found in other.scan()} == {record(2).handle, record(3).handle}


def _try_to_write(store: SQLiteStore, results: Any) -> None:
    try:
        store.create(record(2))
    except StoreError as error:
        results.put(str(error))


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_amid_a_transaction_refuses_to_work(path: Path) -> None:
    """What it would write could be lost without a word."""
    with closing(SQLiteStore(path, timeout=0.2)) as store:
        store.create(record(1))
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        with writer_held(store):  # by the very thread that forks, so that waiting is in vain
            child = context.Process(target=_try_to_write, args=(store, results), daemon=True)
            child.start()
        told = results.get(timeout=PATIENCE)
        child.join()

        assert "forked while the session database was in use" in told
        store.create(record(3))


@pytest.mark.parametrize("interrupted", ["readers", "writers"])
def test_a_wait_that_a_signal_ends_keeps_no_connection(store: SQLiteStore, interrupted: str) -> None:
    """What was meant for it goes to the next."""
    store.create(record(1))
    pool = getattr(store._opened(), interrupted)
    held = [pool.borrow() for _ in range(pool._size)]

    def give_back_and_raise(self: Any, timeout: float | None = None) -> bool:
        pool.give_back(held.pop())
        raise TimeoutError("a time limit of the application")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Event, "wait", give_back_and_raise)
        with pytest.raises(TimeoutError):
            pool.borrow()

    again = pool.borrow(timeout=1.0)
    for connection in (again, *held):
        pool.give_back(connection)


def test_statistics_do_not_mislead_the_joint_update(store: SQLiteStore, path: Path) -> None:
    """ANALYZE on a young table must not make it scan an old one."""
    store.create(record(1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ANALYZE")
    with closing(sqlite3.connect(path)) as connection:
        statement = writes._UPDATE_PAYLOADS.format(rows=", ".join([writes._ROW] * 2))
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * 16).fetchall()

    assert any("SEARCH fluidauth_sessions USING INDEX" in row[3] for row in plan)
    assert not any("SCAN fluidauth_sessions" in row[3] for row in plan)


def test_the_log_does_not_grow_for_ever(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints run in a thread of their own, never in the commit of a request."""
    monkeypatch.setattr(checkpoints, "ROWS", 50)
    monkeypatch.setattr(checkpoints, "_LONG_LOG", 100)
    store.create(record(1))

    for version in range(2, 2_000):
        assert store.update(record(1, version, payload=os.urandom(3_000)))
    file = store._opened()
    file.checkpoints.close()

    size = Path(f"{path}-wal").stat().st_size
    connection = file.writers.borrow()
    automatic = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    file.writers.give_back(connection)

    assert size < 400 * 4096
    assert automatic == (0,)  # SQLite's own checkpoints, in the commit that fills the log, are off


def test_a_touch_does_not_wait_for_the_disk(store: SQLiteStore, transactions: list[str]) -> None:
    """It may be lost in a power cut; what comes with it or after it may not."""
    store.create(record(1))
    transactions.clear()
    levels: list[int] = []

    def level(connection: sqlite3.Connection, space: int) -> None:
        levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])

    assert store.touch(record(1).handle, BEGINNING + 3_000)
    store._commits.run(Write(level, durable=False))
    store._commits.run(Write(level))
    together(
        store,
        lambda: store.touch(record(1).handle, BEGINNING + 4_000),
        lambda: store._commits.run(Write(level)),
    )

    assert levels == [1, 2, 2]
    assert transactions[:3] == ["PRAGMA", "UPDATE", "PRAGMA"]
