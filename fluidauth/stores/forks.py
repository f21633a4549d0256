"""What a forked process must not share with its parent is made anew in it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_renewals: weakref.WeakKeyDictionary[Any, Callable[[Any], object]] = weakref.WeakKeyDictionary()


def renew_in_child(owner: T, renew: Callable[[T], object]) -> None:
    """Call ``renew(owner)`` in every child process, as long as *owner* lives."""
    _renewals[owner] = renew


def _renew_all() -> None:
    for owner, renew in list(_renewals.items()):
        renew(owner)


if hasattr(os, "register_at_fork"):  # not on a system without fork
    os.register_at_fork(after_in_child=_renew_all)
