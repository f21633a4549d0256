"""One after the other, where several requests of this process change the same session.

Compare and swap keeps every change without it. But of fifty requests that all retry at
once only one gets through each time, and the rest have merged in vain: 1,275 merges for
50 changes. Whoever lost once therefore waits for its turn.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, TypeVar

LockT = TypeVar("LockT")

TIME_LIMIT = 2.0  # seconds; nothing is lost if two go on together after that


class _Locks(Generic[LockT]):
    """A lock for each name that somebody uses now."""

    def __init__(self, make: type[LockT]) -> None:
        self._make = make
        self._mutex = threading.Lock()
        self._used: dict[Hashable, tuple[LockT, int]] = {}

    @contextmanager
    def named(self, name: Hashable) -> Iterator[LockT]:
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


_of_threads: _Locks[Any] = _Locks(threading.Lock)
_of_tasks = _Locks(asyncio.Lock)


@contextmanager
def turn(handle: str) -> Iterator[None]:
    """Wait until no other thread has its turn with the session *handle*."""
    with _of_threads.named(handle) as lock:
        acquired = lock.acquire(timeout=TIME_LIMIT)
        try:
            yield
        finally:
            if acquired:
                lock.release()


@asynccontextmanager
async def aturn(handle: str) -> AsyncIterator[None]:
    """Wait until no other task of this event loop has its turn with the session *handle*."""
    with _of_tasks.named((_loop(), handle)) as lock:
        acquired = await _acquired(lock)
        try:
            yield
        finally:
            if acquired:
                lock.release()


async def _acquired(lock: asyncio.Lock) -> bool:
    if not lock.locked():  # which needs no asyncio, under trio
        return await lock.acquire()
    with suppress(TimeoutError):
        async with asyncio.timeout(TIME_LIMIT):
            return await lock.acquire()
    return False


def _loop() -> Hashable:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
