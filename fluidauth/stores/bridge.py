"""Give asynchronous code a blocking store, and synchronous code an asynchronous one.

A change of thread through asgiref costs 50–110 µs, the other way 400–650. So a whole
commit changes once. Our own stores have native twins, and the bridge is for others.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from asgiref.sync import async_to_sync

from fluidauth.concurrency import T, in_thread, on_asyncio
from fluidauth.errors import UsageError

from .base import AsyncSessionStore, SessionStore
from .delegating import AsyncDelegatingStore, DelegatingStore


def to_async(store: SessionStore) -> AsyncSessionStore:
    """Return the native twin of *store*, or a bridge to it."""
    return store.async_twin() or AsyncBridge(store)


class AsyncBridge(AsyncDelegatingStore):
    """A blocking store whose calls run in threads, or inline if no asyncio loop runs."""

    def __init__(self, store: SessionStore) -> None:
        self.namespace: str = store.namespace
        self.expires_itself: bool = store.expires_itself
        self.kin_digits: int = store.kin_digits
        self._store = store

    async def run_whole(self, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(store, *args)``, run in a thread with the blocking store."""
        return await in_thread(function, self._store, *args)

    async def _call(self, verb: str, *arguments: Any) -> Any:
        return await in_thread(getattr(self._store, verb), *arguments)

    async def close(self) -> None:
        await in_thread(self._store.close)


class SyncBridge(DelegatingStore):
    """An asynchronous store for synchronous code: each call runs an event loop."""

    def __init__(self, store: AsyncSessionStore) -> None:
        self.namespace: str = store.namespace
        self.expires_itself: bool = store.expires_itself
        self.kin_digits: int = store.kin_digits
        self._store = store

    def async_twin(self) -> AsyncSessionStore:
        return self._store

    def _call(self, verb: str, *arguments: Any) -> Any:
        return self._wait(getattr(self._store, verb), *arguments)

    def close(self) -> None:
        self._wait(self._store.close)

    @staticmethod
    def _wait(function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        if on_asyncio():
            raise UsageError(
                "an asynchronous store cannot be waited for on its own event loop; "
                "use the asynchronous twin, such as `await session.asave()`"
            )
        return async_to_sync(function)(*args)
