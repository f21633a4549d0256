"""Writes on their way to the file, and what waits for them: a thread, or the tasks of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from fluidauth.errors import StoreError

T = TypeVar("T")

Join = Callable[[], object]
"""Takes what has queued up meanwhile into the writes that are about to be carried out."""

_PENDING: Any = object()


def nobody() -> None:
    """Take nothing more into the writes."""


class Write(Generic[T]):
    """One call's work, and its outcome.

    *work* is called with what the store passes on, then *values*. Unless *durable*, the write
    counts as done before it is on disk. *handles* are those of the rows that it may change, or
    None if only SQLite knows them.
    """

    __slots__ = ("answer", "durable", "error", "handles", "values", "work")

    def __init__(
        self,
        work: Callable[..., T],
        *values: Any,
        durable: bool = True,
        handles: Sequence[str] | None = None,
    ) -> None:
        self.work: Callable[..., T] = work
        self.values: tuple[Any, ...] = values
        self.durable: bool = durable
        self.handles: Sequence[str] | None = handles
        self.answer: T = _PENDING
        self.error: Exception | None = None

    def reset(self) -> None:
        """Forget its outcome, because it was undone."""
        self.answer = _PENDING
        self.error = None

    def has_changed(self) -> bool:
        """Return whether it has certainly changed a row, if its transaction is committed."""
        answer: Any = self.answer
        if self.error is not None or answer is _PENDING:
            return False
        return any(answer) if isinstance(answer, list) else answer is None or answer > 0

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        if self.answer is _PENDING:  # the leader was interrupted, as by Ctrl-C
            raise StoreError("the write was interrupted")
        return self.answer


class Party(Protocol):
    """What waits in the queue, with one write or several."""

    leads: bool
    """Whether it was chosen to lead; set with the lock held."""

    @property
    def writes(self) -> Sequence[Write[Any]]: ...

    def lead(self) -> None:
        """Carry out the queue; called without the lock."""

    def finish(self) -> None:
        """Go on: every write has its outcome."""


class WaitingThread:
    """A blocked thread with one write."""

    def __init__(self, write: Write[Any]) -> None:
        self.writes: tuple[Write[Any]] = (write,)
        self.leads = False
        self._wake = threading.Event()

    def lead(self) -> None:
        self._wake.set()

    def finish(self) -> None:
        self._wake.set()

    def wait(self) -> bool:
        """Return whether this thread must lead. If not, its write is done."""
        self._wake.wait()
        return self.leads


class WaitingTasks:
    """What the tasks of one event loop asked for in one of its turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lead: Callable[[], object]) -> None:
        self.writes: list[Write[Any]] = []
        self.futures: list[asyncio.Future[None]] = []
        self.leads = False
        self._lead = lead
        self._loop = loop

    def lead(self) -> None:
        self._lead()

    def finish(self) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.resolve)

    def resolve(self) -> None:
        for future in self.futures:
            if not future.done():  # cancelled: the write was carried out all the same
                future.set_result(None)
