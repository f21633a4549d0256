"""A queue for requests of this process that change the same session.

Compare and swap keeps every change without it. But if fifty requests all retry at once,
only one succeeds each time, and the others have merged in vain: 1,275 merges for 50
changes. So a request that lost once takes the session's lock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, TypeVar

from fluidauth.after_fork import catch_up, renew_in_child
from fluidauth.concurrency import on_asyncio

LockT = TypeVar("LockT")

TIME_LIMIT = 1.0  # seconds; nothing is lost if two run together after that


class _Locks(Generic[LockT]):
    """A lock for each name that is in use now."""

    def __init__(self, make: Callable[[], LockT]) -> None:
        self._make = make
        self._start()
        # A thread of the parent may have held a lock at the fork. In the child nobody would release it.
        renew_in_child(self, _Locks._start)

    def _start(self) -> None:
        self._mutex = threading.Lock()
        self._used: dict[Hashable, tuple[LockT, int]] = {}

    @contextmanager
    def named(self, name: Hashable) -> Iterator[LockT]:
        catch_up()
        with self._mutex:
            lock, users = self._used.get(name) or (self._make(), 0)
            self._used[name] = lock, users + 1
        try:
            yield lock
        finally:
            with self._mutex:
                users = self._used[name][1] - 1
                if users:
                    self._used[name] = lock, users
                else:
                    del self._used[name]


_of_threads: _Locks[Any] = _Locks(lambda: threading.Lock())  # of the kind that is in use then
_of_tasks = _Locks(asyncio.Lock)


@contextmanager
def locked(handle: str) -> Iterator[None]:
    """Wait until no other thread holds the lock of the session *handle*."""
    with _of_threads.named(handle) as lock:
        acquired = lock.acquire(timeout=TIME_LIMIT)
        try:
            yield
        finally:
            if acquired:
                lock.release()


@asynccontextmanager
async def alocked(handle: str) -> AsyncIterator[None]:
    """Wait until no other task of this event loop holds it. Without asyncio, do not wait."""
    if not on_asyncio():
        yield
        return
    # By loop as well: an asyncio.Lock belongs to one, and another loop may run in another thread.
    with _of_tasks.named((asyncio.get_running_loop(), handle)) as lock:
        acquired = False
        with suppress(TimeoutError):
            async with asyncio.timeout(TIME_LIMIT):
                acquired = await lock.acquire()
        try:
            yield
        finally:
            if acquired:
                lock.release()
