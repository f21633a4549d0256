"""What a stored record is, and which keys sessions depend on, without a request.

Nothing here changes a record or asks a store. Its callers do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from fluidauth.formats.encryption import encrypted_by
from fluidauth.formats.payloads import kind_of, sealed_by
from fluidauth.records import Body, SessionRecord
from fluidauth.rules.policy import Policy
from fluidauth.rules.verdicts import inspect

Scan = Callable[[str | None, int], list[SessionRecord]]

PAGE = 500  # records read at once


@dataclass(slots=True)
class Census:
    """What is in a store, as far as the columns show."""

    live: int = 0
    expired: int = 0
    payload_bytes: int = 0
    largest_payload: int = 0
    users: set[str] = field(default_factory=set)
    by_kind: Counter[str] = field(default_factory=Counter)
    by_cookie_key: Counter[str] = field(default_factory=Counter)
    by_seal_key: Counter[str] = field(default_factory=Counter)

    def count(self, record: SessionRecord, now: int) -> None:
        """Add one record. Kinds, users and keys count live sessions only."""
        self.payload_bytes += len(record.payload)
        self.largest_payload = max(self.largest_payload, len(record.payload))
        if record.expires_at <= now:
            self.expired += 1
            return
        self.live += 1
        self.by_kind[kind_of(record)] += 1
        self.by_cookie_key[record.kid] += 1
        self.by_seal_key[sealed_by(record)] += 1
        if record.user_id is not None:
            self.users.add(record.user_id)

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON can hold them."""
        return {
            "live": self.live,
            "expired": self.expired,
            "users": len(self.users),
            "payload_bytes": self.payload_bytes,
            "largest_payload": self.largest_payload,
            "by_kind": dict(self.by_kind),
            "by_cookie_key": dict(self.by_cookie_key),
            "by_seal_key": dict(self.by_seal_key),
        }


@dataclass(slots=True)
class KeyUse:
    """Which live sessions depend on one key."""

    sessions: int = 0
    """Sessions that end if the key is revoked: their cookie or their record is under it."""
    cookies: int = 0
    """Of those, sessions whose cookie was last signed by it."""
    payloads: int = 0
    """Of those, sessions whose record is sealed by it."""
    fields: int = 0
    """Sessions that go on without an encrypted field that is under it."""
    until: int | None = None
    """Unix seconds: when the last of all these expires if it is not used; None without any."""

    def count(self, policy: Policy, kid: str, records: Iterable[SessionRecord], now: int) -> None:
        """Add the live sessions among *records* that depend on the key *kid*."""
        for record in records:
            found = inspect(policy, record, now)
            if found.verdict not in ("live", "undecryptable") or not isinstance(found.content, Body):
                continue
            cookie, payload = record.kid == kid, sealed_by(record) == kid
            fields = [kept.envelope for kept in found.content.locked.values() if not kept.error]
            if cookie or payload or kid in map(encrypted_by, fields):
                self._note(cookie, payload, min(record.expires_at, found.content.deadline))

    def _note(self, cookie: bool, payload: bool, expires_at: int) -> None:
        self.cookies += cookie
        self.payloads += payload
        if cookie or payload:
            self.sessions += 1
        else:
            self.fields += 1
        self.until = max(self.until or 0, expires_at)


def pages(scan: Scan, size: int = PAGE, after: str | None = None) -> Iterator[list[SessionRecord]]:
    """Yield all records in order of handle, *size* at a time, by a store's *scan*. The last may be empty."""
    while True:
        page = scan(after, size)
        yield page
        if len(page) < size:
            return
        after = page[-1].handle


def every_record(scan: Scan, after: str | None = None) -> Iterator[SessionRecord]:
    """Yield all records in order of handle, by a store's *scan*."""
    return chain.from_iterable(pages(scan, after=after))
