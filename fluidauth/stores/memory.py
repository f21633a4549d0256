"""Sessions in this process's memory: for development and tests. They end with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from fluidauth.errors import ConfigError, RecordExists, StoreError
from fluidauth.records import SessionRecord, check_namespace, system_time

from .base import DEFAULT_NAMESPACE, AsyncSessionStore, SessionStore
from .delegating import AsyncDelegatingStore


class MemoryStore(SessionStore):
    """A bounded dict of records behind a lock.

    If it is full of live sessions, it refuses new ones with ``StoreError`` and logs nobody
    out. Expired sessions make room. At most *max_sessions* are kept. The *clock* returns
    Unix seconds, and decides only which sessions make room.
    """

    inline = True

    def __init__(
        self,
        *,
        max_sessions: int = 100_000,
        namespace: str = DEFAULT_NAMESPACE,
        clock: Callable[[], float] = system_time,
    ) -> None:
        if isinstance(max_sessions, bool) or not isinstance(max_sessions, int) or max_sessions < 1:
            raise ConfigError(f"max_sessions={max_sessions!r} must be a positive whole number")
        self.namespace: str = check_namespace(namespace)
        self._max_sessions = max_sessions
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, SessionRecord] = {}

    def get(self, handle: str) -> SessionRecord | None:
        return self._records.get(handle)

    def create(self, record: SessionRecord) -> None:
        with self._lock:
            self._insert(record)

    def update(self, record: SessionRecord) -> bool:
        with self._lock:
            stored = self._records.get(record.handle)
            if stored is None or stored.version != record.version - 1:
                return False
            self._records[record.handle] = record._replace(
                expires_at=max(stored.expires_at, record.expires_at), created_at=stored.created_at
            )
            return True

    def delete(self, handle: str, version: int | None = None) -> bool:
        with self._lock:
            stored = self._records.get(handle)
            if stored is None or version not in (None, stored.version):
                return False
            del self._records[handle]
            return True

    def clean(self, now: int, limit: int | None = None) -> int:
        with self._lock:
            return self._remove_expired(now, limit)

    def touch(self, handle: str, expires_at: int) -> bool:
        with self._lock:
            stored = self._records.get(handle)
            if stored is None or stored.expires_at >= expires_at:
                return False
            self._records[handle] = stored._replace(expires_at=expires_at)
            return True

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        with self._lock:
            stored = self._records.get(tombstone.handle)
            if stored is None or stored.version != tombstone.version - 1:
                return False
            self._insert(record)
            self._records[tombstone.handle] = tombstone._replace(created_at=stored.created_at)
            return True

    def list_for_user(self, user_id: str, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return [r for r in self._behind(after) if r.user_id == user_id][:limit]

    def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        with self._lock:
            ended = [
                record.handle
                for record in self._records.values()
                if record.user_id == user_id and record.handle != except_handle
            ]
            for handle in ended:
                del self._records[handle]
            return len(ended)

    def count_by_kid(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for record in self._behind(None):
            counts[record.kid] = counts.get(record.kid, 0) + 1
        return counts

    def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        return self._behind(after)[:limit]

    def async_twin(self) -> AsyncSessionStore:
        return AsyncMemoryStore(self)

    def _behind(self, after: str | None) -> list[SessionRecord]:
        with self._lock:
            records = sorted(self._records.values())
        return [record for record in records if after is None or record.handle > after]

    def _insert(self, record: SessionRecord) -> None:
        if record.handle in self._records:
            raise RecordExists
        if len(self._records) >= self._max_sessions and not self._remove_expired(int(self._clock())):
            raise StoreError(
                f"MemoryStore is full with {self._max_sessions} live sessions; "
                "raise max_sessions, or use SQLiteStore"
            )
        self._records[record.handle] = record

    def _remove_expired(self, now: int, limit: int | None = None) -> int:
        expired = [r.handle for r in self._records.values() if r.expires_at <= now][:limit]
        for handle in expired:
            del self._records[handle]
        return len(expired)


class AsyncMemoryStore(AsyncDelegatingStore):
    """The same records for asynchronous code. No call ever waits."""

    inline = True

    def __init__(self, store: MemoryStore) -> None:
        self.namespace: str = store.namespace
        self._store = store

    async def get(self, handle: str) -> SessionRecord | None:
        return self._store.get(handle)

    async def update(self, record: SessionRecord) -> bool:
        return self._store.update(record)

    async def _call(self, verb: str, *arguments: Any) -> Any:
        return getattr(self._store, verb)(*arguments)
