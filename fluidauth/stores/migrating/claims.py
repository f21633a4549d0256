"""Claims and marks, by which a session passes from one store to another: see ``handover``."""

from __future__ import annotations

from fluidauth.records import MAX_LIFETIME, SessionRecord

_OUTLIVES = 86_400  # seconds, as clocks differ and other processes finish steps

# Nothing that an engine seals begins with this.
_CLAIM = b"fluidauth/1/claim"
_MARK = b"fluidauth/1/moving"
_CLAIM_HANDLE = slice(len(_MARK), len(_MARK) + 64)


def unmarked(record: SessionRecord) -> SessionRecord:
    """Return *record* as it was before a migration marked it."""
    if not is_marked(record):
        return record
    return record._replace(version=record.version - 1, payload=record.payload[_CLAIM_HANDLE.stop :])


def is_marked(record: SessionRecord) -> bool:
    """Return whether *record* is being moved."""
    return record.payload.startswith(_MARK)


def marked(record: SessionRecord, claim: SessionRecord) -> SessionRecord:
    """Return the next version of *record*, marked with *claim*."""
    payload = _MARK + claim.handle.encode("ascii") + record.payload
    return record._replace(version=record.version + 1, payload=payload)


def claim_in(left: SessionRecord) -> SessionRecord:
    """Return the claim that *left* is marked with."""
    return claim_at(left, left.payload[_CLAIM_HANDLE].decode("latin-1"))


def used_up(left: SessionRecord) -> SessionRecord:
    """Return what the claim of *left* becomes when its session is created in the new store."""
    return claim_in(left)._replace(version=2)


def claim_at(record: SessionRecord, handle: str) -> SessionRecord:
    """Return a claim for *record* under *handle*: without a user, and kept for as long as any session lives.

    It is kept for longer than *record*, too, which may be older: without its claim it counts as ended.
    """
    expires_at = max(record.created_at + MAX_LIFETIME, record.expires_at + _OUTLIVES)
    return record._replace(handle=handle, user_id=None, expires_at=expires_at, version=1, payload=_CLAIM)


def is_claim(record: SessionRecord) -> bool:
    """Return whether *record* is a claim, and no session."""
    return record.payload == _CLAIM
