"""What was read a moment ago is answered without SQLite, and is never older than what SQLite would say."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fluidauth import SQLiteStore, StoreError
from fluidauth.records import END_OF_TIME
from fluidauth.stores import SessionRecord
from fluidauth.stores.sqlite import freshness, wal_index
from fluidauth.stores.sqlite.reads import GET
from fluidauth.stores.sqlite.waiting import Write
from fluidauth.testing.forks import begin_child
from tests.stores.sqlite.knowing import knows, selects, truth, warm
from tests.stores.sqlite.writers import PATIENCE, record, together

ONE, TWO = record(1), record(2)
LATER = ONE.expires_at + 500


@pytest.fixture
def other(path: Path, store: SQLiteStore) -> Iterator[SQLiteStore]:
    """Another store over the same file, whose commits are foreign to the first one."""
    for each in (ONE, TWO):
        store.create(each)
    with closing(SQLiteStore(path)) as other:
        yield other


WRITES: dict[str, Callable[[SQLiteStore], Any]] = {
    "update": lambda store: store.update(record(1, 2)),
    "update with another expiry": lambda store: store.update(record(1, 2, expires_at=LATER)),
    "update with another user": lambda store: store.update(record(1, 2, user_id="another")),
    "touch": lambda store: store.touch(ONE.handle, LATER),
    "delete": lambda store: store.delete(ONE.handle),
    "replace": lambda store: store.replace(record(1, 2), record(3)),
    "clean": lambda store: store.clean(ONE.expires_at + 1),
    "delete_for_user": lambda store: store.delete_for_user(ONE.user_id or ""),
    "update_many": lambda store: store.update_many([record(1, 2), record(2, 2)]),
    "replace_many": lambda store: store.replace_many([(record(1, 2), record(3))]),
    "delete_many": lambda store: store.delete_many([(ONE.handle, None)]),
    "clean everything": lambda store: store.clean(END_OF_TIME),
    "create": lambda store: store.create(record(3)),
    "create_many": lambda store: store.create_many([record(3), record(1)]),
    "a refused update": lambda store: store.update(record(1, 7)),
    "a refused deletion": lambda store: store.delete(ONE.handle, 7),
}


# -- hits ------------------------------------------------------------------------------


@pytest.mark.requirement("72")
def test_record_read_again_is_not_selected(other: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(other, ONE, TWO)
    asked = selects(other, monkeypatch)

    assert [other.get_again(ONE.handle), other.get_again(TWO.handle)] == [ONE, TWO]
    assert not asked


@pytest.mark.requirement("72")
def test_record_read_once_in_a_while_is_not_kept(other: SQLiteStore) -> None:
    """Most sessions of a large site are such: to keep those costs more than it saves."""
    for _ in range(4):
        assert other.get(ONE.handle) == ONE

    assert not knows(other, ONE)


@pytest.mark.requirement("72")
def test_absent_record_is_selected_each_time(other: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fills the memory with ids that do not exist."""
    asked = selects(other, monkeypatch)

    assert [other.get_again(record(9).handle) for _ in range(4)] == [None] * 4
    assert len(asked) == 4


@pytest.mark.requirement("72")
@pytest.mark.parametrize("write", WRITES)
def test_commit_of_another_is_seen_by_the_next_read(
    store: SQLiteStore, other: SQLiteStore, path: Path, write: str
) -> None:
    warm(other, ONE, TWO)

    WRITES[write](store)

    assert [other.get_again(each.handle) for each in (ONE, TWO)] == [truth(path, each) for each in (ONE, TWO)]


@pytest.mark.requirement("72")
@pytest.mark.parametrize("write", WRITES)
def test_own_commit_is_seen_by_the_next_read(other: SQLiteStore, path: Path, write: str) -> None:
    warm(other, ONE, TWO)

    WRITES[write](other)

    assert [other.get_again(each.handle) for each in (ONE, TWO)] == [truth(path, each) for each in (ONE, TWO)]


@pytest.mark.requirement("72")
@pytest.mark.parametrize("write", sorted(WRITES.keys() - {"clean", "clean everything", "delete_for_user"}))
def test_own_commit_leaves_the_other_records(other: SQLiteStore, write: str) -> None:
    """Only SQLite knows which rows a cleaning or the removal of a user's sessions concerns."""
    warm(other, ONE, TWO)

    WRITES[write](other)

    assert knows(other, TWO) or write == "update_many"  # which changes both


