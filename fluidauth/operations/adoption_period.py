"""How long sessions of another system may come in, and whose may not: kept in the store, for all processes.

It begins when an engine that takes them over first opens the store, and ends by itself when the last of
their cookies has expired, so that a secret of the other system that leaks later opens nothing.
Whoever ends all sessions of a user, or of everybody, ends those that have not come in yet as well.
"""

from __future__ import annotations

from contextlib import suppress

from fluidauth.errors import RecordExists, RecordTampered
from fluidauth.records import MAX_LIFETIME, SessionRecord, Tombstone, handle_of
from fluidauth.rules.policy import Policy

from . import calls
from .lookup import check_time, deadline
from .runner import Steps

NOBODY = "0" * 64
"""The successor of what leads nowhere."""
_FOR_GOOD = 10 * 365 * 24 * 60 * 60  # seconds that the beginning is kept: long after the last cookie
_ENDED = 0  # Unix seconds: a beginning so long ago that the end is past
_OVER = "over"  # what the note says then


def begin(policy: Policy, now: int, first: bool) -> Steps[int]:
    """Return when this store began to take over former sessions, in Unix seconds; 0 if that was ended.

    *first*: this process has not asked before. Later on a beginning that is not there was
    removed with all sessions, and is not made anew. What no key of ours sealed is no beginning.
    """
    note = _note(policy, "began", now, now + _FOR_GOOD)
    record = yield from calls.get(note.handle)
    if record is None and first:
        try:
            yield from calls.create(note)
            return now
        except RecordExists:
            record = yield from calls.get(note.handle)
    return _ENDED if record is None else (yield from _beginning(policy, record))


def _beginning(policy: Policy, record: SessionRecord) -> Steps[int]:
    """Return what *record* says of the beginning; keep it under the signing key, whatever is rotated."""
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
    return (yield from calls.get(_note(policy, f"bars {user_id}", now, now).handle)) is not None


def bar(policy: Policy, user_id: str, now: int, adopts: bool) -> Steps[None]:
    """Let no former session of *user_id* come in any more, if any may: here, or where others *adopt* them."""
    if adopts or (yield from has_begun(policy, now)):
        yield from _write(policy, f"bars {user_id}", now, now + MAX_LIFETIME)


def end(policy: Policy, now: int) -> Steps[None]:
    """Let no former session come in any more, of anybody."""
    yield from _write(policy, "began", now, now + _FOR_GOOD, _OVER)


def has_begun(policy: Policy, now: int) -> Steps[bool]:
    """Return whether this store takes over former sessions, or did, in any process."""
    return (yield from calls.get(_note(policy, "began", now, now).handle)) is not None


def _write(policy: Policy, what: str, now: int, until: int, says: str = "") -> Steps[None]:
    """Write a note, also over one that is there, so that at no moment there is none."""
    note = _note(policy, what, now, until, says)
    give_up = deadline()
    while True:
        found = yield from calls.get(note.handle)
        if found is None:
            with suppress(RecordExists):
                yield from calls.create(note)
                break
        elif (yield from calls.update(_note(policy, what, found.created_at, until, says, found.version + 1))):
            break
        check_time(give_up)
    yield from calls.delete(
        note.handle, 0
    )  # no version at all: where replicas are waited for, they have it now


def _note(
    policy: Policy, what: str, made: int, until: int, says: str = "", version: int = 1
) -> SessionRecord:
    """Return a record that opens nothing, and says by its being there, and by when it was made."""
    handle = handle_of(policy.handle_prefix, f"adoption {what}")
    record = SessionRecord(handle, None, made, until, version, policy.keyring.signing.kid, b"")
    return policy.sealer.seal(record, Tombstone(NOBODY, "adopt", until, says))
