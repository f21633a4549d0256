"""What one record is worth, and which key it is under."""

from __future__ import annotations

from typing import Literal, NamedTuple

from fluidauth.errors import RecordTampered
from fluidauth.events import Notice
from fluidauth.formats.payloads import sealed_by
from fluidauth.records import Body, SessionRecord, Tombstone

from .expiry import is_expired
from .loading import open_record
from .policy import Policy

Verdict = Literal[
    "live",  # genuine, and opens to a browser with its cookie
    "undecryptable",  # genuine, but an encrypted field cannot be read
    "ended",  # genuine, but expired, or the tombstone of an id that was renewed
    "revoked",  # sealed by a key that is revoked, or its cookie signed by one
    "foreign",  # sealed by a key that this keyring does not have
    "tampered",  # not what a key of this keyring sealed
]


class Finding(NamedTuple):
    """What was found out about one record. It has ``content`` only if the seal is genuine."""

    verdict: Verdict
    detail: str
    content: Body | Tombstone | None = None


def inspect(policy: Policy, record: SessionRecord, now: int) -> Finding:
    """Return the verdict on *record* at the time *now*."""
    found = open_record(policy, record, record.handle, now)
    try:  # what does not open is unsealed again, to find out why
        content = found if isinstance(found, Body) else policy.sealer.unseal(record)
    except RecordTampered as error:
        return refusal(record, error.reason)
    if isinstance(content, Tombstone):
        return Finding("ended", f"replaced by {content.reason}; goes on as {content.successor}", content)
    if isinstance(found, Notice):
        if found.name == "record_tampered":  # expires_at is no number; no seal covers it
            return refusal(record, "format")
        expired = is_expired(record, content, now)
        return Finding("ended", "expired" if expired else "created in the future", content)
    if record.kid in policy.keyring.revoked:
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
