"""When a session ends: the earlier of its idle and absolute deadlines, in Unix seconds."""

from __future__ import annotations

from fluidauth.records import Body, Lifetime, SessionRecord

# A touch is written when it would move the deadline by this part of the idle timeout.
_TOUCH_FRACTION = 20


def expiry_from(body: Body, now: int) -> int:
    """Return the expiry of a session that is used at *now*."""
    if body.idle is None or now + body.idle > body.deadline:
        return body.deadline
    return now + body.idle


def used_at(record: SessionRecord, body: Body, now: int, counts: bool) -> int:
    """Return when the session was used last, in Unix seconds, if a request *now* counts or not."""
    if counts or body.idle is None:
        return now
    return min(now, record.expires_at - body.idle)


def next_expiry(record: SessionRecord, body: Body, now: int) -> int:
    """Return the expiry that should be stored: it only moves forward, and only if far enough.

    The expiry is indexed, so moving it doubles the cost of a write.
    """
    if body.idle is None:
        return record.expires_at
    step = body.idle // _TOUCH_FRACTION or 1
    if now + body.idle - record.expires_at < step:  # nearly always
        return record.expires_at
    due = expiry_from(body, now)
    return due if due - record.expires_at >= step else record.expires_at


def is_expired(record: SessionRecord, body: Body, now: int) -> bool:
    """Return whether the session is dead at *now*, even if somebody changed its row in the database."""
    return now >= record.expires_at or now >= body.deadline


def with_lifetime(
    record: SessionRecord, body: Body, lifetime: Lifetime, limit: int, now: int, used: int
) -> tuple[SessionRecord, Body]:
    """Return a live session with *lifetime* from now on, which was *used* last then.

    A deadline may move back, and forward up to *limit* seconds after the login or beginning.
    """
    begun = record.created_at if body.auth_time is None else body.auth_time
    deadline = min(now + lifetime.absolute_seconds, max(body.deadline, begun + limit))
    body = body._replace(deadline=deadline, idle=lifetime.idle_seconds, persistent=lifetime.persistent)
    return record._replace(expires_at=expiry_from(body, used)), body


def shortens_idle(body: Body, lifetime: Lifetime) -> bool:
    """Return whether an unused session would expire sooner under *lifetime*."""
    idle = lifetime.idle_seconds
    return idle is not None and (body.idle is None or idle < body.idle)
