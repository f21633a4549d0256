"""Every rule of a session's life after it was admitted: session to changes, outcome to session.

Pure: no I/O, and the clock is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fluidauth.events import Notice
from fluidauth.records import (
    Body,
    SessionRecord,
    check_user_id,
)
from fluidauth.session import Session
from fluidauth.session.edits import NO_EDITS, Edits, edits_of, take_over
from fluidauth.session.state import Credential, Login, State

from .expiry import is_expired, next_expiry
from .loading import is_stale
from .policy import Policy
from .versions import issue


class Changes(NamedTuple):
    """What a request asks of the store."""

    state: State
    fields: dict[str, Any]
    edits: Edits
    upgrades: bool
    """The cookie or the row is under an older key or name, or the cookie's expiry changes."""
    answerable: bool
    """A cookie can still be sent."""
    touch_to: int
    """Where the expiry of a session only read should move, if nothing else is written."""

    def __repr__(self) -> str:  # of values nothing reaches tracebacks
        return f"<Changes to {list(self.edits.names)}>"


@dataclass(slots=True)
class Outcome:
    """Where a commit left the session, and what the browser is to be told."""

    record: SessionRecord | None = None
    body: Body | None = None
    credential: Credential | None = None
    cookie: Literal["issue", "expire"] | None = None
    closed: str | None = None
    notices: list[Notice] = field(default_factory=list)


def close(policy: Policy, session: Session, now: int, keep: bool = True) -> Changes | None:
    """Return what *session* asks of the store, None if nothing.

    *keep* is false for a request that failed: then only a logout is carried out.
    """
    state = session._state
    if state is None:
        return None
    answerable = session._answerable
    if not keep:
        follow_user(policy, session, state, now, keep)
        return Changes(state.only_its_end(), {}, NO_EDITS, False, answerable, 0) if state.ends else None
    if policy.user_of is not None:
        follow_user(policy, session, state, now)
    edits = edits_of(state, session) if state.is_changed(session) else NO_EDITS
    if state.ends or state.login or _asks(state, edits):
        fields = dict(dict.items(session))
        reissues = is_stale(policy, state) or state.lifetime is not None
        return Changes(state.snapshot(), fields, edits, reissues, answerable, 0)
    return _refresh(policy, state, answerable, now)


def _asks(state: State, edits: Edits) -> bool:
    """Return whether there is anything to store, or to tell that it cannot be, as the session is closed."""
    if state.closed:
        return bool(edits)
    return bool(state.renews or state.lifetime or edits or (state.adoption and not state.adoption.taken))


def follow_user(policy: Policy, session: Session, state: State, now: int, keep: bool = True) -> None:
    """Sign in or out whom the application did by changing fields, as with a former system.

    Whoever was signed in by :meth:`Session.login` stays so. Where no cookie can be sent any more for the
    new id, or the request failed and nothing else is kept, the session of who was signed in ends.
    Raise ``TypeError`` or ``ValueError`` for a wrong user id.
    """
    user_of = policy.user_of
    if user_of is None or state.ends or state.closed or state.signs_in or not state.is_changed(session):
        return
    before = session.user_id
    user_id = user_of(dict(dict.items(session)))
    if user_id == before or before != user_of({name: state.pristine(name) for name in state.base}):
        return
    if not keep or not session._answerable or (user_id is None and not dict.__len__(session)):
        if keep or before is not None:
            session._end()
        return
    if user_id is not None:
        check_user_id(user_id)
    state.login, state.renews = Login(user_id, None, now if user_id else None), False


def _refresh(policy: Policy, state: State, answerable: bool, now: int) -> Changes | None:
    """Return the touch, re-seal or re-signing that is due for a session only read, once."""
    record, body = state.record, state.body
    if not state.due or record is None or body is None or is_expired(record, body, now):
        return None
    state.due = False
    touch_to = next_expiry(record, body, now)
    snapshot = state.snapshot()
    return Changes(snapshot, body.fields, NO_EDITS, is_stale(policy, state), answerable, touch_to)


# -- new versions ---------------------------------------------------------------------


def settle(policy: Policy, session: Session, changes: Changes, outcome: Outcome, now: int) -> list[str]:
    """Bring *session* to where the commit left it; return the ``Set-Cookie`` values to send."""
    later, since = session._state, changes.state
    if later is None:
        return []
    if outcome.closed:
        asked = State()
        asked.carry_on(later, since)
        later.close(outcome.closed)
        later.count_from(changes.fields, changes.edits.texts)
        later.ends, later.login = asked.ends, asked.login
        later.modified = asked.ends or asked.login is not None
        return []
    fresh = session._state = State(outcome.credential, outcome.record, outcome.body)
    if fresh.carry_on(later, since):
        # What was handed out while the save waited is watched as well.
        texts = {**later.texts, **changes.edits.texts} if later.texts else changes.edits.texts
        take_over(session, fresh, changes.fields, texts)
    if not session._answerable or outcome.cookie is None:
        return []
    presented = [c for c in (since.credential, *since.others) if c is not None]
    olds = {each.cookie: each.cookie.name for each in since.old}
    former = dict.fromkeys(
        c.cookie for c in presented if c.cookie != policy.cookie.name and c.cookie not in olds.values()
    )
    lines = [policy.cookie.expire(name) for name in former]
    ours = policy.cookie
    for old in olds:
        if (old.name, old.path, old.domain) != (ours.name, ours.path, ours.domain):
            lines.append(old.expire(old.name))
    if outcome.cookie == "expire":
        return [policy.cookie.expire(policy.cookie.name), *lines]
    if outcome.credential is None or outcome.record is None or outcome.body is None:
        return lines
    token = issue(policy, outcome.record, outcome.credential.session_id)
    return [policy.cookie.issue(token, outcome.body.deadline, now, outcome.body.persistent), *lines]
