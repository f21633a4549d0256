"""When a session ends: the earlier of its idle and absolute deadlines, in Unix seconds."""

from __future__ import annotations

from .records import SessionRecord
from .sealing import Body

# A touch is written when it would move the deadline by this part of the idle timeout.
_TOUCH_FRACTION = 20


def expiry_from(body: Body, now: int) -> int:
    """Return where the expiry stands for a session used at *now*."""
    if body.idle is None or now + body.idle > body.deadline:
        return body.deadline
    return now + body.idle


def next_expiry(record: SessionRecord, body: Body, now: int) -> int:
    """Return where the stored expiry should stand: it moves forward alone, and only if far enough.

    The expiry is indexed, so that moving it doubles what a write costs.
    """
    if body.idle is None:
        return record.expires_at
    step = body.idle // _TOUCH_FRACTION or 1
    if now + body.idle - record.expires_at < step:  # nearly always
        return record.expires_at
    due = expiry_from(body, now)
    return due if due - record.expires_at >= step else record.expires_at


def is_expired(record: SessionRecord, body: Body, now: int) -> bool:
    """Return whether the session is dead at *now*, whatever a database's writer made of its row."""
    return now >= record.expires_at or now >= body.deadline
