"""What a forked process must not share with its parent is made again in it, at its first use there.

No hook of Python does this. uwsgi forks without Python's knowledge, so no hook runs. The gevent and eventlet
workers of gunicorn patch ``threading`` after the fork, so a lock made in a hook would be of the kind that
stops every greenlet. Code that asks for a connection or takes a lock calls :func:`catch_up` first.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK of Linux 4.14, which Python's mmap does not name

_pauses: weakref.WeakKeyDictionary[Any, tuple[Callable[[Any], object], Callable[[Any], object]]] = (
    weakref.WeakKeyDictionary()
)
_renewals: weakref.WeakKeyDictionary[Any, Callable[[Any], object]] = weakref.WeakKeyDictionary()
_turns: dict[int, Any] = {}


class _ProcessMark:
    """Replaces the page if the system has none: its item is 1 in the process that set it.

    It asks for the process id, which takes ten times as long as to read the page.
    """

    def __init__(self) -> None:
        self._process = 0

    def __getitem__(self, index: int) -> int:
        return int(self._process == os.getpid())

    def __setitem__(self, index: int, value: int) -> None:
        self._process = os.getpid()


def _new_mark() -> Any:
    if sys.platform == "linux":
        try:
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_WIPE_ON_FORK)
            return page
        except OSError:  # an older kernel, or what looks like one
            pass
    return _ProcessMark()


_mark: Any = _new_mark()
"""Its first item is 0 in a process that has not caught up, whatever forked it."""


def renew_in_child(owner: T, renew: Callable[[T], object]) -> None:
    """Have ``renew(owner)`` called in every child process that catches up, as long as *owner* lives.

    The child has only the thread that forked, so a lock that another thread held stays locked forever.
    """
    _renewals[owner] = renew


def catch_up() -> None:
    """Renew all that belongs to the parent, if this process was forked since. Other threads wait for it."""
    if _mark[0]:
        return
    with _turns.setdefault(os.getpid(), threading.RLock()):
        if not _mark[0]:
            for owner, renew in _entries(_renewals):
                renew(owner)
            _mark[0] = 1
            _turns.clear()  # those of its ancestors may be held; threads that wait have ours


class ProcessLock:
    """A lock, not reentrant, that is free in a forked child, even if the parent held it."""

    def __init__(self) -> None:
        self._renew()
        renew_in_child(self, ProcessLock._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Do as the method of ``threading.Lock``."""
        catch_up()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Do as the method of ``threading.Lock``."""
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def pause_for_fork(owner: T, pause: Callable[[T], object], resume: Callable[[T], object]) -> None:
    """Call ``pause(owner)`` before each fork that Python knows of, then ``resume(owner)`` in the parent."""
    _pauses[owner] = (pause, resume)


def _entries(known: weakref.WeakKeyDictionary[Any, T]) -> list[tuple[Any, T]]:
    """Return the entries of *known*. Another thread may build a store meanwhile, which adds one."""
    owners = [reference() for reference in known.keyrefs()]  # by one call in C; ``items()`` takes many steps
    return [(owner, known[owner]) for owner in owners if owner is not None]


def _pause_all() -> None:
    for owner, (pause, _) in _entries(_pauses):
        pause(owner)


def _resume_all() -> None:
    for owner, (_, resume) in _entries(_pauses):
        resume(owner)


if hasattr(os, "register_at_fork"):  # not on a system without fork
    os.register_at_fork(before=_pause_all, after_in_parent=_resume_all)

catch_up()
