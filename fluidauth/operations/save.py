"""All store work of a request, written once for blocking and asynchronous stores.

The store can fail at any call, so what must not be undone is written first. This table says who wins if
another request changed the same session since this one read it:

=================== ====================== ==========================================================
this request        the other one          then
=================== ====================== ==========================================================
changed fields      changed fields         both are kept; of one field the later save, or the sum
changed fields      regenerated the id     the changes follow to the new id; no cookie is sent
changed fields      logged out             the changes are dropped, and that is reported
changed fields      logged in              dropped as well: the fields may be another user's
regenerates the id  changed fields         the new id has the merged fields
regenerates the id  regenerated the id     the other's id counts; the changes follow to it
logs in             changed fields         the new session has the merged fields
logs in             logged in              both new sessions are live, each under its own cookie
logs in             logged out             the login counts, without the fields of what ended
logs in             revoked the user       the login ends as well, if its request began before that
begins to act       ended                  it does not begin
logs out            anything but a login   all is ended, under each id that it was renewed to
logs out            logged in              the new session is ended as well: it came from this one
empties it, no user changed fields         the other's fields are kept
only read           anything               it gives way: a touch or re-seal is tried no further
=================== ====================== ==========================================================

Each write is a compare and swap on the record's version. A request that loses reads again and merges.
"""

from __future__ import annotations

from typing import Any

from fluidauth.errors import NotEnded, OutcomeUnknown
from fluidauth.events import Notice
from fluidauth.records import Body
from fluidauth.rules.expiry import is_expired, shortens_idle, with_lifetime
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome, SavePlan
from fluidauth.rules.versions import new_body, next_version
from fluidauth.session.edits import merge
from fluidauth.session.notes import NO_NOTES
from fluidauth.session.state import State
from fluidauth.session.wish import Login

from . import calls
from .acting import begin as begin_acting
from .at_once import accompany
from .end import end
from .leftovers import end_the_rest
from .lookup import Live, check_time, deadline, find, find_live
from .moments import check_can_end, survives
from .new_id import create, supersede
from .re_sign import refresh, slides
from .runner import Steps


def carry_out(policy: Policy, plan: SavePlan) -> Steps[Outcome]:
    """Carry out *plan* on the stored session, whatever others did to it meanwhile."""
    state, wish = plan.state, plan.state.wish
    if state.closed and not (wish.ends or wish.login):
        return _dropped(next(reason for reason, text in CLOSED.items() if text == state.closed), state)
    if wish.alone_since is not None:
        yield from check_can_end(state.user_id)  # before anything is changed
    ended = bool(wish.ends or wish.login) and (yield from _end_all(policy, state))
    outcome = yield from _outcome(policy, plan)
    if ended or (wish.login is not None and wish.login.user_id is None):
        user_id = state.record.user_id if state.record else None
        handle = state.credential.handle if state.credential else None
        actor = state.acting.user_id if state.acting else None
        outcome.notices.insert(0, Notice("session_logout", None, handle, user_id, actor=actor))
        outcome.cookie = outcome.cookie or "expire"
    if state.acting is not None and outcome.record is not None and plan.counts:
        yield from accompany(policy, state.acting, outcome.record.expires_at, plan.now)
    if wish.leaves is not None or wish.alone_since is not None:
        yield from end_the_rest(policy, plan, outcome)
    return outcome


def _outcome(policy: Policy, plan: SavePlan) -> Steps[Outcome]:
    """Store what *plan* asks for, after all that it ends."""
    state, wish = plan.state, plan.state.wish
    if wish.login is not None:
        return (yield from _log_in(policy, plan, wish.login))
    if wish.ends or state.record is None or state.body is None:
        return (yield from _begin(policy, plan))
    if state.credential is not None and policy.keyring.find(state.credential.kid) is None:
        # Revoked since the request began: it must not get a cookie under another key.
        return _dropped("key_revoked", state)
    live = Live(state.record, state.body)
    if wish.renews or (wish.lifetime and _ends_sooner(policy, plan, live)):
        # A store lets no expiry move back: that needs a new record.
        return (yield from _regenerate(policy, plan, live))
    if plan.edits or wish.lifetime or wish.notes:
        return (yield from _change(policy, plan, live, plan.fields))
    return (yield from refresh(policy, plan, live))


