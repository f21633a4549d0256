"""What a forked process must not share with its parent is made anew in it, at its first use there.

Not in a hook of Python's: uwsgi forks without Python's knowledge, so that no hook runs; and gunicorn's gevent
and eventlet workers patch ``threading`` after they were forked, so that a lock made in a hook would be of the
kind that stops every greenlet. Whoever asks for a connection, or takes a lock, first calls :func:`catch_up`.
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
    """Stands in for the page where the system has none: its item is 1 in the process that set it.

    To ask for the process id takes ten times as long.
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

    The thread that forked is the only one there: a lock that another held stays locked for ever.
    """
    _renewals[owner] = renew


def catch_up() -> None:
    """Renew all that is the parent's, if this process was forked since; threads that come meanwhile wait."""
    if _mark[0]:
        return
    with _turns.setdefault(os.getpid(), threading.RLock()):
        if not _mark[0]:
            for owner, renew in _entries(_renewals):
                renew(owner)
            _mark[0] = 1
            _turns.clear()  # those of its ancestors, which may be held; who waits for ours has it


class ProcessLock:
    """A lock, not reentrant, that a forked child finds free, whoever held it in the parent."""

    def __init__(self) -> None:
        self._renew()
        renew_in_child(self, ProcessLock._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Do as that of ``threading.Lock``."""
        catch_up()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Do as that of ``threading.Lock``."""
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def pause_for_fork(owner: T, pause: Callable[[T], object], resume: Callable[[T], object]) -> None:
    """Call ``pause(owner)`` before each fork that Python hears of, then ``resume(owner)`` in the parent."""
    _pauses[owner] = (pause, resume)


def _entries(known: weakref.WeakKeyDictionary[Any, T]) -> list[tuple[Any, T]]:
    """Return what is *known*, while another thread may build a store, which changes what is walked."""
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
