"""Stores that pass all their calls on, each by its name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from fluidauth.records import SessionRecord

from .base import AsyncSessionStore, SessionStore


class DelegatingStore(SessionStore):
    """A store whose subclass answers all calls in :meth:`_call`."""

    @abstractmethod
    def _call(self, verb: str, *arguments: Any) -> Any:
        """Return the answer to the call *verb*, the name of one of the methods below."""

    def get(self, handle: str) -> SessionRecord | None:
        record: SessionRecord | None = self._call("get", handle)
        return record

    def create(self, record: SessionRecord) -> None:
        self._call("create", record)

    def update(self, record: SessionRecord) -> bool:
        done: bool = self._call("update", record)
        return done

    def delete(self, handle: str, version: int | None = None) -> bool:
        done: bool = self._call("delete", handle, version)
        return done

    def clean(self, now: int, limit: int | None = None) -> int:
        count: int = self._call("clean", now, limit)
        return count

    def get_many(self, handles: Sequence[str]) -> list[SessionRecord | None]:
        found: list[SessionRecord | None] = self._call("get_many", handles)
        return found

    def create_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        done: list[bool] = self._call("create_many", records)
        return done

    def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        done: list[bool] = self._call("update_many", records)
        return done

    def replace_many(self, pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> list[bool]:
        done: list[bool] = self._call("replace_many", pairs)
        return done

    def delete_many(self, keys: Sequence[tuple[str, int | None]]) -> list[bool]:
        done: list[bool] = self._call("delete_many", keys)
        return done

    def touch(self, handle: str, expires_at: int) -> bool:
        moved: bool = self._call("touch", handle, expires_at)
        return moved

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        done: bool = self._call("replace", tombstone, record)
        return done

    def list_for_user(self, user_id: str, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        page: list[SessionRecord] = self._call("list_for_user", user_id, after, limit)
        return page

    def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        count: int = self._call("delete_for_user", user_id, except_handle)
        return count

    def count_by_kid(self) -> dict[str, int]:
        counts: dict[str, int] = self._call("count_by_kid")
        return counts

    def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        page: list[SessionRecord] = self._call("scan", after, limit)
        return page


class AsyncDelegatingStore(AsyncSessionStore):
    """What :class:`DelegatingStore` does, to await."""

    @abstractmethod
    async def _call(self, verb: str, *arguments: Any) -> Any: ...

    async def get(self, handle: str) -> SessionRecord | None:
        record: SessionRecord | None = await self._call("get", handle)
        return record

    async def create(self, record: SessionRecord) -> None:
        await self._call("create", record)

    async def update(self, record: SessionRecord) -> bool:
        done: bool = await self._call("update", record)
        return done

    async def delete(self, handle: str, version: int | None = None) -> bool:
        done: bool = await self._call("delete", handle, version)
        return done

    async def clean(self, now: int, limit: int | None = None) -> int:
        count: int = await self._call("clean", now, limit)
        return count

    async def get_many(self, handles: Sequence[str]) -> list[SessionRecord | None]:
        found: list[SessionRecord | None] = await self._call("get_many", handles)
        return found

    async def create_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        done: list[bool] = await self._call("create_many", records)
        return done

    async def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        done: list[bool] = await self._call("update_many", records)
        return done

    async def replace_many(self, pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> list[bool]:
        done: list[bool] = await self._call("replace_many", pairs)
        return done

    async def delete_many(self, keys: Sequence[tuple[str, int | None]]) -> list[bool]:
        done: list[bool] = await self._call("delete_many", keys)
        return done

    async def touch(self, handle: str, expires_at: int) -> bool:
        moved: bool = await self._call("touch", handle, expires_at)
        return moved

    async def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        done: bool = await self._call("replace", tombstone, record)
        return done

    async def list_for_user(
        self, user_id: str, after: str | None = None, limit: int = 100
    ) -> list[SessionRecord]:
        page: list[SessionRecord] = await self._call("list_for_user", user_id, after, limit)
        return page

    async def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        count: int = await self._call("delete_for_user", user_id, except_handle)
        return count

    async def count_by_kid(self) -> dict[str, int]:
        counts: dict[str, int] = await self._call("count_by_kid")
        return counts

    async def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        page: list[SessionRecord] = await self._call("scan", after, limit)
        return page
