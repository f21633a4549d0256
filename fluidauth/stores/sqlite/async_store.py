"""The asynchronous side of an SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fluidauth.concurrency import on_asyncio
from fluidauth.errors import StoreBusy
from fluidauth.records import SessionRecord
from fluidauth.stores.base import AsyncSessionStore, SessionStore

from . import writes
from .group_commit import GroupCommit, Write

T = TypeVar("T")


class AsyncSQLiteStore(AsyncSessionStore):
    """The file of *store* for asynchronous code: reads inline, writes committed together in a thread.

    A lone write is inline as well, while the disk answers within half a millisecond. So are
    all writes where no asyncio loop runs, as under trio.
    """

    def __init__(self, store: SessionStore, commits: GroupCommit) -> None:
        self.namespace = store.namespace
        self._store = store
        self._commits = commits

    async def get(self, handle: str) -> SessionRecord | None:
        try:
            return self._store.get(handle)
        except StoreBusy:
            return await self._in_thread(self._store.get, handle)

    async def create(self, record: SessionRecord) -> None:
        await self._commit(writes.creation(record))

    async def update(self, record: SessionRecord) -> bool:
        return await self._commit(writes.updating(record))

    async def delete(self, handle: str, version: int | None = None) -> bool:
        return await self._commit(writes.deletion(handle, version)) > 0

    async def clean(self, now: int, limit: int | None = None) -> int:
        return await self._commit(writes.cleaning(now, limit))

    async def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        return await self._commit(writes.updating_all(records))

    async def touch(self, handle: str, expires_at: int) -> bool:
        return await self._commit(writes.touching(handle, expires_at)) > 0

    async def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        return await self._commit(writes.burial(tombstone, record))

    async def list_for_user(
        self, user_id: str, after: str | None = None, limit: int = 100
    ) -> list[SessionRecord]:
        return await self._in_thread(self._store.list_for_user, user_id, after, limit)

    async def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        return await self._commit(writes.revocation(user_id, except_handle))

    async def count_by_kid(self) -> dict[str, int]:
        return await self._in_thread(self._store.count_by_kid)

    async def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return await self._in_thread(self._store.scan, after, limit)

    async def close(self) -> None:
        if on_asyncio():
            await asyncio.sleep(0)  # what this turn of the loop asked for is queued then
        await self._in_thread(self._store.close)

    async def _commit(self, write: Write[T]) -> T:
        return await self._commits.arun(write) if on_asyncio() else self._commits.run(write)

    @staticmethod
    async def _in_thread(function: Callable[..., T], *values: Any) -> T:
        return await asyncio.to_thread(function, *values) if on_asyncio() else function(*values)
