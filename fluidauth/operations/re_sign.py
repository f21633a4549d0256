"""Sign again, seal again, touch: what a request should do for a session that it only read.

Best effort: if another request changes the session, this gives up, and the next read tries again.
"""

from __future__ import annotations

from fluidauth.errors import NotSupported, StoreError
from fluidauth.events import Notice
from fluidauth.records import SessionRecord
from fluidauth.rules.expiry import is_expired, next_expiry
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome, SavePlan

from . import calls
from .lookup import Live, check_time, deadline, find
from .runner import Steps


def refresh(policy: Policy, plan: SavePlan, live: Live) -> Steps[Outcome]:
    """Move cookie and record under the signing key, or move the deadline. The response does not need it."""
    state = plan.state
    outcome = Outcome(state.record, state.body, state.credential)
    reissue = plan.reissues(live.record)
    try:
        if plan.upgrades and _is_behind(policy, live.record, reissue):
            moved = yield from _move(policy, plan, live, reissue)
            if moved is None:
                return outcome
            outcome.record, outcome.body = moved
        elif plan.touch_to > live.record.expires_at and slides(policy, plan, live):
            # Not a touch, which would not find out that the id was replaced.
            reissue = yield from _touch_by_update(policy, plan, live, outcome)
        elif plan.touch_to > live.record.expires_at:
            try:
                yield from calls.touch(live.record.handle, plan.touch_to)
                outcome.record = live.record._replace(expires_at=plan.touch_to)
            except NotSupported:
                yield from _touch_by_update(policy, plan, live, outcome)
    except StoreError:
        outcome.notices.append(Notice("store_error", "refresh", live.record.handle))
        return outcome
    outcome.cookie = "issue" if reissue else None
    return outcome


def _touch_by_update(policy: Policy, plan: SavePlan, live: Live, outcome: Outcome) -> Steps[bool]:
    following = _resealed(policy, plan, live, False)
    done = yield from calls.update(following)
    if done:
        outcome.record = following
    return done


def _move(policy: Policy, plan: SavePlan, live: Live, reissue: bool) -> Steps[Live | None]:
    """Bring *live* under the signing key, unless another request does so; None if it ended."""
    give_up, now = deadline(), plan.now
    while not is_expired(live.record, live.body, now):
        following = _resealed(policy, plan, live, reissue)
        if (yield from calls.update(following)):
            return Live(following, live.body)
        found = yield from find(policy, live.record.handle, now)
        if not isinstance(found, Live):
            return None
        live = found
        if not _is_behind(policy, live.record, reissue):
            return live
        check_time(give_up)
    return None


def _resealed(policy: Policy, plan: SavePlan, live: Live, reissue: bool) -> SessionRecord:
    """Return the next version of *live* without changes. It may be larger than new ones may be."""
    record = live.record
    kid = policy.keyring.signing.kid if reissue else record.kid
    due = next_expiry(record, live.body, plan.used_at(record, live.body))
    following = record._replace(kid=kid, expires_at=due)
    return policy.sealer.reseal(following, live.body)


def _is_behind(policy: Policy, record: SessionRecord, reissue: bool) -> bool:
    """Return whether *record* is under a stale key, or its last cookie, if that can be replaced."""
    return policy.sealer.is_stale(record) or (reissue and record.kid in policy.keyring.stale)


def slides(policy: Policy, plan: SavePlan, live: Live) -> bool:
    """Return whether the browser would drop the cookie before the session ends, so it must move, too."""
    limit = policy.cookie.max_age
    return limit is not None and live.body.persistent and plan.answers(live.record)
