"""A session under a new id: the first one, or the successor of another one, whose old id leads to it."""

from __future__ import annotations

from fluidauth.errors import NotSupported, RecordExists, StoreError
from fluidauth.events import Notice
from fluidauth.meanings import EventName
from fluidauth.records import Body, RenewalReason, SessionRecord
from fluidauth.rules.expiry import is_expired
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome
from fluidauth.rules.versions import first_version, tombstone_of
from fluidauth.session.notes import actor_in

from . import calls
from .lookup import Live
from .runner import Steps

ID_TRIES = 3


def create(
    policy: Policy,
    user_id: str | None,
    body: Body,
    now: int,
    reserved: str | None = None,
    actor: str | None = None,
) -> Steps[Outcome]:
    """Store a new session under a new id, or the *reserved* one. An id that is taken is never used."""
    for _ in range(ID_TRIES):
        credential, record = first_version(policy, user_id, now, body, now, reserved=reserved)
        try:
            yield from calls.create(record)
        except RecordExists:
            reserved = None
            continue
        notice = Notice("session_created", None, record.handle, user_id, actor=actor)
        return Outcome(record, body, credential, "issue", notices=[notice])
    raise _taken()


def supersede(
    policy: Policy,
    live: Live,
    user_id: str | None,
    created_at: int,
    body: Body,
    reason: RenewalReason,
    now: int,
    used: int | None = None,
    reserved: str | None = None,
) -> Steps[Outcome | None]:
    """Turn *live* into a tombstone and store its successor; None as for :func:`_update`.

    It was *used* last now, or at that time. Its id is the *reserved* one, if there is any.
    """
    if is_expired(live.record, live.body, now):
        return None
    for _ in range(ID_TRIES):
        credential, successor = first_version(
            policy, user_id, created_at, body, now if used is None else used, live.record.handle, reserved
        )
        try:
            done = yield from _replace(
                tombstone_of(policy, live.record, successor.handle, reason, now), successor
            )
        except RecordExists:
            reserved = None
            continue
        if not done:
            return None
        name: EventName = "session_created" if reason == "login" else "session_renewed"
        notice = Notice(name, reason, successor.handle, user_id, actor=actor_in(body.notes))
        return Outcome(successor, body, credential, "issue", notices=[notice])
    raise _taken()


def _replace(tombstone: SessionRecord, successor: SessionRecord) -> Steps[bool]:
    try:
        return (yield from calls.replace(tombstone, successor))
    except NotSupported:
        pass
    # Without a transaction: a tombstone must never name another user's session, and
    # the old id must be dead before the new one is live.
    if (yield from calls.get(successor.handle)) is not None:
        raise RecordExists
    if not (yield from calls.update(tombstone)):
        return False
    yield from calls.create(successor)
    # A logout that came in between removed the tombstone, and found no successor yet.
    if (yield from calls.get(tombstone.handle)) is None:
        yield from calls.delete(successor.handle)
        return False
    return True


def _taken() -> StoreError:
    return StoreError(f"{ID_TRIES} new session ids were taken already; is the random source broken?")
