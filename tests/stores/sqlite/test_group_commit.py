"""Writes that come together: one transaction, each with its own outcome."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SQLiteStore, StoreError
from fluidauth.errors import RecordExists
from fluidauth.stores.sqlite import group_commit
from fluidauth.stores.sqlite.group_commit import GroupCommit
from fluidauth.stores.sqlite.waiting import Write
from fluidauth.testing import BEGINNING
from tests.stores.sqlite.writers import (
    PATIENCE,
    SEVERAL,
    another_process,
    queued,
    record,
    together,
    wait_until,
)


def test_writes_that_wait_share_a_transaction(store: SQLiteStore, transactions: list[str]) -> None:
    """What queues up behind a write is committed together, updates in one statement."""
    for number in range(SEVERAL):
        store.create(record(number))
    transactions.clear()

    answers = together(store, *(lambda n=n: store.update(record(n, 2)) for n in range(SEVERAL)))

    assert answers == [True] * SEVERAL
    assert [word for word in transactions if word != "PRAGMA"] == [
        *("BEGIN", "UPDATE", "COMMIT"),
        *("BEGIN", "WITH", "COMMIT"),
    ]
    assert {found.version for found in store.scan()} == {2}


def test_what_comes_during_the_wait_for_a_lock_joins(
    store: SQLiteStore, path: Path, transactions: list[str]
) -> None:
    """It does not wait for the lock a second time, behind the other process."""
    with ThreadPoolExecutor(SEVERAL) as threads:
        with another_process(path) as other:
            answers = [threads.submit(store.create, record(0))]
            wait_until(lambda: transactions.count("BEGIN") > 1)  # it waits for the lock
            answers += [threads.submit(store.create, record(number)) for number in range(1, SEVERAL)]
            wait_until(lambda: queued(store) == SEVERAL - 1)
            other.execute("COMMIT")
        assert [answer.result(PATIENCE) for answer in answers] == [None] * SEVERAL

    assert transactions[-SEVERAL - 2 :] == ["BEGIN", *["INSERT"] * SEVERAL, "COMMIT"]


def test_no_more_join_than_the_limit(store: SQLiteStore, path: Path, transactions: list[str]) -> None:
    """A long queue is several transactions, so that others get their turn."""
    store._commits._max_batch = 2
    with ThreadPoolExecutor(3) as threads:
        with another_process(path) as other:
            answers = [threads.submit(store.create, record(0))]
            wait_until(lambda: transactions.count("BEGIN") > 1)  # it waits for the lock
            answers += [threads.submit(store.create, record(number)) for number in (1, 2)]
            wait_until(lambda: queued(store) == 2)
            other.execute("COMMIT")
        assert [answer.result(PATIENCE) for answer in answers] == [None] * 3

    first, second = ["BEGIN", "INSERT", "INSERT", "COMMIT"], ["BEGIN", "INSERT", "COMMIT"]
    assert transactions[-7:] == [*first, *second]


def test_the_lock_is_free_for_a_moment_after_a_slow_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """If another process wants it, that gets in before the queue of this one is carried out."""
    clock = FakeTime()
    monkeypatch.setattr(group_commit, "time", clock)

    def pauses(seconds: float, contended: bool) -> list[float]:
        """Return how long the second of two writes slept, if each takes so many *seconds*."""
        begun, go = threading.Event(), threading.Event()

        def carry_out(writes: Any, may_wait: bool, join: Any) -> None:
            if contended:
                join()
            begun.set()
            assert go.wait(PATIENCE)
            clock.now += seconds
            for write in writes:
                write.answer = "done"

        group = GroupCommit(carry_out)
        clock.slept = []
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(group.run, Write(print))
            assert begun.wait(PATIENCE)
            second = threads.submit(group.run, Write(print))
            wait_until(lambda: len(group._queue) == 1)
            go.set()
            assert [first.result(PATIENCE), second.result(PATIENCE)] == ["done", "done"]
        return clock.slept

    assert pauses(0.008, contended=True) == pytest.approx([0.001])
    assert pauses(0.003, contended=True) == pytest.approx([0.003 / 4])
    assert pauses(0.001, contended=True) == []
    assert pauses(0.008, contended=False) == []


class FakeTime:
    """What the queue uses of the module ``time``. Nobody really sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


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


def test_swap_of_two_at_once_is_done_once(store: SQLiteStore) -> None:
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


def test_interrupted_follower_blocks_no_writer() -> None:
    """A signal that ends the wait of a queued thread: the others go on without it."""
    begun, go = threading.Event(), threading.Event()

    def carry_out(writes: Any, may_wait: bool, join: Any) -> None:
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


def test_lone_writer_runs_inline(store: SQLiteStore, transactions: list[str]) -> None:
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


def test_interrupted_update_keeps_no_connection(store: SQLiteStore) -> None:
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

    def carry_out(writes: Any, may_wait: bool, join: Any) -> None:
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
