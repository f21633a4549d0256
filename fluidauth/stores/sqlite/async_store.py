"""The asynchronous side of an SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from fluidauth.concurrency import on_asyncio
from fluidauth.errors import StoreBusy
from fluidauth.records import SessionRecord
from fluidauth.stores.base import SessionStore
from fluidauth.stores.delegating import AsyncDelegatingStore

from . import writes
from .group_commit import GroupCommit
from .waiting import Write

T = TypeVar("T")


class AsyncSQLiteStore(AsyncDelegatingStore):
    """The file of *store* for asynchronous code: reads inline, writes committed together in a thread.

    A single write is inline as well, while the disk answers within half a millisecond. If no
    asyncio loop runs, as under trio, all writes are inline.
    """

    def __init__(self, store: SessionStore, commits: GroupCommit) -> None:
        self.namespace: str = store.namespace
        self._store = store
        self._commits = commits

    async def get(self, handle: str) -> SessionRecord | None:
        try:
            return self._store.get(handle)
        except StoreBusy:
            return await self._in_thread(self._store.get, handle)

    async def get_again(self, handle: str) -> SessionRecord | None:
        try:
            return self._store.get_again(handle)
        except StoreBusy:
            return await self._in_thread(self._store.get, handle)

    async def update(self, record: SessionRecord) -> bool:
        return await self._commit(writes.updating(record))

    async def _call(self, verb: str, *arguments: Any) -> Any:
        if verb in writes.BY_VERB:
            return await self._commit(writes.BY_VERB[verb](*arguments))
        return await self._in_thread(getattr(self._store, verb), *arguments)

    async def close(self) -> None:
        if on_asyncio():
            await asyncio.sleep(0)  # by then the writes of this turn of the loop are queued
        await self._in_thread(self._store.close)

    async def _commit(self, write: Write[T]) -> T:
        return await self._commits.arun(write) if on_asyncio() else self._commits.run(write)

    @staticmethod
    async def _in_thread(function: Callable[..., T], *values: Any) -> T:
        return await asyncio.to_thread(function, *values) if on_asyncio() else function(*values)
