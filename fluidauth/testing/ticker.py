"""Time as a thread of this process gets it, for upper bounds that hold on a busy machine."""

from __future__ import annotations

import threading
from typing import Self

TICK = 0.002  # seconds


class Ticker:
    """Counts the seconds in which a thread of this process really runs.

    On a machine that is busy with something else it falls behind, as the tested code does.
    So its count stays below a limit that is kept. Never use it for lower bounds.
    """

    def __init__(self) -> None:
        self._ticks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @property
    def seconds(self) -> float:
        return self._ticks * TICK

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self._ticks += 1
