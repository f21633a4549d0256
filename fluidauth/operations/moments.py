"""A moment since which a user must have signed in again: kept in the store, for logins that are under way.

Ending all sessions of a user does not find a login that is not stored yet. So the moment is written first.
Each login looks for it after it is stored, and ends again if its request began before that. Whichever comes
first, one of the two finds the other.
"""

from __future__ import annotations

from fluidauth.errors import RecordTampered
from fluidauth.events import Notice
from fluidauth.records import Tombstone, check_user_id, is_handle
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome
from fluidauth.session.state import State

from . import adoption_period, calls
from .end import end
from .lookup import find_live
from .marks import handle, write
from .runner import Steps

_KEPT = 24 * 60 * 60  # seconds: no request of a login takes as long
_PAGE = 500
_MOST_PASSES = 10


def revoke_before(
    policy: Policy, user_id: str, moment: float, except_handle: str | None, now: int
) -> Steps[int]:
    """End the sessions of *user_id* that began before *moment*, and logins whose request did.

    Except the session *except_handle*. Return how many ended. Raise ``ValueError`` for a moment to come.
    """
    check_user_id(user_id)
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < now + 1:
        raise ValueError(f"moment={moment!r} must be Unix seconds, not later than now")
    if except_handle is not None and not is_handle(except_handle):
        raise ValueError(f"except_handle={except_handle!r} is no handle")
    yield from adoption_period.bar(policy, user_id, now, adopts=False)  # in this process or another one
    latest = yield from _moment(policy, user_id)
    if latest is None or latest < moment:
        yield from write(policy, f"since {user_id}", "since", now, now + _KEPT, repr(float(moment)))
    if moment >= now:
        return (yield from calls.delete_for_user(user_id, except_handle))
    return (yield from _end_older(policy, user_id, moment, except_handle))


def check_can_end(user_id: str | None) -> Steps[None]:
    """Raise ``NotSupported`` if the store cannot find the sessions of a user."""
    if user_id is not None:
        yield from calls.list_for_user(user_id, None, 1)


def end_others(policy: Policy, state: State, outcome: Outcome, since: float, now: int) -> Steps[None]:
    """End all other sessions of the user, and logins that are under way."""
    user_id, kept = state.user_id, outcome.record
    if user_id is None:
        return
    if kept is None and state.record is not None:
        found = yield from find_live(policy, state.record.handle, now)  # renewed by another request
        kept = None if isinstance(found, str) else found.record
    count = yield from revoke_before(policy, user_id, since, kept.handle if kept else None, now)
    outcome.notices.append(Notice("session_revoked", user_id=user_id, number=count))


def survives(policy: Policy, user_id: str, begun: float | None) -> Steps[bool]:
    """Return whether a login of *user_id* by a request that *begun* then goes on. Ask after it is stored."""
    since = yield from _moment(policy, user_id)
    return since is None or begun is None or since <= begun


def _moment(policy: Policy, user_id: str) -> Steps[float | None]:
    record = yield from calls.get(handle(policy, f"since {user_id}"))
    if record is None:
        return None
    try:
        found = policy.sealer.unseal(record)
    except RecordTampered:  # under a key that was revoked since, or by somebody who could delete it as well
        return None
    return float(found.nonce) if isinstance(found, Tombstone) else None


def _end_older(policy: Policy, user_id: str, moment: float, except_handle: str | None) -> Steps[int]:
    """End the sessions that began before *moment*. One that is renewed meanwhile is found by another pass."""
    ended = 0
    for _ in range(_MOST_PASSES):
        before, after = ended, None
        while True:
            page = yield from calls.list_for_user(user_id, after, _PAGE)
            for record in page:
                if record.created_at < moment and record.handle != except_handle:
                    ended += yield from end(policy, record.handle)
            if len(page) < _PAGE:
                break
            after = page[-1].handle
        if ended == before:
            break
    return ended
