"""A session in another user's name: it begins while the actor's own waits, and opens nothing without that."""

from __future__ import annotations

from fluidauth.events import Notice
from fluidauth.meanings import EventName
from fluidauth.records import Body, SessionRecord
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome, SavePlan
from fluidauth.session.notes import Acting, acts
from fluidauth.session.state import State, back_to_own
from fluidauth.session.wish import Login

from .end import end
from .lookup import find_live
from .new_id import create
from .runner import Steps


def begin(policy: Policy, plan: SavePlan, login: Login, acting: Acting) -> Steps[Outcome | str]:
    """Store the session in which *acting* takes place, or return why the actor's own is none any more.

    It does not say when anybody authenticated, as nobody did in this name.
    """
    parent = yield from find_live(policy, acting.session, plan.now)
    if isinstance(parent, str):
        return parent
    acting = acting._replace(session=parent.record.handle)
    _, deadline, idle, persistent, *_ = parent.body
    notes = {**plan.state.notes, **acts(acting)}
    body = Body(plan.fields, deadline, idle, persistent, None, notes=notes)
    outcome = yield from create(
        policy, login.user_id, body, plan.now, plan.state.reserved, actor=acting.user_id
    )
    outcome.parent = parent
    handle = None if outcome.record is None else outcome.record.handle
    outcome.notices.append(_notice("impersonation_begun", handle, login.user_id, acting))
    return outcome


def leave(policy: Policy, record: SessionRecord, acting: Acting) -> Steps[Notice]:
    """End the session of *record*, in another's name. The actor's own is renewed already."""
    yield from end(policy, record.handle)
    return _notice("impersonation_ended", record.handle, record.user_id, acting)


def accompanied(policy: Policy, state: State, acting: Acting, now: int) -> Steps[tuple[State, list[Notice]]]:
    """Return the state of a session that *acting* takes place in, with the actor's own session.

    If its time is over, return the actor's own. If that has ended, return nobody's.
    """
    parent = yield from find_live(policy, acting.session, now)
    if isinstance(parent, str):
        handle = None if state.record is None else state.record.handle
        return State(), [Notice("cookie_rejected", "actor_gone", handle, actor=acting.user_id)]
    if now >= acting.until:
        return back_to_own(state, parent), []
    state.parent = parent
    return state, []


def goes_on(policy: Policy, acting: Acting | None, now: int) -> Steps[bool]:
    """Return whether *acting* has outlived neither its time nor the own session; true if it is None."""
    if acting is None:
        return True
    return now < acting.until and not isinstance((yield from find_live(policy, acting.session, now)), str)


def _notice(name: EventName, handle: str | None, user_id: str | None, acting: Acting) -> Notice:
    return Notice(name, acting.reason, handle, user_id, actor=acting.user_id)
