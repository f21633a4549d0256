"""How sessions move from one store to another during live traffic, as calls on the two.

No transaction spans both. So a record moves in steps, and if a process dies in between, any other process
can continue:

1. The new store gets a *claim*, a record under a random handle of its own.
2. The record in the old store is marked with that claim, by compare and swap.
3. ``replace`` uses the claim up and creates the record in the new store, both or neither.
4. The claim is removed, then the marked record.

From 2 on, the old record takes no more changes. Before 3, the new record does not exist. So no change is
lost. A marked record without its claim means that the session is in the new store, or has ended. So a logout
removes the claim, then the old record as it was found, then the new record. A process that was moving the
session then fails at 2 or 3, and the logout is final.

The old store may get back a session that was moved, from a backup or a failover. The new store counts. A
logout or a renewal removes that copy first.

Many sessions move together in the same way, each step as one call for all of them (see ``batch``).

Each operation is a generator that yields ``(place, method, *arguments)`` and is sent the answer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar

from fluidauth.errors import RecordExists, StoreError
from fluidauth.records import SessionRecord

from .claims import claim_at, claim_in, is_claim, is_marked, marked, unmarked, used_up

T = TypeVar("T")
Steps = Generator[tuple[Any, ...], Any, T]

OLD, NEW = 0, 1

_PAGE = 500  # records
_TRIES = 20  # against others that change the same session; each time one of them succeeds


class Migration:
    """The verbs of a store over two of them.

    *moving* says whether sessions are moved yet; *kin_digits* is that of the new store.
    """

    def __init__(self, moving: bool, kin_digits: int) -> None:
        self._moving = moving
        self._home = NEW if moving else OLD
        self._kin_digits = kin_digits

    # -- one session -------------------------------------------------------------

    def get(self, handle: str) -> Steps[SessionRecord | None]:
        found: SessionRecord | None = yield (NEW, "get", handle)
        if found is None:
            _, found = yield from self._found(handle, self._moving)
        return found

    def create(self, record: SessionRecord) -> Steps[None]:
        yield from self._refuse_taken(record.handle)
        yield (self._home, "create", record)

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> Steps[bool]:
        yield from self._refuse_taken(record.handle)
        if (left := (yield (OLD, "get", tombstone.handle))) is not None:
            yield from self._drop_copy(left)
        return (yield from self._change(tombstone.handle, "replace", tombstone, record))

    def _refuse_taken(self, handle: str) -> Steps[None]:
        """Raise ``RecordExists`` if either store has a record of *handle*. Each store knows only its own."""
        for place in (OLD, NEW):
            if (yield (place, "get", handle)) is not None:
                raise RecordExists

    def _change(self, handle: str, method: str, *arguments: Any) -> Steps[bool]:
        """Call *method* on the store that has the record. It returns False in the other one."""
        if (yield (NEW, method, *arguments)):
            return True
        place, found = yield from self._found(handle, self._moving)
        return found is not None and bool((yield (place, method, *arguments)))

    def update(self, record: SessionRecord) -> Steps[bool]:
        return self._change(record.handle, "update", record)

    def touch(self, handle: str, expires_at: int) -> Steps[bool]:
        return self._change(handle, "touch", handle, expires_at)

    def delete(self, handle: str, version: int | None = None) -> Steps[bool]:
        """Remove a session from both stores, if it has this *version*. Only that in the new store counts."""
        found: SessionRecord | None = None
        for _ in range(_TRIES):
            left: SessionRecord | None = yield (OLD, "get", handle)
            if left is None:
                return bool((yield (NEW, "delete", handle, version)))
            if version is not None:
                found = yield (NEW, "get", handle)
                if found is None and is_marked(left):
                    yield from self._finish(left)
                    continue
                if (found or left).version != version:
                    return False
            # The old one first: while it is there, another request may move it again.
            if (yield from self._removed(left)):
                is_gone: bool = yield (NEW, "delete", handle, version)
                return is_gone or found is None
        raise _contended()

    def move(self, handle: str) -> Steps[bool]:
        """Move a session; return whether it was not in the new store before."""
        if (yield (NEW, "get", handle)) is None:
            place, found = yield from self._found(handle, moving=True)
            return place == NEW and found is not None
        if (left := (yield (OLD, "get", handle))) is not None:
            yield from self._removed(left)
        return False

    def _drop_copy(self, left: SessionRecord) -> Steps[None]:
        """Remove *left* if the new store has its session, because it would outlive that."""
        if (yield (NEW, "get", left.handle)) is not None:
            yield from self._removed(left)

    def _found(self, handle: str, moving: bool) -> Steps[tuple[int, SessionRecord | None]]:
        """Return the place and the record of a session that was not in the new store just now."""
        for _ in range(_TRIES):
            left: SessionRecord | None = yield (OLD, "get", handle)
            if left is None:  # it ended, or was moved in between
                return NEW, (yield (NEW, "get", handle))
            if is_marked(left):
                return NEW, (yield from self._finish(left))
            if not moving:
                return OLD, left
            yield from self._mark(left)
        raise _contended()

    def _mark(self, record: SessionRecord) -> Steps[None]:
        """Mark *record* with a claim of its own, unless another request changed it first."""
        claim = self.claim_for(record)
        # The claim first: a mark without one says that the session ended, if this process dies in between.
        yield (NEW, "create", claim)
        if not (yield (OLD, "update", marked(record, claim))):
            yield (NEW, "delete", claim.handle)

    def claim_for(self, record: SessionRecord) -> SessionRecord:
        """Return a claim for *record*, under a handle of its own."""
        digits = self._kin_digits
        return claim_at(record, record.handle[:digits] + os.urandom(32).hex()[digits:])

    def _finish(self, left: SessionRecord) -> Steps[SessionRecord | None]:
        """Move *left*, which was marked before; return None if it ended since."""
        record = unmarked(left)
        # Several processes may move the same one, as after a crash. The first to use the claim up does it.
        # For the others the swap fails: then they read what the first made, or that it ended since.
        try:
            done = yield (NEW, "replace", used_up(left), record)
        except RecordExists:  # what was marked is a copy of it
            done = False
        found: SessionRecord | None = record if done else (yield (NEW, "get", record.handle))
        yield from self._removed(left)
        return found

    def _removed(self, left: SessionRecord) -> Steps[bool]:
        """Remove the claim for *left*, so that nobody moves it, then *left*; return whether it was there."""
        if is_marked(left):  # otherwise another process that finishes it makes it again, after a logout
            yield (NEW, "delete", claim_in(left).handle)
        return bool((yield (OLD, "delete", left.handle, left.version)))

    # -- many sessions -----------------------------------------------------------

    def get_many(self, handles: Sequence[str]) -> Steps[list[SessionRecord | None]]:
        found = []
        for handle in handles:
            found.append((yield from self.get(handle)))
        return found

    def create_many(self, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
        return _each(self.create(record) for record in records)

    def update_many(self, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
        return _each(self.update(record) for record in records)

    def replace_many(self, pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> Steps[list[bool]]:
        return _each(self.replace(*pair) for pair in pairs)

    def delete_many(self, keys: Sequence[tuple[str, int | None]]) -> Steps[list[bool]]:
        return _each(self.delete(*key) for key in keys)

    def list_for_user(self, user_id: str, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
        return self._page("list_for_user", (user_id,), after, limit)

    def scan(self, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
        return self._page("scan", (), after, limit)

    def delete_for_user(self, user_id: str, spared: str | None) -> Steps[int]:
        """Remove the user's records except *spared*; those of the old store one by one, with their claims."""
        count = 0
        while True:
            page: list[SessionRecord] = yield (OLD, "list_for_user", user_id, None, _PAGE)
            left = [record.handle for record in page if record.handle != spared]
            if not left:  # what was there is removed, or in the new store
                in_new: int = yield (NEW, "delete_for_user", user_id, spared)
                return count + in_new
            for handle in left:
                count += yield from self.delete(handle)

    def count_by_kid(self) -> Steps[dict[str, int]]:
        """Count records that are being moved twice."""
        counts = Counter[str]()
        for found in (yield from self._both("count_by_kid")):
            counts.update(found)
        return dict(counts)

    def _both(self, method: str, *arguments: Any) -> Steps[tuple[Any, Any]]:
        """Return what both stores answer, the old one first: what moves in between is seen twice."""
        return (yield (OLD, method, *arguments)), (yield (NEW, method, *arguments))

    def clean(self, now: int, limit: int | None) -> Steps[int]:
        count: int = yield (OLD, "clean", now, limit)
        if limit is None or count < limit:
            count += yield (NEW, "clean", now, limit if limit is None else limit - count)
        return count

    def _page(
        self, method: str, arguments: tuple[Any, ...], after: str | None, limit: int
    ) -> Steps[list[SessionRecord]]:
        """Return *limit* records behind *after* from both stores, each once, without claims."""
        found: list[SessionRecord] = []
        while len(found) < limit:
            pages = yield from self._both(method, *arguments, after, limit)
            # Behind the end of a full page its store may have records that the other page lacks.
            full = min((page[-1].handle for page in pages if len(page) >= limit), default=None)
            seen = {record.handle: record for page in pages for record in page}
            found += [
                unmarked(record)
                for handle, record in sorted(seen.items())
                if not is_claim(record) and (full is None or handle <= full)
            ]
            if full is None:
                break
            after = full
        return found[:limit]


def _each(calls: Iterable[Steps[Any]]) -> Steps[list[bool]]:
    """Make *calls* one after the other; return for each whether it was done."""
    done = []
    for steps in calls:
        try:
            done.append((yield from steps) is not False)
        except RecordExists:
            done.append(False)
    return done


def _contended() -> StoreError:
    return StoreError(f"a session was changed {_TRIES} times while it was moved to the new store; try again")
