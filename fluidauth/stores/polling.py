"""Poll briefly for a reply before going to sleep.

A server on the same machine answers in 20 to 60 µs. Waking up takes as long again, and an event loop
has extra work with each wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_RARELY = 10  # in the end 2**10 answers are not polled for, then one is
_GIVE_WAY = 16  # answers that one task takes before other tasks get the loop


class Poller:
    """Polls for the answers to one kind of question, up to *limit* seconds for each.

    If they do not come in time, it polls less and less often.
    """

    def __init__(self, limit: float = 50e-6) -> None:
        self._limit = limit
        self._skip = 0
        self._misses = 0

    def poll(self, look: Callable[[], T | None]) -> T | None:
        """Return the first answer of *look* that is not None; None if none comes in time."""
        if self._skip:
            self._skip -= 1
            return None
        found, clock = look(), time.perf_counter
        give_up = clock() + self._limit
        while found is None and clock() < give_up:
            found = look()
        self._misses = 0 if found is not None else min(self._misses + 1, _RARELY)
        self._skip = 2**self._misses if self._misses else 0
        return found


class PollingGate:
    """Lets one task poll in each turn of an event loop. If several tasks ask, they wait together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._count = 0

    def is_open(self) -> bool:
        """Return whether the current task is the first to ask, and has not asked too often."""
        task = asyncio.current_task()
        if self._task is None:
            self._loop.call_soon(self._end_turn)
            self._task, self._count = task, 0
        self._count += 1
        return self._task is task and self._count <= _GIVE_WAY

    def _end_turn(self) -> None:
        self._task = None
