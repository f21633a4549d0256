"""What belongs to one process is made anew in each child, whoever forks it, and once."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fluidauth.after_fork import ProcessLock, _new_mark, _ProcessMark, catch_up, renew_in_child
from fluidauth.testing.forks import begin_child

HEARD = pytest.mark.parametrize("heard", [True, False], ids=["by Python", "in C"])
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
PATIENCE = 30  # seconds


class Owner:
    """Counts how often it was made anew, and by whom."""

    def __init__(self) -> None:
        self.renewed: list[int] = []
        renew_in_child(self, Owner.begin_anew)

    def begin_anew(self) -> None:
        self.renewed.append(os.getpid())


def told_by_child(work: Any, heard: bool) -> Any:
    """Return what *work*, called in a child, tells over the pipe that it is given."""
    here, there = multiprocessing.get_context("fork").Pipe()
    child = begin_child(work, there, heard=heard)
    assert here.poll(PATIENCE), "the child says nothing"
    told = here.recv()
    child.join(PATIENCE)
    return told


@pytest.mark.requirement("55")
@HEARD
@FORKS
@pytest.mark.parametrize("mark", [_new_mark(), _ProcessMark()], ids=["page", "process"])
def test_child_sees_that_it_is_another_process(mark: Any, heard: bool) -> None:
    """And so does a child of it, once it has caught up itself."""
    mark[0] = 1

    fork = os.fork if heard else ctypes.PyDLL(None).fork

    def look(there: Any) -> None:
        seen = [mark[0]]
        mark[0] = 1
        seen.append(mark[0])
        reads, writes = os.pipe()
        grandchild = fork()
        if not grandchild:
            os.write(writes, bytes([mark[0]]))
            os._exit(0)
        os.waitpid(grandchild, 0)
        there.send([*seen, os.read(reads, 1)[0]])

    assert told_by_child(look, heard) == [0, 1, 0]
    assert mark[0] == 1


@pytest.mark.requirement("55")
@HEARD
@FORKS
def test_child_makes_all_anew_once_before_any_thread_goes_on(heard: bool) -> None:
    owner = Owner()

    def work(there: Any) -> None:
        together = threading.Barrier(8)

        def use() -> list[int]:
            together.wait(PATIENCE)
            catch_up()
            return list(owner.renewed)

        with ThreadPoolExecutor(8) as threads:
            seen = [future.result() for future in [threads.submit(use) for _ in range(8)]]
        there.send(seen == [[os.getpid()]] * 8)

    assert told_by_child(work, heard) is True
    assert owner.renewed == []


@pytest.mark.requirement("55")
@HEARD
@FORKS
def test_lock_that_is_held_at_the_fork_is_free_in_the_child(heard: bool) -> None:
    lock = ProcessLock()

    with lock:
        free = told_by_child(lambda there: there.send(lock.acquire(timeout=PATIENCE)), heard)

    assert free is True
    assert lock.acquire(blocking=False)
