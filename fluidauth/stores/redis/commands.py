"""Each call of a store about one session, or one user, as commands to Redis, in steps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
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
    KIN_DIGITS,
    LOST,
    REPLACE,
    TOUCH,
    UPDATE,
    decoded,
    encoded,
)
from .url import Place


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
        self._replicas = replicas = routes.settings.wait_replicas
        wait = ("WAIT", replicas, int(routes.settings.timeout * 500))
        self._wait: tuple[Command, ...] = (wait,) if replicas else ()

    # -- the five verbs --------------------------------------------------------

    def get(self, handle: str) -> Steps[SessionRecord | None]:
        key = self._key(handle)
        [value] = yield from self._ask(key, ("GET", key))
        return None if value is None else decoded(handle, value)

    def create(self, record: SessionRecord) -> Steps[None]:
        yield from self._enrol(record.user_id, record.handle, record.expires_at)
        key = self._key(record.handle)
        [done] = yield from self._ask(key, (CREATE, 1, key, encoded(record)))
        if not is_done(done):
            raise RecordExists

    def update(self, record: SessionRecord) -> Steps[bool]:
        key, value = self._key(record.handle), encoded(record)
        [done] = yield from self._ask(key, (UPDATE, 1, key, value, ""))
        if done == 2:  # of another user now: a revocation of that user must find it
            yield from self._enrol(record.user_id, record.handle, record.expires_at)
            [done] = yield from self._ask(key, (UPDATE, 1, key, value, "enrolled"))
        elif done == 3:  # it lives longer
            yield from self._enrol(record.user_id, record.handle, record.expires_at, waits=False)
        return is_done(done)

    def delete(self, handle: str, version: int | None = None) -> Steps[bool]:
        user = yield from self._remove(handle, "" if version is None else str(version))
        if user:
            yield from self._withdraw(user, handle)
        return user is not None

    def clean(self, now: int, limit: int | None = None) -> Steps[int]:
        """Remove what Redis has not removed by itself. This looks at every key."""
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

    def touch(self, handle: str, expires_at: int) -> Steps[bool]:
        key = self._key(handle)
        [user] = yield from self._ask(key, (TOUCH, 1, key, expires_at.to_bytes(8, "big"), GRACE))
        if user:  # a failover of the server with the user's handles may have lost it
            yield from self._enrol(user.decode(), handle, expires_at, waits=False)
        return user is not None

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> Steps[bool]:
        command = self._replacing(tombstone, record)
        yield from self._enrol(record.user_id, record.handle, record.expires_at)
        [done, *user] = yield from self._confirmed(self._key(tombstone.handle), command)
        if done == 2:
            raise RecordExists
        if user and user[0]:
            yield from self._withdraw(user[0], tombstone.handle)
        return is_done(done)

    def delete_for_user(self, user_id: str, except_handle: str | None) -> Steps[int]:
        """Remove until there is nothing more to remove, and no session was renewed meanwhile.

        A renewal enrols the successor before it writes the tombstone. So if all handles were removed
        or buried before any of the others was looked at, none was missed.
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
        if self._replicas:  # what others or an earlier try removed is not listed any more
            yield from self._confirm_all(primaries)
        return removed

    # -- parts --------------------------------------------------------------------------

    def _key(self, handle: str) -> bytes:
        return self._record_key % (handle[:KIN_DIGITS].encode("ascii"), bytes.fromhex(handle))

    def _replacing(self, tombstone: SessionRecord, record: SessionRecord) -> Command:
        if self._routes.is_cluster and tombstone.handle[:KIN_DIGITS] != record.handle[:KIN_DIGITS]:
            raise StoreError(f"in a Redis cluster both handles must begin with the same {KIN_DIGITS} digits")
        keys = (self._key(tombstone.handle), self._key(record.handle), *self._witnesses(tombstone.handle))
        return (REPLACE, len(keys), *keys, encoded(tombstone), encoded(record))

    def _remove(self, handle: str, version: str, user: bytes = b"") -> Steps[Any]:
        """Delete a record; return its user, None if it was not there, a list if it is another user's."""
        return (yield from self._confirmed(self._key(handle), self._removing(handle, version, user)))

    def _removing(self, handle: str, version: str, user: bytes = b"") -> Command:
        keys = (self._key(handle), *self._witnesses(handle))
        return (DELETE, len(keys), *keys, version, user, "")

    def _witnesses(self, handle: str) -> tuple[bytes, ...]:
        """Return what is written with each change of *handle*, if we wait for replicas."""
        return (self._witness_key % handle[:KIN_DIGITS].encode("ascii"),) if self._replicas else ()

    def _confirmed(self, key: bytes, command: Command) -> Steps[Any]:
        """Send *command*, which always writes; return the reply once enough replicas have that."""
        found, *reached = yield from self._ask(key, command, *self._wait, apart=bool(self._wait))
        self._check_reached(reached)
        return found

    def _check_reached(self, replicas: Sequence[int]) -> None:
        """Raise ``StoreError`` if one of the waits ended with too few *replicas*."""
        if replicas and min(replicas) < self._replicas:
            self._routes.doubt()
            raise StoreError(
                f"a change that must be final reached {min(replicas)} of {self._replicas} replicas of Redis "
                "in time"
            )

    def _confirm_all(self, primaries: list[Place]) -> Steps[None]:
        """Wait until replicas have all that *primaries* wrote so far; raise if there are other primaries."""
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

        It *waits* for replicas, unless the list is only healed.
        """
        if user_id is None:
            return
        key, command = self._enrolling(user_id, handle, expires_at)
        if waits:
            stale = yield from self._confirmed(key, command)
        else:
            [stale] = yield from self._ask(key, command)
        yield from self._heal(user_id.encode(), stale)

    def _enrolling(self, user_id: str, handle: str, expires_at: int) -> tuple[bytes, Command]:
        key = self._user_key + user_id.encode()
        return key, (ENROL, 1, key, bytes.fromhex(handle), expires_at, MAX_LIFETIME + GRACE)

    def _heal(self, user: bytes, stale: Sequence[bytes]) -> Steps[None]:
        """Remove the *stale* handles of *user* that are gone; note when the others expire."""
        key = self._user_key + user
        for each in stale:
            found = yield from self.get(each.hex())
            if found is None:
                yield from self._withdraw(user, each.hex())
            else:
                yield from self._ask(key, ("ZADD", key, "XX", "GT", found.expires_at, each))

    def _withdraw(self, user: bytes, handle: str) -> Steps[None]:
        """Remove a handle from those of its user. If that fails, it is done when the user logs in again."""
        key = self._user_key + user
        with suppress(StoreError):
            yield from self._ask(key, ("ZREM", key, bytes.fromhex(handle)))


def is_done(reply: int) -> bool:
    """Return whether a change was made; raise if that cannot be known any more."""
    if reply == LOST:
        raise OutcomeUnknown
    return reply in (1, 3)
