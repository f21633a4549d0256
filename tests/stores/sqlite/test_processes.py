"""Processes that share a file: forks, and waits that a signal ends."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SQLiteStore, StoreError, after_fork
from fluidauth.stores.base import AsyncSessionStore
from fluidauth.stores.sqlite import opening
from fluidauth.stores.sqlite.locking import LOCK_WAIT
from fluidauth.testing.forks import begin_child
from tests.stores.sqlite.writers import PATIENCE, SEVERAL, record, writer_held


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
    results.send(store.delete(record(1).handle))  # and ends without closing, as a worker that is killed


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("heard", [True, False], ids=["by Python", "in C"])
def test_a_parent_that_goes_takes_nothing_from_its_child(store: SQLiteStore, path: Path, heard: bool) -> None:
    """SQLite deletes the log with what it takes for the last connection; the child's is not in it."""
    store.create(record(1))
    store.get(record(1).handle)
    context = multiprocessing.get_context("fork")
    closed = context.Event()
    here, there = context.Pipe()

    child = begin_child(_write_after_the_parent, store, closed, there, heard=heard)
    store.close()
    closed.set()
    assert here.poll(PATIENCE)
    deleted = here.recv()
    child.join()

    assert deleted
    with closing(SQLiteStore(path)) as other:
        assert {found.handle for found in other.scan()} == {record(2).handle, record(3).handle}


def _try(use: Any, results: Any) -> None:
    try:
        use()
        results.send("it worked")
    except StoreError as error:
        results.send(str(error))


def _told_by_child(use: Any, heard: bool) -> str:
    here, there = multiprocessing.get_context("fork").Pipe()
    child = begin_child(_try, use, there, heard=heard)
    assert here.poll(PATIENCE)
    told = here.recv()
    child.join()
    return str(told)


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("heard", [True, False], ids=["by Python", "in C"])
@pytest.mark.parametrize("use", ["write", "read", "write by another store", "read by a new store"])
def test_child_forked_within_a_transaction_refuses_to_work(path: Path, heard: bool, use: str) -> None:
    """What it would write could be lost without a word, and what it reads be old."""
    with closing(SQLiteStore(path, timeout=0.2)) as store, closing(SQLiteStore(path, timeout=0.2)) as other:
        store.create(record(1))
        other.create(record(2))
        uses: dict[str, Any] = {
            "write": lambda: store.create(record(4)),
            "read": lambda: store.get(record(1).handle),
            "write by another store": lambda: other.create(record(4)),
            "read by a new store": lambda: SQLiteStore(path).get(record(1).handle),
        }
        with writer_held(store):  # by the very thread that forks, so that waiting is in vain
            told = _told_by_child(uses[use], heard)

        assert "forked while the session database was in use" in told
        store.create(record(3))


@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("heard", [True, False], ids=["by Python", "in C"])
def test_child_forked_while_the_file_is_opened_refuses_to_work(path: Path, heard: bool) -> None:
    """The connection that is open for that moment is in no pool."""
    SQLiteStore(path).open()
    store = SQLiteStore(path, timeout=0.2)
    told: list[str] = []
    found = opening.space_in

    def forks(*values: Any) -> int:
        patch.undo()  # else the child would come here as well
        told.append(_told_by_child(lambda: store.create(record(1)), heard))
        return found(*values)

    with pytest.MonkeyPatch.context() as patch, closing(store):
        patch.setattr(opening, "space_in", forks)
        store.open()

        assert ["forked while the session database was in use" in each for each in told] == [True]
        store.create(record(1))


@pytest.mark.requirement("55")
def test_stores_that_are_built_while_a_fork_begins_are_in_nobodys_way(path: Path) -> None:
    """By other threads, at any step: a hook that fails there leaves stores paused, and locked, for ever."""
    with closing(SQLiteStore(path)) as store:
        store.create(record(1))
        built: list[SQLiteStore] = []
        sys.setprofile(lambda *_: built.append(SQLiteStore(path)))
        try:
            after_fork._pause_all()
            after_fork._resume_all()
        finally:
            sys.setprofile(None)

        assert built
        assert store.delete(record(1).handle)


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


def test_first_starts_wait_for_each_other(path: Path) -> None:
    """While one worker makes a new file ready, it has it to itself; another that starts is no error."""
    started: list[int] = []

    def start() -> None:
        with closing(SQLiteStore(path, timeout=PATIENCE)) as store:
            store.open()
            started.append(store.clean(0))

    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as first:
        first.execute("BEGIN EXCLUSIVE")
        second = threading.Thread(target=start)
        second.start()
        second.join(10 * LOCK_WAIT)  # long enough to be refused
        waits = second.is_alive()
        first.execute("COMMIT")
    second.join(PATIENCE)

    assert waits
    assert started == [0]
