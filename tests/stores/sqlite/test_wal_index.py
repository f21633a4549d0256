"""The mapped header costs nobody a lock, and no process a descriptor for each file that it ever had."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from fluidauth import SQLiteStore
from fluidauth.stores.sqlite import wal_index
from fluidauth.stores.sqlite.opening import identity_of
from tests.stores.sqlite.knowing import knows, warm
from tests.stores.sqlite.writers import record

_IN_USE = 128  # the byte of the index that each process with a connection has a lock on (SQLite's os_unix.c)


_TRY = f"""
import fcntl, sys
for path in sys.stdin:
    with open(path.strip(), "r+b") as index:
        try:
            fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, {_IN_USE})
        except OSError:
            print("locked", flush=True)
        else:
            print("free", flush=True)
"""


@contextmanager
def second_process() -> Iterator[Callable[[Path], bool]]:
    """Give a function that asks another process whether this one has its lock on the index of a file."""
    command = [sys.executable, "-c", _TRY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout

        def is_locked(path: Path) -> bool:
            print(f"{path}-shm", file=child.stdin, flush=True)
            answer = child.stdout.readline()  # type: ignore[union-attr]  # see above
            assert answer in ("locked\n", "free\n")
            return answer == "locked\n"

        yield is_locked
        child.stdin.close()


@pytest.mark.requirement("72")
def test_two_stores_on_a_file_keep_their_locks_whichever_closes_first(path: Path) -> None:
    """Every order of opening, reading, closing and opening again; the last open one is still protected."""
    orders = sorted(set(itertools.permutations(["first", "second", "first", "second"])))
    with second_process() as is_locked:
        for order in orders:
            stores = {"first": SQLiteStore(path), "second": SQLiteStore(path)}
            open_ones = set[str]()
            for name in order:
                if name in open_ones:
                    stores[name].close()
                    open_ones.remove(name)
                else:
                    if not stores[name].get_again(record(1).handle):
                        stores[name].create(record(1))
                    warm(stores[name], record(1))
                    open_ones.add(name)
                assert not open_ones or is_locked(path), (order, name)
            for name in open_ones:
                stores[name].close()


@pytest.mark.requirement("72")
def test_store_collected_without_close_leaves_the_locks_of_the_other(path: Path) -> None:
    with second_process() as is_locked, closing(SQLiteStore(path)) as kept:
        kept.create(record(1))
        warm(kept, record(1))
        for _ in range(3):
            passing = SQLiteStore(path)
            passing.get_again(record(1).handle)
            passing._opened().retire()
            del passing

        assert is_locked(path)
        assert knows(kept, record(1))


@pytest.mark.requirement("72")
def test_files_opened_one_after_another_leave_nothing_open(tmp_path: Path) -> None:
    def use(number: int) -> None:
        with closing(SQLiteStore(tmp_path / f"{number}.db")) as store:
            store.create(record(1))
            warm(store, record(1))

    use(0)
    process = psutil.Process()
    before = process.num_fds()
    for number in range(1, 30):
        use(number)

    assert process.num_fds() <= before


@pytest.mark.requirement("72")
def test_more_files_than_are_mapped_work_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_index, "MAX_MAPPINGS", len(wal_index._mappings) + 2)
    stores = [SQLiteStore(tmp_path / f"{number}.db") for number in range(5)]
    try:
        for version in (1, 2):
            for store in stores:
                if version == 1:
                    store.create(record(1))
                else:
                    assert store.update(record(1, 2))
                for _ in range(3):
                    assert store.get_again(record(1).handle) == record(1, version)

        assert sum(knows(store, record(1)) for store in stores) <= 2 + 1  # one may have been let go
        assert not knows(stores[-1], record(1))
    finally:
        for store in stores:
            store.close()


@pytest.mark.requirement("72")
def test_counter_follows_by_exactly_one() -> None:
    def header(counter: int) -> bytes:
        return wal_index._FIELDS.pack(3_007_000, counter, 1, 0, 4096) + bytes(32)

    assert wal_index.follows(header(8), header(7))
    assert wal_index.follows(header(0), header(2**32 - 1))
    assert not any(wal_index.follows(header(later), header(7)) for later in (6, 7, 9))


@pytest.mark.requirement("72")
@pytest.mark.parametrize("place", [0, 12], ids=["version", "validity"])
def test_header_of_another_format_is_not_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """A later SQLite may write another one: then each read asks it."""
    with closing(SQLiteStore(path)) as first:
        first.create(record(1))
        first.get_again(record(1).handle)
        index = os.open(f"{path}-shm", os.O_RDWR)  # never closed: that would cost SQLite its locks
        found = os.pread(index, 1, place)
        os.pwrite(index, b"\x07", place)
        try:
            holder = first._opened()
            identity = identity_of(f"{path}-shm")
            assert "unknown format" in wal_index.view_of(f"{path}-shm", identity, None, holder)
        finally:
            os.pwrite(index, found, place)


@pytest.mark.requirement("72")
def test_index_that_was_replaced_is_not_mapped(path: Path, tmp_path: Path) -> None:
    with closing(SQLiteStore(path)) as store:
        store.create(record(1))
        identity = identity_of(f"{path}-shm")
        assert identity
        other = identity[0], identity[1] + 1

        assert "cannot be mapped" in wal_index.view_of(f"{path}-shm", other, None, store._opened())
        assert "has no index" in wal_index.view_of(f"{path}-shm", None, None, store._opened())


@pytest.mark.requirement("72")
def test_store_that_opens_while_an_old_index_is_in_use_maps_no_other(path: Path) -> None:
    """SQLite goes on with the index that a connection of this process has, whatever is at its path."""
    with closing(SQLiteStore(path)) as first, closing(SQLiteStore(path)) as second:
        first.create(record(1))
        warm(first, record(1))
        Path(f"{path}-shm").unlink()
        Path(f"{path}-shm").write_bytes(bytes(32_768))

        second.get_again(record(1).handle)

        assert not knows(second, record(1))
        assert "replaced while it was in use" in second.why_select()
