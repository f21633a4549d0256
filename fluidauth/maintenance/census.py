"""What a stored record is worth, and which keys sessions depend on, without a request.

Nothing here changes a record or asks a store: who calls it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NamedTuple

from fluidauth.errors import RecordTampered
from fluidauth.events import Notice
from fluidauth.formats.encryption import encrypted_by
from fluidauth.formats.payloads import sealed_by
from fluidauth.records import Body, SessionRecord, Tombstone
from fluidauth.rules.expiry import is_expired
from fluidauth.rules.loading import open_record
from fluidauth.rules.policy import Policy

Scan = Callable[[str | None, int], list[SessionRecord]]

PAGE = 500  # records read at once

Verdict = Literal[
    "live",  # genuine, and opens to whoever has its cookie
    "undecryptable",  # genuine, but an encrypted field cannot be read
    "ended",  # genuine, and expired, or in the place of an id that was renewed
    "revoked",  # sealed by a key that is revoked, or its cookie signed by one
    "foreign",  # sealed by a key that this keyring does not have
    "tampered",  # not what a key of this keyring sealed
]


class Finding(NamedTuple):
    """What was found out about one record; ``content`` only if its seal is genuine."""

    verdict: Verdict
    detail: str
    content: Body | Tombstone | None = None


@dataclass(slots=True)
class Census:
    """What there is in a store, as far as the columns tell."""

    live: int = 0
    expired: int = 0
    payload_bytes: int = 0
    largest_payload: int = 0
    users: set[str] = field(default_factory=set)
    by_cookie_key: Counter[str] = field(default_factory=Counter)
    by_seal_key: Counter[str] = field(default_factory=Counter)

    def count(self, record: SessionRecord, now: int) -> None:
        """Add one record; users and keys are those of live ones."""
        self.payload_bytes += len(record.payload)
        self.largest_payload = max(self.largest_payload, len(record.payload))
        if record.expires_at <= now:
            self.expired += 1
            return
        self.live += 1
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
    """Unix seconds: when the last of all these expires if nobody uses it; None without any."""

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
    """Yield all records in order of handle, *size* at a time, by a store's *scan*; the last may be none."""
    while True:
        page = scan(after, size)
        yield page
        if len(page) < size:
            return
        after = page[-1].handle


def every_record(scan: Scan, after: str | None = None) -> Iterator[SessionRecord]:
    """Yield all records in order of handle, by a store's *scan*."""
    return chain.from_iterable(pages(scan, after=after))


def inspect(policy: Policy, record: SessionRecord, now: int) -> Finding:
    """Return what *record* is worth at the time *now*."""
    found = open_record(policy, record, record.handle, now)
    try:  # what does not open is unsealed again, to tell why
        content = found if isinstance(found, Body) else policy.sealer.unseal(record)
    except RecordTampered as error:
        return refusal(record, error.reason)
    if isinstance(content, Tombstone):
        return Finding("ended", f"replaced by {content.reason}; goes on as {content.successor}", content)
    if isinstance(found, Notice):
        if found.name == "record_tampered":  # expires_at, which no seal covers, is no number
            return refusal(record, "format")
        expired = is_expired(record, content, now)
        return Finding("ended", "expired" if expired else "created in the future", content)
    if record.kid in policy.sealer.keyring.revoked:
        return Finding(
            "revoked", f"the cookie last issued is under key {record.kid}, which is revoked", content
        )
    unreadable = sorted(content.unreadable())
    if unreadable:
        return Finding("undecryptable", f"cannot be read: {', '.join(map(repr, unreadable))}", content)
    return Finding("live", f"sealed by key {sealed_by(record)}", content)


def refusal(record: SessionRecord, reason: str) -> Finding:
    """Return the finding for a *record* that was refused for *reason*, one of ``RecordTampered``."""
    if reason == "unknown_key":
        return Finding("foreign", f"sealed by key {sealed_by(record)!r}, which the keyring does not have")
    if reason == "revoked_key":
        return Finding("revoked", f"sealed by key {sealed_by(record)}, which is revoked")
    words = {
        "mac": "changed, or copied from elsewhere: its seal does not fit",
        "format": "not of a known form",
    }
    return Finding("tampered", words[reason])
