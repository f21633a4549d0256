"""End all sessions of a user, or of everybody, and those of former systems that were not adopted yet."""

from __future__ import annotations

from fluidauth.records import END_OF_TIME, check_user_id, is_handle
from fluidauth.rules.policy import Policy

from . import adoption_period, calls
from .manage import CLEAN_BATCH
from .runner import Steps


def revoke_user(
    policy: Policy, user_id: str, except_handle: str | None, now: int, adopts: bool
) -> Steps[int]:
    """End all sessions of the user except one; *adopts* says whether former ones are adopted here."""
    check_user_id(user_id)
    yield from adoption_period.bar(policy, user_id, now, adopts)
    return (yield from end_user(user_id, except_handle))


def revoke_all(policy: Policy, now: int, adopts: bool) -> Steps[int]:
    """End every session of the namespace; return how many records were removed."""
    ends = adopts or (yield from adoption_period.has_begun(policy, now))
    if ends:
        yield from adoption_period.end(policy, now)
    removed = yield from _end_all()  # of this, too
    if ends:
        yield from adoption_period.end(policy, now)
        # What a process adopted that had not asked before, at the moment when the note was missing.
        removed += (yield from _end_all()) - 1
        yield from adoption_period.end(policy, now)
    return removed


def end_user(user_id: str, except_handle: str | None) -> Steps[int]:
    """End all sessions of the user, in one step of the store."""
    if except_handle is not None and not is_handle(except_handle):
        raise ValueError(f"except_handle={except_handle!r} is no handle")
    return (yield from calls.delete_for_user(user_id, except_handle))


def _end_all() -> Steps[int]:
    """End every session of the namespace: until an empty batch proves that none is left."""
    removed = 0
    while True:
        count = yield from calls.clean(END_OF_TIME, CLEAN_BATCH)
        removed += count
        if not count:
            return removed
