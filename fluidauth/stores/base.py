"""The contract of a store: five verbs that each must have, and optional capabilities.

A store knows records and nothing else: no keys, no cookies, no clock (time is passed
in). Every call is bounded in time. The only errors that leave a store are
:class:`~fluidauth.errors.StoreError`, raised ``from`` the driver's own error, and
:class:`~fluidauth.errors.RecordExists`. ``fluidauth.testing.StoreContract`` tests
everything that is written here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from fluidauth.errors import NotSupported, RecordExists
from fluidauth.records import SessionRecord

DEFAULT_NAMESPACE = "fluidauth"


class SessionStore(ABC):
    """A store for synchronous code; asynchronous code uses it through a bridge.

    A subclass with the five verbs is complete. One that overrides ``delete_for_user`` must
    also override ``replace``: otherwise a revocation could happen between its two steps.
    """

    inline = False
    """Whether reads take microseconds, so that even an event loop can make them directly."""

    expires_itself = False
    """Whether the storage itself removes what has expired, so that ``clean`` need not be called."""

    kin_digits = 0
    """How many digits at the start both handles in ``replace`` must have in common (Redis Cluster: 2)."""

    namespace = DEFAULT_NAMESPACE
    """Limits every call: applications with different namespaces never see each other's sessions."""

    @abstractmethod
    def get(self, handle: str) -> SessionRecord | None:
        """Return the record. It may be an expired one: the engine checks that."""

    @abstractmethod
    def create(self, record: SessionRecord) -> None:
        """Insert *record*; raise ``RecordExists`` and change nothing if its handle is there."""

    @abstractmethod
    def update(self, record: SessionRecord) -> bool:
        """Replace the stored record if its version is ``record.version - 1``; return whether it was.

        Never insert: a request that ends after the user logged out must not bring the
        session back. Never lower ``expires_at``; never change ``created_at``.
        """

    @abstractmethod
    def delete(self, handle: str, version: int | None = None) -> bool:
        """Remove the record, if given only at *version*. Return whether it was there. Durable."""

    @abstractmethod
    def clean(self, now: int, limit: int | None = None) -> int:
        """Remove records with ``expires_at <= now``, *limit* at most; return how many."""

    # -- optional --------------------------------------------------------------

    # Many at once, of different handles, each as if it were alone. Override them to save round trips.

    def get_again(self, handle: str) -> SessionRecord | None:
        """Do as :meth:`get`, for a handle that is asked for often.

        The answer may come from memory if the store knows that nobody has changed it since. A subclass that
        overrides :meth:`get` of such a store must override this one, too.
        """
        return self.get(handle)

    def get_many(self, handles: Sequence[str]) -> list[SessionRecord | None]:
        """Return each record, or None, in its place."""
        return [self.get(handle) for handle in handles]

    def create_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        """Insert each of *records* whose handle is not there; return for each whether it was inserted."""
        return [_created(self, record) for record in records]

    def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        """Update each of *records*; return for each whether it was updated."""
        return [self.update(record) for record in records]

    def replace_many(self, pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> list[bool]:
        """Do as :meth:`replace` for each tombstone and record, but return False for ``RecordExists``."""
        return [_replaced(self, *pair) for pair in pairs]

    def delete_many(self, keys: Sequence[tuple[str, int | None]]) -> list[bool]:
        """Remove each handle, if given only at its version; return for each whether it was there. Durable."""
        return [self.delete(*key) for key in keys]

    def touch(self, handle: str, expires_at: int) -> bool:
        """Move ``expires_at`` forward, never back; the version stays. Return whether it moved."""
        raise _not_supported(self, "touch")

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        """Update to *tombstone* and create *record*, both or neither; return whether it was done.

        Return False if the version was not ``tombstone.version - 1``. Raise ``RecordExists`` as
        in ``create``. The tombstone's ``expires_at`` is stored as given, even if lower.
        """
        raise _not_supported(self, "replace")

    def list_for_user(self, user_id: str, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        """Return the user's records in order of handle, those behind *after*."""
        raise _not_supported(self, "list_for_user")

    def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        """Remove all records of the user in one step, except *except_handle*; return how many."""
        raise _not_supported(self, "delete_for_user")

    def count_by_kid(self) -> dict[str, int]:
        """Return how many records there are for each ``kid``."""
        raise _not_supported(self, "count_by_kid")

    def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        """Return records in order of handle, those behind *after*."""
        raise _not_supported(self, "scan")

    def damage(self) -> list[str]:
        """Return what is wrong with the storage itself, besides single records; empty if unknown."""
        return []

    def advice(self) -> list[str]:
        """Return what should be changed in the setup of the storage, a sentence each."""
        return []

    def create_schema(self) -> bool:
        """Create what records are kept in, or bring it up to date; return whether anything was to do."""
        self.open()
        return False

    def open(self) -> None:
        """Make ready; called when an engine is built. Raise ``ConfigError`` or ``StoreError``."""

    def close(self) -> None:
        """Release connections. The store can be used again, and then opens again."""

    def async_twin(self) -> AsyncSessionStore | None:
        """Return a native asynchronous version, or None to use a bridge."""
        return None


class AsyncSessionStore(ABC):
    """The same contract as :class:`SessionStore`, to await."""

    inline = False
    """Whether no call ever waits, so that none can be cancelled halfway."""

    expires_itself = False

    kin_digits = 0

    namespace = DEFAULT_NAMESPACE

    @abstractmethod
    async def get(self, handle: str) -> SessionRecord | None: ...

    @abstractmethod
    async def create(self, record: SessionRecord) -> None: ...

    @abstractmethod
    async def update(self, record: SessionRecord) -> bool: ...

    @abstractmethod
    async def delete(self, handle: str, version: int | None = None) -> bool: ...

    @abstractmethod
    async def clean(self, now: int, limit: int | None = None) -> int: ...

    async def get_again(self, handle: str) -> SessionRecord | None:
        return await self.get(handle)

    async def get_many(self, handles: Sequence[str]) -> list[SessionRecord | None]:
        return [await self.get(handle) for handle in handles]

    async def create_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        return [await _acreated(self, record) for record in records]

    async def update_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        return [await self.update(record) for record in records]

    async def replace_many(self, pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> list[bool]:
        return [await _areplaced(self, *pair) for pair in pairs]

    async def delete_many(self, keys: Sequence[tuple[str, int | None]]) -> list[bool]:
        return [await self.delete(*key) for key in keys]

    async def touch(self, handle: str, expires_at: int) -> bool:
        raise _not_supported(self, "touch")

    async def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        raise _not_supported(self, "replace")

    async def list_for_user(
        self, user_id: str, after: str | None = None, limit: int = 100
    ) -> list[SessionRecord]:
        raise _not_supported(self, "list_for_user")

    async def delete_for_user(self, user_id: str, except_handle: str | None = None) -> int:
        raise _not_supported(self, "delete_for_user")

    async def count_by_kid(self) -> dict[str, int]:
        raise _not_supported(self, "count_by_kid")

    async def scan(self, after: str | None = None, limit: int = 100) -> list[SessionRecord]:
        raise _not_supported(self, "scan")

    async def close(self) -> None:
        """Release connections."""


def _created(store: SessionStore, record: SessionRecord) -> bool:
    try:
        store.create(record)
    except RecordExists:
        return False
    return True


async def _acreated(store: AsyncSessionStore, record: SessionRecord) -> bool:
    try:
        await store.create(record)
    except RecordExists:
        return False
    return True


def _replaced(store: SessionStore, tombstone: SessionRecord, record: SessionRecord) -> bool:
    try:
        return store.replace(tombstone, record)
    except RecordExists:
        return False


async def _areplaced(store: AsyncSessionStore, tombstone: SessionRecord, record: SessionRecord) -> bool:
    try:
        return await store.replace(tombstone, record)
    except RecordExists:
        return False


def _not_supported(store: object, capability: str) -> NotSupported:
    return NotSupported(f"{type(store).__name__} does not offer {capability}()")