@pytest.mark.requirement("72")
def test_own_update_is_known_at_once(other: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(other, ONE)
    other.touch(ONE.handle, LATER)
    warm(other, ONE)
    asked = selects(other, monkeypatch)

    assert other.update(record(1, 2, created_at=5))

    assert other.get_again(ONE.handle) == truth(path, ONE) == record(1, 2, expires_at=LATER)
    assert not asked


@pytest.mark.requirement("72")
def test_own_commits_that_share_a_transaction_leave_the_other_records(other: SQLiteStore, path: Path) -> None:
    other.create(record(0))
    warm(other, ONE, TWO)

    together(other, lambda: other.update(record(1, 2)), lambda: other.create(record(5)))

    assert knows(other, TWO)
    assert other.get_again(ONE.handle) == truth(path, ONE) == record(1, 2)


# -- the order of things ---------------------------------------------------------------


@pytest.mark.requirement("72")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_foreign_commit_during_a_select_is_seen(
    store: SQLiteStore, other: SQLiteStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The header that vouches for a row is read before it."""
    other.get_again(ONE.handle)
    file = other._opened()
    select = file.select
    versions = iter(range(2, 10))

    def interrupted(statement: str, values: tuple[Any, ...]) -> Any:
        version = next(versions)
        if moment == "before":
            assert store.update(record(1, version))
        found = select(statement, values)
        if moment == "after":
            assert store.update(record(1, version))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(file, "select", interrupted)
        for _ in range(3):
            other.get_again(ONE.handle)

    assert other.get_again(ONE.handle) == record(1, 4)


@pytest.mark.requirement("72")
def test_own_commit_during_a_select_is_seen(other: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader is a thread that got its row before another one changed it, and keeps it only then."""
    other.get_again(TWO.handle)  # opens the file
    file = other._opened()
    select = file.select

    def interrupted(statement: str, values: tuple[Any, ...]) -> Any:
        found = select(statement, values)
        assert other.update(record(1, 2))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(file, "select", interrupted)
        assert other.get_again(ONE.handle) == ONE

    assert other.get_again(ONE.handle) == record(1, 2)


def _foreign_change(store: SQLiteStore) -> Callable[[], None]:
    """Return what changes the first record once, through another store."""
    waiting = [record(1, 2)]

    def change() -> None:
        if waiting:
            assert store.update(waiting.pop())

    return change


OWN: dict[str, Callable[[SQLiteStore], Any]] = {
    "update": lambda store: store.update(record(2, 2)),
    "refused update": lambda store: store.update(record(2, 9)),
    "touch": lambda store: store.touch(TWO.handle, LATER),
    "refused touch": lambda store: store.touch(TWO.handle, 1),
    "equal values": lambda store: store._commits.run(Write(_set_equal, handles=(TWO.handle,))),
}


def _set_equal(connection: sqlite3.Connection, space: int) -> bool:
    rows = connection.execute("UPDATE fluidauth_sessions SET kid = kid WHERE namespace = ?", (space,))
    return rows.rowcount > 99  # certain to have changed something: no


@pytest.mark.requirement("72")
@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("moment", ["before the statement", "after the commit"])
def test_foreign_commit_next_to_an_own_one_is_seen(
    store: SQLiteStore, other: SQLiteStore, monkeypatch: pytest.MonkeyPatch, own: str, moment: str
) -> None:
    """The counter has moved by one or two. Neither is taken for ours alone."""
    warm(other, ONE, TWO)
    change, fresh = _foreign_change(store), other._opened().fresh
    committed = fresh.committed

    def after(*values: Any, **more: Any) -> None:
        change()
        committed(*values, **more)

    if moment == "after the commit":
        monkeypatch.setattr(fresh, "committed", after)
    else:
        change()

    OWN[own](other)
    change()

    assert other.get_again(ONE.handle) == record(1, 2)


@pytest.mark.requirement("72")
def test_thread_that_reads_during_an_own_commit_empties_nothing(other: SQLiteStore) -> None:
    """The header has moved already, and it is not said yet that the commit was ours."""
    warm(other, ONE, TWO)
    fresh, found = other._opened().fresh, list[Any]()
    committed = fresh.committed

    def interrupted(*values: Any, **more: Any) -> None:
        found.append(other.get_again(ONE.handle))
        committed(*values, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh, "committed", interrupted)
        assert other.update(record(1, 2))

    assert found == [record(1, 2)]
    assert knows(other, TWO)


@pytest.mark.requirement("72")
def test_commit_that_leaves_the_header_as_it_was_ends_it(
    other: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header is that of another index: somebody removed the file, and SQLite goes on with the old one."""
    warm(other, ONE, TWO)
    fresh = other._opened().fresh
    frozen = memoryview(fresh.held())
    fresh._header, view = frozen, fresh._header

    assert other.touch(TWO.handle, LATER)

    assert not knows(other, ONE)
    assert "replaced while it was in use" in other.why_select()
    assert other.delete(ONE.handle)
    assert other.get_again(ONE.handle) is None
    view.release()


@pytest.mark.requirement("72")
def test_lock_at_the_first_read_does_not_last(store: SQLiteStore, other: SQLiteStore, path: Path) -> None:
    """Another process closes its last connection just then, as when workers start again."""
    other.close()
    store.close()
    other.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError):
            other._opened().select(GET, (bytes.fromhex(ONE.handle),))
        holder.execute("COMMIT")

    warm(other, ONE)


@pytest.mark.requirement("72")
def test_interrupted_update_keeps_no_connection(other: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler raises after the commit: the connection that writes is not lost."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    warm(other, ONE)
    with monkeypatch.context() as patch:
        patch.setattr(other._opened().fresh, "committed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            other.update(record(1, 2))

    assert other.update(record(1, 3))
    assert other.get_again(ONE.handle) == record(1, 3)


# -- the file --------------------------------------------------------------------------


@pytest.mark.requirement("72")
def test_log_that_begins_anew_leaves_nothing_stale(
    store: SQLiteStore, other: SQLiteStore, path: Path
) -> None:
    warm(other, ONE)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert other.get_again(ONE.handle) == ONE
    warm(other, ONE)

    store.update(record(1, 2))

    assert other.get_again(ONE.handle) == record(1, 2)


@pytest.mark.requirement("72")
def test_recovery_leaves_nothing_stale(store: SQLiteStore, other: SQLiteStore, path: Path) -> None:
    """A process was killed in the middle of the header: the next one reads the log again, and counts anew."""
    warm(other, ONE)
    index = os.open(f"{path}-shm", os.O_RDWR)  # never closed: that would cost SQLite its locks
    os.pwrite(index, b"\xff" * 8, 48 + 24)  # the second copy

    assert other.get_again(ONE.handle) == ONE
    store.update(record(1, 2))
    assert other.get_again(ONE.handle) == record(1, 2)
    warm(other, ONE)
    os.pwrite(index, b"\xff" * 8, 24)  # the first one

    assert other.get_again(ONE.handle) == record(1, 2)
    store.update(record(1, 3))
    assert other.get_again(ONE.handle) == record(1, 3)


@pytest.mark.requirement("72")
def test_vacuum_and_a_restored_backup_leave_nothing_stale(
    store: SQLiteStore, other: SQLiteStore, path: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup, closing(sqlite3.connect(path)) as live:
        live.backup(backup)
        store.update(record(1, 2))
        warm(other, ONE)
        live.execute("VACUUM")
        assert other.get_again(ONE.handle) == record(1, 2)
        warm(other, ONE)

        backup.backup(live)

        assert other.get_again(ONE.handle) == ONE


@pytest.mark.requirement("72")
@pytest.mark.parametrize("name", ["sessions.db", "sessions.db-shm"])
def test_removed_file_is_noticed_within_the_interval(
    store: SQLiteStore, other: SQLiteStore, path: Path, name: str
) -> None:
    warm(other, ONE)
    (path.parent / name).unlink()
    other._opened().check_at = 0

    if name == "sessions.db":
        with pytest.raises(StoreError):
            other.get_again(ONE.handle)
    else:
        assert other.get_again(ONE.handle) == ONE
    assert other._file is None or not knows(other, TWO)


@pytest.mark.requirement("72")
def test_replaced_file_is_noticed_within_the_interval(
    store: SQLiteStore, other: SQLiteStore, path: Path, tmp_path: Path
) -> None:
    with closing(SQLiteStore(tmp_path / "new.db")) as new:
        new.create(record(1, 7))
    warm(other, ONE)
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink()
    shutil.move(tmp_path / "new.db", path)
    other._opened().check_at = 0

    assert other.get_again(ONE.handle) == record(1, 7)


@pytest.mark.requirement("72")
def test_nothing_is_known_after_close(other: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(other, ONE)
    fresh = other._opened().fresh
    other.close()
    asked = selects(other, monkeypatch)

    assert fresh.find(ONE.handle) == (None, fresh._records)
    assert other.get_again(ONE.handle) == ONE
    assert asked


@pytest.mark.requirement("72")
def test_link_to_the_file_is_followed(store: SQLiteStore, tmp_path: Path, path: Path) -> None:
    """SQLite has its log next to the target."""
    store.create(ONE)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(path)
    with closing(SQLiteStore(link)) as linked:
        warm(linked, ONE)
        store.update(record(1, 2))

        assert linked.get_again(ONE.handle) == record(1, 2)


@pytest.mark.requirement("72")
def test_bytes_are_bounded(other: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "MAX_BYTES", 20_000)
    other.close()
    large = [record(10 + number, payload=bytes(1_000)) for number in range(50)]
    for each in large:
        other.create(each)
    for each in large * 3:
        other.get_again(each.handle)

    known = [each for each in large if knows(other, each)]
    assert 0 < sum(map(freshness.size_of, known)) <= 20_000


# -- without it ------------------------------------------------------------------------


@pytest.mark.requirement("72")
def test_store_works_without_a_mapping(
    store: SQLiteStore, other: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_index, "is_supported", lambda: False)
    with closing(SQLiteStore(path)) as plain:
        asked = selects(plain, monkeypatch)
        for version in range(2, 6):
            assert plain.update(record(1, version))
            assert plain.get_again(ONE.handle) == record(1, version)

        assert len(asked) == 4
        assert not knows(plain, ONE)


# -- forks -----------------------------------------------------------------------------


def _read_and_write(store: SQLiteStore, results: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        asked = selects(store, patch)
        results.send((store.get_again(ONE.handle), len(asked)))
    results.send(store.update(results.recv()))


@pytest.mark.requirement("72")
@pytest.mark.requirement("55")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("heard", [True, False], ids=["by Python", "in C"])
def test_child_knows_nothing_of_its_parent(store: SQLiteStore, other: SQLiteStore, heard: bool) -> None:
    warm(other, ONE)
    here, there = multiprocessing.get_context("fork").Pipe()

    child = begin_child(_read_and_write, other, there, heard=heard)
    assert here.poll(PATIENCE)
    assert here.recv() == (ONE, 1)
    assert store.update(record(1, 2))
    here.send(record(1, 3))
    assert here.poll(PATIENCE)
    assert here.recv()
    child.join()

    assert other.get_again(ONE.handle) == record(1, 3)


# -- threads ---------------------------------------------------------------------------


@pytest.mark.requirement("72")
def test_threads_that_read_and_write_never_see_an_older_version(
    store: SQLiteStore, other: SQLiteStore
) -> None:
    """Two stores write the same records in turns, and threads read: what they see never goes back."""
    rounds, failures = 60, list[str]()
    versions = {ONE.handle: 1, TWO.handle: 1}
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for handle in versions:
                least = versions[handle]  # committed before the read begins
                found = other.get_again(handle)
                if found is None or found.version < least:
                    failures.append(f"{found and found.version} after {least}")

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(rounds):
            for row, writer in ((1, store), (2, other)) if number % 2 else ((1, other), (2, store)):
                following = record(row, number + 2)
                assert writer.update(following)
                versions[following.handle] = following.version
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert not failures


@pytest.mark.requirement("72")
def test_own_update_of_a_record_that_is_not_known_keeps_the_others(other: SQLiteStore) -> None:
    warm(other, TWO)

    assert other.update(record(1, 2))

    assert knows(other, TWO)
    assert not knows(other, ONE)
    found: SessionRecord | None = other.get_again(ONE.handle)
    assert found == record(1, 2)