def _end_all(policy: Policy, state: State) -> Steps[bool]:
    """End all that the request had to end, also if one of it fails; return whether anything ended."""
    wish = state.wish
    handles: dict[str, int | None] = {c.handle: None for c in wish.gone} if wish.ends else {}
    if wish.ends and state.credential is not None:
        handles[state.credential.handle] = state.record.version if state.record else None
    if wish.ends and state.record is not None:
        handles.setdefault(state.record.handle, None)  # on the way back no cookie leads to it yet
    if wish.login:
        handles.update({credential.handle: None for credential in state.others})
    if state.parent is not None and not (wish.login and wish.login.acting):
        handles[state.parent[0].handle] = None
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


def _begin(policy: Policy, plan: SavePlan) -> Steps[Outcome]:
    """Store a session if there was none."""
    state = plan.state
    if state.barred and not state.wish.ends:
        # The request came under an id that was replaced or is denied. A new cookie here
        # would overwrite the one that a newer response carries.
        return _dropped(state.barred, state)
    if not plan.edits and not state.wish.notes:
        return Outcome()
    body = new_body(policy, merge(plan.edits, {}), plan.now, state.wish.lifetime, None, state.notes)
    return (yield from create(policy, None, body, plan.now, state.reserved))


def _log_in(policy: Policy, plan: SavePlan, login: Login) -> Steps[Outcome]:
    """Replace the session that was loaded by a new one, if it is still live."""
    if login.acting is not None:
        begun = yield from begin_acting(policy, plan, login, login.acting)
        return _dropped(begun, plan.state) if isinstance(begun, str) else begun
    outcome = yield from _replaced(policy, plan, login)
    record, user_id = outcome.record, login.user_id
    if record is None or user_id is None or (yield from survives(policy, user_id, login.begun)):
        return outcome
    yield from end(policy, record.handle)
    dropped = _dropped("revoked", plan.state)
    dropped.notices[:0] = outcome.notices
    return dropped


def _replaced(policy: Policy, plan: SavePlan, login: Login) -> Steps[Outcome]:
    """Store the new session in the place of the one that was loaded."""
    state, fields, notes = plan.state, plan.fields, plan.state.notes
    live = Live(state.record, state.body) if state.record and state.body and not state.wish.ends else None
    lifetime = login.lifetime or state.wish.lifetime
    give_up = deadline()
    while live is not None:
        body = new_body(policy, fields, plan.now, lifetime, login.auth_time, notes)
        if login.auth_time is None:  # nobody authenticated, so the session gets no more time
            body = body._replace(deadline=min(body.deadline, live.body.deadline))
        outcome = yield from supersede(
            policy, live, login.user_id, plan.now, body, "login", plan.now, reserved=state.reserved
        )
        if outcome is not None:
            return outcome
        found = yield from find(policy, live.record.handle, plan.now)
        live = found if isinstance(found, Live) else None
        if live is not None and not state.detached:
            # Another request changed the session meanwhile: the work of the same person.
            fields, notes = merged(plan, live.body.fields), state.noted_on(live.body.notes)
        elif found is None:
            fields = merge(plan.edits, {})  # the fields of what ended are not kept
            notes = state.noted_on(NO_NOTES)
        check_time(give_up)
    body = new_body(policy, fields, plan.now, lifetime, login.auth_time, notes)
    return (yield from create(policy, login.user_id, body, plan.now, state.reserved))


def _regenerate(policy: Policy, plan: SavePlan, live: Live) -> Steps[Outcome]:
    """Give the session a new id, unless another request did already."""
    handle, fields = live.record.handle, plan.fields
    give_up = deadline()
    while True:
        record, body = _as_wished(policy, plan, live)
        body = body._replace(fields=fields, locked={})
        user_id = plan.state.wish.named or record.user_id
        used = plan.used_at(live.record, body)
        outcome = yield from supersede(
            policy,
            live,
            user_id,
            record.created_at,
            body,
            "regenerate",
            plan.now,
            used,
            plan.state.reserved,
        )
        if outcome is not None:
            return outcome
        found = yield from find_live(policy, handle, plan.now)
        if isinstance(found, str):
            return _dropped(found, plan.state)
        live, fields = found, merged(plan, found.body.fields)
        if live.record.handle != handle:
            # Two tabs regenerated at once. A second new id would leave the first tab's cookie dead.
            wish = plan.state.wish
            if plan.edits or wish.lifetime or wish.confirmed_at or wish.notes:
                return (yield from _change(policy, plan, live, fields))
            return Outcome(closed=CLOSED["followed"])
        check_time(give_up)


