"""Each call of a store about many sessions: a command for each, in as few pipelines as possible."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from fluidauth.errors import StoreError
from fluidauth.records import SessionRecord

from .commands import RedisRecords, is_done
from .connection import Command
from .routing import Routes, Steps
from .scripts import CREATE, HEAD, UPDATE, decoded, encoded, kid_in
from .together import ask_together
from .url import Place

_WINDOW = 200  # pages of handles that one walk over all keys keeps

Keyed = tuple[bytes, Command]


class RedisCalls(RedisRecords):
    """All calls of a store in one namespace."""

    def __init__(self, routes: Routes) -> None:
        super().__init__(routes)
        self._window: tuple[str, list[bytes]] = ("", [])

    # -- many at once ----------------------------------------------------------

    def get_many(self, handles: Sequence[str]) -> Steps[list[SessionRecord | None]]:
        keys = [self._key(handle) for handle in handles]
        values, _ = yield from ask_together(self._routes, [(key, ("GET", key)) for key in keys])
        return [
            None if value is None else decoded(handle, value)
            for handle, value in zip(handles, values, strict=True)
        ]

    def create_many(self, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
        yield from self._enrol_all(records)
        keys = [self._key(record.handle) for record in records]
        commands = [
            (key, (CREATE, 1, key, encoded(record))) for key, record in zip(keys, records, strict=True)
        ]
        replies, _ = yield from ask_together(self._routes, commands)
        return [is_done(reply) for reply in replies]

    def update_many(self, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
        keys = [self._key(record.handle) for record in records]
        commands = [
            (key, (UPDATE, 1, key, encoded(record), "")) for key, record in zip(keys, records, strict=True)
        ]
        replies, _ = yield from ask_together(self._routes, commands)
        for position, record in enumerate(records):
            if replies[position] == 2:  # of another user now
                replies[position] = yield from self.update(record)
        longer = [r for r, reply in zip(records, replies, strict=True) if reply == 3]
        yield from self._enrol_all(longer, waits=False)
        return [is_done(reply) for reply in replies]

    def replace_many(self, pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> Steps[list[bool]]:
        commands = [(self._key(tombstone.handle), self._replacing(tombstone, r)) for tombstone, r in pairs]
        yield from self._enrol_all([record for _, record in pairs])
        done = []
        gone: list[tuple[bytes, str]] = []
        for (tombstone, _), (reply, *user) in zip(
            pairs, (yield from self._confirmed_all(commands)), strict=True
        ):
            done.append(is_done(reply))
            gone += [(each, tombstone.handle) for each in user if each]
        yield from self._withdraw_all(gone)
        return done

    def delete_many(self, keys: Sequence[tuple[str, int | None]]) -> Steps[list[bool]]:
        commands = [
            (self._key(handle), self._removing(handle, "" if version is None else str(version)))
            for handle, version in keys
        ]
        users = yield from self._confirmed_all(commands)
        gone = [(user, handle) for user, (handle, _) in zip(users, keys, strict=True) if user]
        yield from self._withdraw_all(gone)
        return [user is not None for user in users]

    # -- lists and counts ------------------------------------------------------

    def list_for_user(self, user_id: str, after: str | None, limit: int) -> Steps[list[SessionRecord]]:
        handles = sorted((yield from self._handles_of(user_id.encode())))
        start = bisect_right(handles, bytes.fromhex(after)) if after else 0
        found: list[SessionRecord] = []
        while len(found) < limit and start < len(handles):
            page = handles[start : start + limit - len(found)]
            records = yield from self.get_many([handle.hex() for handle in page])
            found += [record for record in records if record is not None and record.user_id == user_id]
            start += len(page)
        return found

    def count_by_kid(self) -> Steps[dict[str, int]]:
        """Count by looking at every record. While Redis grows its table, one may be counted twice."""
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
            records = yield from self.get_many([handle.hex() for handle in page])
            found += [record for record in records if record is not None]
            last = page[-1].hex()
            self._window = (last, rest)
        return found

    # -- parts -----------------------------------------------------------------

    def _confirmed_all(self, commands: Sequence[Keyed]) -> Steps[list[Any]]:
        """Send *commands* as ``_confirmed`` does one."""
        replies, reached = yield from ask_together(self._routes, commands, self._wait)
        self._check_reached(reached)
        return replies

    def _enrol_all(self, records: Iterable[SessionRecord], *, waits: bool = True) -> Steps[None]:
        """Put the handle of each of *records* among those of its user, as ``_enrol`` does one."""
        of_users = [record for record in records if record.user_id is not None]
        commands = [
            self._enrolling(record.user_id or "", record.handle, record.expires_at) for record in of_users
        ]
        replies, reached = yield from ask_together(self._routes, commands, self._wait if waits else ())
        self._check_reached(reached)
        for record, stale in zip(of_users, replies, strict=True):
            yield from self._heal((record.user_id or "").encode(), stale)

    def _withdraw_all(self, gone: Iterable[tuple[bytes, str]]) -> Steps[None]:
        """Remove each handle from those of its user, as ``_withdraw`` does one."""
        keys = [(self._user_key + user, handle) for user, handle in gone]
        with suppress(StoreError):
            yield from ask_together(
                self._routes, [(key, ("ZREM", key, bytes.fromhex(handle))) for key, handle in keys]
            )
