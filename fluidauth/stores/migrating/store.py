"""Two stores as one, while sessions move from the old one to the new one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from fluidauth.concurrency import adrive, drive
from fluidauth.errors import ConfigError, RecordExists
from fluidauth.records import SessionRecord
from fluidauth.stores.base import AsyncSessionStore, SessionStore
from fluidauth.stores.bridge import to_async
from fluidauth.stores.delegating import AsyncDelegatingStore, DelegatingStore

from .batch import move_many
from .handover import Migration, Steps

T = TypeVar("T")


class MigratingStore(DelegatingStore):
    """Reads *new*, then *old*, and moves each session to *new* at its first use.

    So a service changes its store without logging anyone out:

    1. Give every process ``MigratingStore(old, new, moving=False)``. It finds sessions in
       either store and changes them where they are. New sessions still begin in *old*.
    2. When no process uses *old* alone any more, give every process ``MigratingStore(old, new)``.
    3. Run ``fluidauth sessions copy``. It moves the sessions that nobody used, and says when
       none is left. From then on ``new`` serves alone.

    A service that can stop for a moment may leave the first step out. Every promise of the
    stores is kept: no change is lost and a logout is final, even if a process dies halfway. The
    module ``migrating/handover`` describes how. *new* must offer ``replace``, as all our stores
    do. While a session is moved, ``count_by_kid`` counts it twice.

    Raise :class:`ConfigError` if both stores are the same, or have different namespaces.
    """

    def __init__(self, old: SessionStore, new: SessionStore, *, moving: bool = True) -> None:
        if old is new:
            raise ConfigError("a MigratingStore needs two stores, an old one and a new one")
        if old.namespace != new.namespace:
            raise ConfigError(
                f"both stores need the same namespace: {old.namespace!r} is not {new.namespace!r}"
            )
        self.namespace: str = old.namespace
        self.old: SessionStore = old
        self.new: SessionStore = new
        self.moving: bool = moving
        # Moving cleans the old store: what is left in it is given up with it.
        self.expires_itself: bool = new.expires_itself
        self.kin_digits: int = max(old.kin_digits, new.kin_digits)
        self._migration = Migration(moving, new.kin_digits)

    def __repr__(self) -> str:
        sign = "->" if self.moving else "+"
        return f"<MigratingStore {self.old!r} {sign} {self.new!r}>"

    def _call(self, verb: str, *arguments: Any) -> Any:
        return self._run(getattr(self._migration, verb)(*arguments))

    def move(self, handle: str) -> bool:
        """Move one session to the new store, also if not *moving*; return whether it was not there before."""
        return self._run(self._migration.move(handle))

    def move_many(self, records: Sequence[SessionRecord]) -> list[bool]:
        """Move *records*, just read from the old store; return for each if the new one did not have it."""
        return self._run(move_many(self._migration, records))

    def damage(self) -> list[str]:
        return [*self.old.damage(), *self.new.damage()]

    def advice(self) -> list[str]:
        return [*self.old.advice(), *self.new.advice()]

    def create_schema(self) -> bool:
        created = [self.old.create_schema(), self.new.create_schema()]
        return any(created)

    def open(self) -> None:
        self.old.open()
        self.new.open()

    def close(self) -> None:
        try:
            self.old.close()
        finally:
            self.new.close()

    def async_twin(self) -> AsyncSessionStore:
        return AsyncMigratingStore(self, self._migration)

    def _run(self, steps: Steps[T]) -> T:
        return drive(steps, partial(_ask, (self.old, self.new)), (RecordExists,))


class AsyncMigratingStore(AsyncDelegatingStore):
    """The same two stores for asynchronous code, each through its own twin."""

    def __init__(self, store: MigratingStore, migration: Migration) -> None:
        self.namespace: str = store.namespace
        self.expires_itself: bool = store.expires_itself
        self.kin_digits: int = store.kin_digits
        self._places = (to_async(store.old), to_async(store.new))
        self._migration = migration

    async def _call(self, verb: str, *arguments: Any) -> Any:
        return await self._run(getattr(self._migration, verb)(*arguments))

    async def close(self) -> None:
        old, new = self._places
        try:
            await old.close()
        finally:
            await new.close()

    async def _run(self, steps: Steps[T]) -> T:
        return await adrive(steps, partial(_ask, self._places), (RecordExists,))


def _ask(places: Sequence[object], question: tuple[Any, ...]) -> Any:
    """Return the answer of the old store or of the new one, or an awaitable for it."""
    place, method, *arguments = question
    return getattr(places[place], method)(*arguments)