def _change(policy: Policy, plan: SavePlan, live: Live, fields: dict[str, Any]) -> Steps[Outcome]:
    """Save *fields*; merge with what others saved, and follow to a regenerated id."""
    handle = plan.state.record.handle if plan.state.record else live.record.handle
    alone, give_up = False, 0.0
    while True:
        outcome = yield from _update(policy, plan, live, fields)
        if outcome is not None:
            if live.record.handle != handle:
                outcome.closed = CLOSED["followed"]
            return outcome
        if not alone:
            # Another request was first. If many requests merge and try again at once, one succeeds each
            # time. So they queue within one process. The next round meets those of other processes.
            yield from calls.lock(handle)
            alone, give_up = True, deadline()  # the wait for the lock does not count as a try
        found = yield from find_live(policy, live.record.handle, plan.now)
        if isinstance(found, str):
            return _dropped(found, plan.state)
        live, fields = found, merged(plan, found.body.fields)
        check_time(give_up)


def merged(plan: SavePlan, fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields*, as others left them, with this request's changes. None of these may be in them yet."""
    if plan.state.unsure and plan.edits.additions:
        raise OutcomeUnknown
    return merge(plan.edits, fields)


def _ends_sooner(policy: Policy, plan: SavePlan, live: Live) -> bool:
    """Return whether *live* would expire sooner than now stored, or sooner when unused."""
    lifetime = plan.state.wish.lifetime or policy.lifetime
    sooner = _as_wished(policy, plan, live).record.expires_at < live.record.expires_at
    return sooner or shortens_idle(live.body, lifetime)


def _update(policy: Policy, plan: SavePlan, live: Live, fields: dict[str, Any]) -> Steps[Outcome | None]:
    """Write the next version of *live*; None if another request was first, or it expired."""
    if is_expired(live.record, live.body, plan.now):
        return None
    edits, credential = plan.edits, plan.state.credential
    record, body = _as_wished(policy, plan, live)
    locked = body.locked
    if locked:
        locked = {name: kept for name, kept in locked.items() if name not in edits.names}
    if record.user_id is None and not (fields or locked or body.notes) and edits.removals:
        if not (yield from calls.delete(record.handle, record.version)):
            return None
        notice = Notice("session_logout", "emptied", record.handle)
        return Outcome(cookie="expire", notices=[notice])
    reissue = plan.reissues(record)
    body = Body(fields, *body[1:-3], locked, body.client, body.notes)
    kid = policy.keyring.signing.kid if reissue else record.kid
    following = next_version(policy, record, body, plan.used_at(record, body), kid)
    if not (yield from calls.update(following)):
        return None
    reissue = reissue or (following.expires_at > record.expires_at and slides(policy, plan, live))
    return Outcome(following, body, credential, "issue" if reissue else None)


def _as_wished(policy: Policy, plan: SavePlan, live: Live) -> Live:
    """Return *live* with the lifetime and the time of login that the request asked for, if it did."""
    wish = plan.state.wish
    if wish.lifetime is not None:
        limit, used = policy.lifetime.absolute_seconds, plan.used_at(*live)
        live = Live(*with_lifetime(*live, wish.lifetime, limit, plan.now, used))
    if wish.confirmed_at is not None:
        live = Live(live.record, live.body._replace(auth_time=wish.confirmed_at))
    if wish.notes:
        live = Live(live.record, live.body._replace(notes=plan.state.noted_on(live.body.notes)))
    return live


CLOSED = {
    "ended": "it was ended by another request",
    "logged_in": "a login took its place",
    "key_revoked": "the key of its cookie was revoked",
    "replaced": "its id was replaced",
    "followed": "it goes on under a new id",
    "revoked": "its user's sessions were ended after this request had begun",
}


def _dropped(reason: str, state: State) -> Outcome:
    handle = state.credential.handle if state.credential else None
    return Outcome(closed=CLOSED[reason], notices=[Notice("write_dropped", reason, handle)])
