"""What a forked process must not share with its parent is made anew in it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def renew_in_child(owner: T, renew: Callable[[T], object]) -> None:
    """Call ``renew(owner)`` in every child process, as long as *owner* lives."""
    if not hasattr(os, "register_at_fork"):  # a system without fork
        return
    reference = weakref.ref(owner)

    def in_child() -> None:
        found = reference()
        if found is not None:
            renew(found)

    os.register_at_fork(after_in_child=in_child)
