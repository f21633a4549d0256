"""All store work of a request, written once for blocking and asynchronous stores.

The store can fail at any call: what is written first is what must not be undone.
"""

from __future__ import annotations

from typing import Any

from fluidauth.errors import NotEnded, NotSupported, OutcomeUnknown, RecordExists, StoreError
from fluidauth.events import EventName, Notice
from fluidauth.records import Body, RenewalReason, SessionRecord
from fluidauth.rules.expiry import is_expired, next_expiry, shortens_idle, with_lifetime
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Changes, Outcome
from fluidauth.rules.versions import first_version, new_body, next_version, tombstone_of
from fluidauth.session.edits import apply
from fluidauth.session.state import Login, State

from . import calls
from .lookup import Live, check_time, deadline, end, find, find_live
from .runner import Steps

_ID_TRIES = 3


# -- a request's changes ----------------------------------------------------------------


def commit(policy: Policy, changes: Changes, now: int) -> Steps[Outcome]:
    """Make *changes* to the stored session, whatever others did to it meanwhile."""
    state = changes.state
    if state.closed and not (state.ends or state.login):
        return _dropped(next(reason for reason, text in CLOSED.items() if text == state.closed), state)
    ended = bool(state.ends or state.login) and (yield from _end_all(policy, state))
    if state.login is not None:
        outcome = yield from _log_in(policy, changes, state.login, now)
        ended = ended or state.login.user_id is None
    elif state.ends or state.record is None or state.body is None:
        outcome = yield from _begin(policy, changes, now)
    elif state.credential is not None and policy.sealer.keyring.find(state.credential.kid) is None:
        # Revoked since the request began: it must not get a cookie under another key.
        outcome = _dropped("key_revoked", state)
    elif state.renews or (state.lifetime and shortens_idle(state.body, state.lifetime)):
        # A store lets no expiry move back: a shorter idle timeout needs a new record.
        outcome = yield from _regenerate(policy, changes, Live(state.record, state.body), now)
    elif changes.edits or state.lifetime:
        outcome = yield from _change(policy, changes, Live(state.record, state.body), changes.fields, now)
    else:
        outcome = yield from _refresh(policy, changes, Live(state.record, state.body), now)
    if ended:
        user_id = state.record.user_id if state.record else None
        handle = state.credential.handle if state.credential else None
        outcome.notices.insert(0, Notice("session_logout", None, handle, user_id))
        outcome.cookie = outcome.cookie or "expire"
    return outcome


def _end_all(policy: Policy, state: State) -> Steps[bool]:
    """End what the request was to end, each whatever becomes of the others; return whether any did."""
    handles: dict[str, int | None] = {c.handle: None for c in state.gone} if state.ends else {}
    if state.ends and state.credential is not None:
        handles[state.credential.handle] = state.record.version if state.record else None
    if state.login:
        handles.update({credential.handle: None for credential in state.others})
    ended = False
    left: dict[str, str] = {}
    for handle, version in handles.items():
        try:
            ended = (yield from end(policy, handle, version)) or ended
        except NotEnded as error:
            left.update(error.handles)
    if left:
        raise NotEnded(left)
    return ended


def _begin(policy: Policy, changes: Changes, now: int) -> Steps[Outcome]:
    """Store a session where there was none."""
    state = changes.state
    if state.barred and not state.ends:
        # The request came under an id that was replaced or is denied; a cookie of its own
        # would overwrite the one that a newer response carries.
        return _dropped(state.barred, state)
    if not changes.edits:
        return Outcome()
    body = new_body(policy, apply(changes.edits, {}), now, state.lifetime)
    return (yield from create(policy, None, body, now))


def create(policy: Policy, user_id: str | None, body: Body, now: int) -> Steps[Outcome]:
    """Store a new session under a fresh id; an id that is taken is never adopted."""
    for _ in range(_ID_TRIES):
        credential, record = first_version(policy, user_id, now, body, now)
        try:
            yield from calls.create(record)
        except RecordExists:
            continue
        notice = Notice("session_created", None, record.handle, user_id)
        return Outcome(record, body, credential, "issue", notices=[notice])
    raise _taken()


