"""What a forked process must not share with its parent is made anew in it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_pauses: weakref.WeakKeyDictionary[Any, tuple[Callable[[Any], object], Callable[[Any], object]]] = (
    weakref.WeakKeyDictionary()
)
_renewals: weakref.WeakKeyDictionary[Any, Callable[[Any], object]] = weakref.WeakKeyDictionary()


def renew_in_child(owner: T, renew: Callable[[T], object]) -> None:
    """Call ``renew(owner)`` in every child process, as long as *owner* lives.

    The thread that forked is the only one there: a lock that another held stays locked for ever.
    """
    _renewals[owner] = renew


def pause_for_fork(owner: T, pause: Callable[[T], object], resume: Callable[[T], object]) -> None:
    """Call ``pause(owner)`` before every fork, and ``resume(owner)`` after it in the parent."""
    _pauses[owner] = (pause, resume)


def _pause_all() -> None:
    # A list, here and below: another thread may build a store meanwhile, and change what is walked over.
    for owner, (pause, _) in list(_pauses.items()):
        pause(owner)


def _resume_all() -> None:
    for owner, (_, resume) in list(_pauses.items()):
        resume(owner)


def _renew_all() -> None:
    for owner, renew in list(_renewals.items()):
        renew(owner)


if hasattr(os, "register_at_fork"):  # not on a system without fork
    os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_renew_all)
