"""How long sessions of a former system are adopted, and whose are not: kept in the store, for all processes.

The period begins when an engine that adopts them first opens the store. It ends by itself when the last of
their cookies has expired. So a secret of the former system that leaks later opens nothing. Ending all
sessions of a user, or of everybody, also ends those that were not adopted yet.
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
"""The successor in a note that leads nowhere."""
_FOR_GOOD = 10 * 365 * 24 * 60 * 60  # seconds that the beginning is kept: long after the last cookie
_ENDED = 0  # Unix seconds: a beginning so long ago that the end is past
_OVER = "over"  # what the note says then


def begin(policy: Policy, now: int, first: bool) -> Steps[int]:
    """Return when this store began to adopt former sessions, in Unix seconds; 0 if that was ended.

    *first* means that this process has not asked before. If the beginning is missing later, it
    was removed with all sessions, and is not made again. A note that no key of ours sealed does
    not count.
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
    return (yield from calls.get(_note(policy, f"bars {user_id}", now, now).handle)) is not None


def bar(policy: Policy, user_id: str, now: int, adopts: bool) -> Steps[None]:
    """Adopt no former session of *user_id* any more, if any could be, here or in another process."""
    if adopts or (yield from has_begun(policy, now)):
        yield from _write(policy, f"bars {user_id}", now, now + MAX_LIFETIME)


def end(policy: Policy, now: int) -> Steps[None]:
    """Adopt no former session any more, of anybody."""
    yield from _write(policy, "began", now, now + _FOR_GOOD, _OVER)


def has_begun(policy: Policy, now: int) -> Steps[bool]:
    """Return whether this store adopts former sessions, or did, in any process."""
    return (yield from calls.get(_note(policy, "began", now, now).handle)) is not None


def _write(policy: Policy, what: str, now: int, until: int, says: str = "") -> Steps[None]:
    """Write a note, also over an existing one, so that there is always one."""
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
    )  # no record has this version: a store with replicas waits for them


def _note(
    policy: Policy, what: str, made: int, until: int, says: str = "", version: int = 1
) -> SessionRecord:
    """Return a record that opens nothing. Its existence and its time are the message."""
    handle = handle_of(policy.handle_prefix, f"adoption {what}")
    record = SessionRecord(handle, None, made, until, version, policy.keyring.signing.kid, b"")
    return policy.sealer.seal(record, Tombstone(NOBODY, "adopt", until, says))