def _log_in(policy: Policy, changes: Changes, login: Login, now: int) -> Steps[Outcome]:
    """Put a new session in the place of the one that was loaded, if that still stands."""
    state, fields = changes.state, changes.fields
    live = Live(state.record, state.body) if state.record and state.body and not state.ends else None
    lifetime = login.lifetime or state.lifetime
    give_up = deadline()
    while live is not None:
        body = new_body(policy, fields, now, lifetime, login.auth_time)
        outcome = yield from _supersede(policy, live, login.user_id, now, body, "login", now)
        if outcome is not None:
            return outcome
        found = yield from find(policy, live.record.handle, now)
        live = found if isinstance(found, Live) else None
        if live is not None and not state.detached:
            fields = merged(changes, live.body.fields)
        elif found is None:
            fields = apply(changes.edits, {})  # what ended is not carried on
        check_time(give_up)
    body = new_body(policy, fields, now, lifetime, login.auth_time)
    return (yield from create(policy, login.user_id, body, now))


def _regenerate(policy: Policy, changes: Changes, live: Live, now: int) -> Steps[Outcome]:
    """Give the session a new id, unless somebody did already."""
    handle, fields = live.record.handle, changes.fields
    give_up = deadline()
    while True:
        record, body = _with_lifetime(policy, changes, live, now)
        body = body._replace(fields=fields, locked={})
        outcome = yield from _supersede(
            policy, live, record.user_id, record.created_at, body, "regenerate", now
        )
        if outcome is not None:
            return outcome
        found = yield from find_live(policy, handle, now)
        if isinstance(found, str):
            return _dropped(found, changes.state)
        live, fields = found, merged(changes, found.body.fields)
        if live.record.handle != handle:
            if changes.edits or changes.state.lifetime:
                return (yield from _change(policy, changes, live, fields, now))
            return Outcome(closed=CLOSED["followed"])
        check_time(give_up)


def _change(policy: Policy, changes: Changes, live: Live, fields: dict[str, Any], now: int) -> Steps[Outcome]:
    """Save *fields*; merge with what others saved, and follow to a regenerated id."""
    handle = changes.state.record.handle if changes.state.record else live.record.handle
    alone, give_up = False, 0.0
    while True:
        outcome = yield from _update(policy, changes, live, fields, now)
        if outcome is not None:
            if live.record.handle != handle:
                outcome.closed = CLOSED["followed"]
            return outcome
        if not alone:
            yield from calls.take_turn(handle)
            alone, give_up = True, deadline()  # to wait for the turn was no try
        found = yield from find_live(policy, live.record.handle, now)
        if isinstance(found, str):
            return _dropped(found, changes.state)
        live, fields = found, merged(changes, found.body.fields)
        check_time(give_up)


