"""How long sessions of a former system are adopted, and whose are not: kept in the store, for all processes.

The period begins when an engine that adopts them first opens the store. It ends by itself when the last of
their cookies has expired. So a secret of the former system that leaks later opens nothing. Ending all
sessions of a user, or of everybody, also ends those that were not adopted yet.
"""

from __future__ import annotations

from fluidauth.errors import RecordExists, RecordTampered
from fluidauth.records import MAX_LIFETIME, SessionRecord, Tombstone
from fluidauth.rules.policy import Policy

from . import calls
from .marks import handle, mark, write
from .runner import Steps

_FOR_GOOD = 10 * 365 * 24 * 60 * 60  # seconds that the beginning is kept: long after the last cookie
_ENDED = 0  # Unix seconds: a beginning so long ago that the end is past
_OVER = "over"  # what the note says then


def begin(policy: Policy, now: int, first: bool) -> Steps[int]:
    """Return when this store began to adopt former sessions, in Unix seconds; 0 if that was ended.

    *first* means that this process has not asked before. If the beginning is missing later, it
    was removed with all sessions, and is not made again. A note that no key of ours sealed does
    not count.
    """
    note = mark(policy, "adoption began", "adopt", now, now + _FOR_GOOD)
    record = yield from calls.get(note.handle)
    if record is None and first:
        try:
            yield from calls.create(note)
            return now
        except RecordExists:
            record = yield from calls.get(note.handle)
    return _ENDED if record is None else (yield from _beginning(policy, record))


def _beginning(policy: Policy, record: SessionRecord) -> Steps[int]:
    """Return the beginning in *record*; keep the record under the signing key through rotations."""
    try:
        found = policy.sealer.unseal(record)
    except RecordTampered:
        return _ENDED
    if not isinstance(found, Tombstone) or found.nonce == _OVER:
        return _ENDED
    if policy.sealer.is_stale(record):
        yield from calls.update(policy.sealer.reseal(record, found))
    return record.created_at


def is_barred(policy: Policy, user_id: str, now: int) -> Steps[bool]:
    """Return whether the sessions of *user_id* were ended since the period began."""
    return (yield from calls.get(handle(policy, f"adoption bars {user_id}"))) is not None


def bar(policy: Policy, user_id: str, now: int, adopts: bool) -> Steps[None]:
    """Adopt no former session of *user_id* any more, if any could be, here or in another process."""
    if adopts or (yield from has_begun(policy, now)):
        yield from write(policy, f"adoption bars {user_id}", "adopt", now, now + MAX_LIFETIME)


def end(policy: Policy, now: int) -> Steps[None]:
    """Adopt no former session any more, of anybody."""
    yield from write(policy, "adoption began", "adopt", now, now + _FOR_GOOD, _OVER)


def has_begun(policy: Policy, now: int) -> Steps[bool]:
    """Return whether this store adopts former sessions, or did, in any process."""
    return (yield from calls.get(handle(policy, "adoption began"))) is not None
