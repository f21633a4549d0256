"""Give asynchronous code a blocking store, and synchronous code an asynchronous one.

A hop through asgiref costs 50–110 µs, the other way 400–650, so a whole commit hops
once, and our own stores have native twins; the bridge serves other people's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from asgiref.sync import async_to_sync

from fluidauth.concurrency import T, in_thread, on_asyncio
from fluidauth.errors import UsageError
from fluidauth.records import SessionRecord

from .base import AsyncSessionStore, SessionStore


def to_async(store: SessionStore) -> AsyncSessionStore:
    """Return the native twin of *store*, or a bridge to it."""
    return store.async_twin() or AsyncBridge(store)


class AsyncBridge(AsyncSessionStore):
    """A blocking store whose calls run in threads; inline where no asyncio loop runs."""

    def __init__(self, store: SessionStore) -> None:
        self.namespace = store.namespace
        self.expires_itself, self.kin_digits = store.expires_itself, store.kin_digits
        self._store = store

    async def run_whole(self, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(store, *args)``, run in a thread with the blocking store."""
        return await in_thread(function, self._store, *args)

    async def get(self, handle: str) -> SessionRecord | None:
        return await in_thread(self._store.get, handle)

    async def create(self, record: SessionRecord) -> None:
        await in_thread(self._store.create, record)

    async def update(self, record: SessionRecord) -> bool:
        return await in_thread(self._store.update, record)

    async def delete(self, handle: str, version: int | None = None) -> bool:
        return await in_thread(self._store.delete, handle, version)

    async def clean(self, now: int, limit: int | None = None) -> int:
        return await in_thread(self._store.clean, now, limit)

    async def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        return await in_thread(self._store.update_many, records)

    async def touch(self, handle: str, expires_at: int) -> bool:
        return await in_thread(self._store.touch, handle, expires_at)

    async def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        return await in_thread(self._store.replace, tombstone, record)

    async def list_for_user(
        self, user_id: str, after: str | None = None, limit: int = 100
    ) -> list[SessionRecord]:
        return await in_thread(self._store.list_for_user, user_id, after, limit)

    async def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        return await in_thread(self._store.delete_for_user, user_id, except_handle)

    async def count_by_kid(self) -> dict[str, int]:
        return await in_thread(self._store.count_by_kid)

    async def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return await in_thread(self._store.scan, after, limit)

    async def close(self) -> None:
        await in_thread(self._store.close)


class SyncBridge(SessionStore):
    """An asynchronous store for synchronous code: each call runs an event loop."""

    def __init__(self, store: AsyncSessionStore) -> None:
        self.namespace = store.namespace
        self.expires_itself, self.kin_digits = store.expires_itself, store.kin_digits
        self._store = store

    def async_twin(self) -> AsyncSessionStore:
        return self._store

    def get(self, handle: str) -> SessionRecord | None:
        return self._wait(self._store.get, handle)

    def create(self, record: SessionRecord) -> None:
        self._wait(self._store.create, record)

    def update(self, record: SessionRecord) -> bool:
        return self._wait(self._store.update, record)

    def delete(self, handle: str, version: int | None = None) -> bool:
        return self._wait(self._store.delete, handle, version)

    def clean(self, now: int, limit: int | None = None) -> int:
        return self._wait(self._store.clean, now, limit)

    def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        return self._wait(self._store.update_many, records)

    def touch(self, handle: str, expires_at: int) -> bool:
        return self._wait(self._store.touch, handle, expires_at)

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        return self._wait(self._store.replace, tombstone, record)

    def list_for_user(self, user_id: str, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return self._wait(self._store.list_for_user, user_id, after, limit)

    def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        return self._wait(self._store.delete_for_user, user_id, except_handle)

    def count_by_kid(self) -> dict[str, int]:
        return self._wait(self._store.count_by_kid)

    def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return self._wait(self._store.scan, after, limit)

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