def merged(changes: Changes, fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields*, as others left them, with this request's changes, none of which may be among them."""
    if changes.state.unsure and changes.edits.additions:
        raise OutcomeUnknown
    return apply(changes.edits, fields)


def _refresh(policy: Policy, changes: Changes, live: Live, now: int) -> Steps[Outcome]:
    """Touch, re-seal, re-sign: best effort, the response goes out without them."""
    state = changes.state
    outcome = Outcome(state.record, state.body, state.credential)
    reissue = _can_reissue(changes, live.record)
    try:
        if changes.upgrades and _is_behind(policy, live.record, reissue):
            moved = yield from _move(policy, live, reissue, now)
            if moved is None:
                return outcome
            outcome.record, outcome.body = moved
        elif changes.touch_to > live.record.expires_at and _slides(policy, changes, live):
            # Not a touch, which would not tell that the id was replaced.
            reissue = yield from calls.update(_resealed(policy, live, False, now))
        elif changes.touch_to > live.record.expires_at:
            try:
                yield from calls.touch(live.record.handle, changes.touch_to)
            except NotSupported:
                yield from calls.update(_resealed(policy, live, False, now))
    except StoreError:
        outcome.notices.append(Notice("store_error", "refresh", live.record.handle))
        return outcome
    outcome.cookie = "issue" if reissue else None
    return outcome


def _move(policy: Policy, live: Live, reissue: bool, now: int) -> Steps[Live | None]:
    """Bring *live* under the signing key, unless a request beside this one does; None if it ended."""
    give_up = deadline()
    while not is_expired(live.record, live.body, now):
        following = _resealed(policy, live, reissue, now)
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


def _resealed(policy: Policy, live: Live, reissue: bool, now: int) -> SessionRecord:
    """Return the next version of *live* with nothing changed: it may be larger than new ones."""
    record = live.record
    kid = policy.sealer.keyring.signing.kid if reissue else record.kid
    following = record._replace(kid=kid, expires_at=next_expiry(record, live.body, now))
    return policy.sealer.reseal(following, live.body)


def _update(
    policy: Policy, changes: Changes, live: Live, fields: dict[str, Any], now: int
) -> Steps[Outcome | None]:
    """Write the next version of *live*; None if somebody else did first, or it expired."""
    if is_expired(live.record, live.body, now):
        return None
    edits, credential = changes.edits, changes.state.credential
    record, body = _with_lifetime(policy, changes, live, now)
    locked = body.locked
    if locked:
        locked = {name: kept for name, kept in locked.items() if name not in edits.names}
    if record.user_id is None and not fields and not locked and edits.removals:
        if not (yield from calls.delete(record.handle, record.version)):
            return None
        notice = Notice("session_logout", "emptied", record.handle)
        return Outcome(cookie="expire", notices=[notice])
    reissue = _can_reissue(changes, record)
    body = Body(fields, *body[1:-1], locked)
    kid = policy.sealer.keyring.signing.kid if reissue else record.kid
    following = next_version(policy, record, body, now, kid)
    if not (yield from calls.update(following)):
        return None
    reissue = reissue or (following.expires_at > record.expires_at and _slides(policy, changes, live))
    return Outcome(following, body, credential, "issue" if reissue else None)


def _is_behind(policy: Policy, record: SessionRecord, reissue: bool) -> bool:
    """Return whether *record*, or the cookie last issued for it where it can be, is under a stale key."""
    sealer = policy.sealer
    return sealer.is_stale(record) or (reissue and record.kid in sealer.keyring.stale)


def _with_lifetime(policy: Policy, changes: Changes, live: Live, now: int) -> Live:
    """Return *live* with the lifetime that the request asked for, if it did."""
    lifetime = changes.state.lifetime
    if lifetime is None:
        return live
    return Live(*with_lifetime(*live, lifetime, policy.lifetime.absolute_seconds, now))


def _can_reissue(changes: Changes, record: SessionRecord) -> bool:
    """Return whether the request presented a cookie of *record* that should be, and can be, signed anew."""
    return changes.upgrades and _can_answer(changes, record)


def _slides(policy: Policy, changes: Changes, live: Live) -> bool:
    """Return whether the browser would drop the cookie before the session ends: it moves with the expiry."""
    limit = policy.cookie.max_age
    return limit is not None and live.body.persistent and _can_answer(changes, live.record)


def _can_answer(changes: Changes, record: SessionRecord) -> bool:
    """Return whether the response may carry a cookie for the id that the request presented."""
    credential = changes.state.credential
    return changes.answerable and credential is not None and credential.handle == record.handle


def _supersede(
    policy: Policy,
    live: Live,
    user_id: str | None,
    created_at: int,
    body: Body,
    reason: RenewalReason,
    now: int,
) -> Steps[Outcome | None]:
    """Turn *live* into a tombstone and store its successor; None as for :func:`_update`."""
    if is_expired(live.record, live.body, now):
        return None
    for _ in range(_ID_TRIES):
        credential, successor = first_version(policy, user_id, created_at, body, now, live.record.handle)
        try:
            done = yield from _replace(
                tombstone_of(policy, live.record, successor.handle, reason, now), successor
            )
        except RecordExists:
            continue
        if not done:
            return None
        name: EventName = "session_created" if reason == "login" else "session_renewed"
        notice = Notice(name, reason, successor.handle, user_id)
        return Outcome(successor, body, credential, "issue", notices=[notice])
    raise _taken()


def _replace(tombstone: SessionRecord, successor: SessionRecord) -> Steps[bool]:
    try:
        return (yield from calls.replace(tombstone, successor))
    except NotSupported:
        pass
    # Without a transaction: a tombstone must never name somebody else's session, and
    # the old id must be dead before the new one lives.
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


CLOSED = {
    "ended": "it was ended by another request",
    "logged_in": "a login took its place",
    "key_revoked": "the key of its cookie was revoked",
    "replaced": "its id was replaced",
    "followed": "it goes on under a new id",
}


def _dropped(reason: str, state: State) -> Outcome:
    handle = state.credential.handle if state.credential else None
    return Outcome(closed=CLOSED[reason], notices=[Notice("write_dropped", reason, handle)])


def _taken() -> StoreError:
    return StoreError(f"{_ID_TRIES} new session ids were taken already; is the random source broken?")
