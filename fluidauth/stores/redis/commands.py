"""Each call of a store as commands to Redis, in steps."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from fluidauth.errors import OutcomeUnknown, RecordExists, StoreError
from fluidauth.records import END_OF_TIME, MAX_LIFETIME, SessionRecord

from .connection import Command
from .keyspace import Keyspace
from .routing import Routes, Steps
from .scripts import (
    CREATE,
    DELETE,
    ENROL,
    GRACE,
    HEAD,
    KIN_DIGITS,
    LOST,
    REPLACE,
    TOUCH,
    UPDATE,
    decoded,
    encoded,
    kid_in,
)
from .url import Place

_WINDOW = 200  # pages of handles that one walk over all keys keeps


class RedisRecords:
    """The calls of a store in one namespace, each as steps that wait for one reply after the other."""

    def __init__(self, routes: Routes) -> None:
        self._ask = routes.ask
        self._routes = routes
        space = routes.settings.namespace.encode("ascii")
        self._record_key = b"%b:{%%b}%%b" % space
        self._user_key = b"%b:u:" % space
        self._witness_key = b"%b:w{%%b}" % space
        self._keys = Keyspace(routes, b"%b:{??}*" % space)
        self._replicas = routes.settings.wait_replicas
        self._window: tuple[str, list[bytes]] = ("", [])

    # -- the five verbs --------------------------------------------------------

    def get(self, handle: str) -> Steps[SessionRecord | None]:
        key = self._key(handle)
        [value] = yield from self._ask(key, ("GET", key))
        return None if value is None else decoded(handle, value)

    def create(self, record: SessionRecord) -> Steps[None]:
        yield from self._enrol(record.user_id, record.handle, record.expires_at)
        key = self._key(record.handle)
        [done] = yield from self._ask(key, (CREATE, 1, key, encoded(record)))
        if not _is_done(done):
            raise RecordExists

    def update(self, record: SessionRecord) -> Steps[bool]:
        key, value = self._key(record.handle), encoded(record)
        [done] = yield from self._ask(key, (UPDATE, 1, key, value, ""))
        if done == 2:  # of another user now, whose sessions must be known to whoever revokes them
            yield from self._enrol(record.user_id, record.handle, record.expires_at)
            [done] = yield from self._ask(key, (UPDATE, 1, key, value, "enrolled"))
        elif done == 3:  # it lives longer
            yield from self._enrol(record.user_id, record.handle, record.expires_at, waits=False)
        return _is_done(done)

    def delete(self, handle: str, version: int | None = None) -> Steps[bool]:
        user = yield from self._remove(handle, "" if version is None else str(version))
        if user:
            yield from self._withdraw(user, handle)
        return user is not None

    def clean(self, now: int, limit: int | None = None) -> Steps[int]:
        """Remove what Redis has not removed by itself; it looks at every key."""
        removed = 0
        ends_all = bool(self._replicas) and now >= END_OF_TIME
        primaries = (yield from self._routes.primaries()) if ends_all else []

        def visit(place: Place, keys: list[bytes]) -> Steps[bool]:
            nonlocal removed
            heads = yield from self._routes.at(place, *(("GETRANGE", key, 17, 24) for key in keys))
            for key, head in zip(keys, heads, strict=True):
                if isinstance(head, bytes) and len(head) == 8 and int.from_bytes(head, "big") <= now:
                    [gone] = yield from self._ask(key, (DELETE, 1, key, "", "", now))
                    removed += gone is not None
                    if removed == limit:
                        return True
            return False

        if limit is None or limit > 0:
            yield from self._keys.walk(visit)
        if ends_all:
            yield from self._confirm_all(primaries)
        return removed

    # -- optional --------------------------------------------------------------

    def update_many(self, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
        done = []
        for record in records:
            done.append((yield from self.update(record)))
        return done

    def touch(self, handle: str, expires_at: int) -> Steps[bool]:
        key = self._key(handle)
        [user] = yield from self._ask(key, (TOUCH, 1, key, expires_at.to_bytes(8, "big"), GRACE))
        if user:  # a failover of the server with the user's handles may have lost it
            yield from self._enrol(user.decode(), handle, expires_at, waits=False)
        return user is not None

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> Steps[bool]:
        if self._routes.is_cluster and tombstone.handle[:KIN_DIGITS] != record.handle[:KIN_DIGITS]:
            raise StoreError(f"in a Redis cluster both handles must begin with the same {KIN_DIGITS} digits")
        yield from self._enrol(record.user_id, record.handle, record.expires_at)
        keys = (self._key(tombstone.handle), self._key(record.handle), *self._witnesses(tombstone.handle))
        command = (REPLACE, len(keys), *keys, encoded(tombstone), encoded(record))
        [done, *user] = yield from self._confirmed(keys[0], command)
        if done == 2:
            raise RecordExists
        if user and user[0]:
            yield from self._withdraw(user[0], tombstone.handle)
        return _is_done(done)

    def list_for_user(self, user_id: str, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
        handles = sorted((yield from self._handles_of(user_id.encode())))
        start = bisect_right(handles, bytes.fromhex(after)) if after else 0
        found: list[SessionRecord] = []
        for handle in islice(handles, start, None):
            if len(found) >= limit:
                break
            record = yield from self.get(handle.hex())
            if record is not None and record.user_id == user_id:
                found.append(record)
        return found

    def delete_for_user(self, user_id: str, except_handle: str | None) -> Steps[int]:
        """Remove until there is nothing more to remove, and no session was renewed meanwhile.

        A renewal enrols the successor before the tombstone is written. So whoever has found all
        handles removed or buried before it looked at any of the rest has missed none.
        """
        primaries = (yield from self._routes.primaries()) if self._replicas else []
        user, removed, buried = user_id.encode(), 0, set[bytes]()
        kept = bytes.fromhex(except_handle) if except_handle else b""
        is_over = False
        while not is_over:
            is_over = True
            for handle in (yield from self._handles_of(user)):
                if handle == kept:
                    continue
                found = yield from self._remove(handle.hex(), "", user)
                if isinstance(found, list):
                    is_over = is_over and found[0] in buried
                    buried.add(found[0])
                elif found is not None:
                    is_over = False
                    removed += 1
                    yield from self._withdraw(user, handle.hex())
        if self._replicas:  # what others removed, or an earlier try, is not listed any more
            yield from self._confirm_all(primaries)
        return removed

    def count_by_kid(self) -> Steps[dict[str, int]]:
        """Count by looking at every record; while Redis grows its table one may be counted twice."""
        counts: Counter[str] = Counter()

        def visit(place: Place, keys: list[bytes]) -> Steps[bool]:
            heads = yield from self._routes.at(
                place, *(("GETRANGE", key, 0, HEAD.size + 255) for key in keys)
            )
            counts.update(kid_in(head) for head in heads if isinstance(head, bytes) and head)
            return False

        yield from self._keys.walk(visit)
        return dict(counts)

    def scan(self, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
        """Return records in order of handle, which Redis does not know.

        One walk over all keys keeps the next handles in order for the pages that follow.
        """
        found: list[SessionRecord] = []
        last = after or ""
        while len(found) < limit:
            known_after, handles = self._window
            if after is None or known_after != last or not handles:
                handles = yield from self._keys.lowest_handles(last, limit * _WINDOW)
                after = last
            if not handles:
                return found
            page, rest = handles[: limit - len(found)], handles[limit - len(found) :]
            for handle in page:
                record = yield from self.get(handle.hex())
                if record is not None:
                    found.append(record)
            last = page[-1].hex()
            self._window = (last, rest)
        return found

    # -- parts --------------------------------------------------------------------------

    def _key(self, handle: str) -> bytes:
        return self._record_key % (handle[:KIN_DIGITS].encode("ascii"), bytes.fromhex(handle))

    def _remove(self, handle: str, version: str, user: bytes = b"") -> Steps[Any]:
        """Delete a record; return its user, None if it was not there, a list if it is another user's."""
        keys = (self._key(handle), *self._witnesses(handle))
        return (yield from self._confirmed(keys[0], (DELETE, len(keys), *keys, version, user, "")))

    def _witnesses(self, handle: str) -> tuple[bytes, ...]:
        """Return what is to be written with whatever becomes of *handle*, where replicas are waited for."""
        return (self._witness_key % handle[:KIN_DIGITS].encode("ascii"),) if self._replicas else ()

    def _confirmed(self, key: bytes, command: Command) -> Steps[Any]:
        """Send *command*, which writes in any case; return the reply once enough replicas have that."""
        if not self._replicas:
            [found] = yield from self._ask(key, command)
            return found
        wait = ("WAIT", self._replicas, int(self._routes.settings.timeout * 500))
        found, reached = yield from self._ask(key, command, wait, apart=True)
        if reached < self._replicas:
            self._routes.doubt()
            raise StoreError(
                f"what is not to be undone reached {reached} of {self._replicas} replicas of Redis in time"
            )
        return found

    def _confirm_all(self, primaries: list[Place]) -> Steps[None]:
        """Wait until replicas have all that *primaries* wrote so far; raise if others took their place."""
        every = [self._witness_key % b"%02x" % number for number in range(16**KIN_DIGITS)]
        for key in self._routes.one_for_each_primary(every):
            yield from self._confirmed(key, ("SET", key, "", "EX", GRACE))
        if primaries != (yield from self._routes.primaries()):
            raise StoreError("another Redis became the primary meanwhile, and may not know what was ended")

    def _handles_of(self, user: bytes) -> Steps[list[bytes]]:
        key = self._user_key + user
        [handles] = yield from self._ask(key, ("ZRANGE", key, 0, -1))
        return handles  # type: ignore[no-any-return]  # as Redis gives them

    def _enrol(self, user_id: str | None, handle: str, expires_at: int, *, waits: bool = True) -> Steps[None]:
        """Put *handle* among those of its user, and remove what is long gone.

        It *waits* for replicas, but where the list is only healed.
        """
        if user_id is None:
            return
        user = user_id.encode()
        key = self._user_key + user
        command = (ENROL, 1, key, bytes.fromhex(handle), expires_at, MAX_LIFETIME + GRACE)
        if waits:
            stale = yield from self._confirmed(key, command)
        else:
            [stale] = yield from self._ask(key, command)
        for each in stale:
            found = yield from self.get(each.hex())
            if found is None:
                yield from self._withdraw(user, each.hex())
            else:
                yield from self._ask(key, ("ZADD", key, "XX", "GT", found.expires_at, each))

    def _withdraw(self, user: bytes, handle: str) -> Steps[None]:
        """Remove a handle from those of its user; if that fails, it is done when the user logs in again."""
        key = self._user_key + user
        with suppress(StoreError):
            yield from self._ask(key, ("ZREM", key, bytes.fromhex(handle)))


def _is_done(reply: int) -> bool:
    """Return whether a change was made; raise if that cannot be known any more."""
    if reply == LOST:
        raise OutcomeUnknown
    return reply in (1, 3)
