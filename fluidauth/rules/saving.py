"""What a request asks of the store, planned once, and where the save leaves its session.

Pure: no I/O, and the clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fluidauth.errors import StoreError
from fluidauth.events import Notice
from fluidauth.formats.cookies import CookiePlace
from fluidauth.records import Body, SessionRecord
from fluidauth.session.edits import NO_EDITS, Edits, bring_up_to_date, edits_of
from fluidauth.session.state import State
from fluidauth.session.wish import Credential, Wish

from .expiry import is_expired, next_expiry, used_at
from .loading import is_stale
from .policy import Policy
from .versions import token_for


class SavePlan(NamedTuple):
    """What a request asks of the store."""

    state: State
    """The state when this was planned."""
    fields: dict[str, Any]
    edits: Edits
    now: int
    """Unix seconds, from the plan to the cookie: one save has one clock."""
    answerable: bool
    """A cookie can still be sent."""
    upgrades: bool = False
    """The cookie or the row is under an older key or name, or the cookie's expiry changes."""
    touch_to: int = 0
    """The new expiry of a session that was only read, if nothing else is written."""
    counts: bool = True
    """Whether the request counts as activity, so that the session lives on from now."""

    def used_at(self, record: SessionRecord, body: Body) -> int:
        """Return when the session was used last, in Unix seconds, if this request counts or not."""
        return used_at(record, body, self.now, self.counts)

    def answers(self, record: SessionRecord) -> bool:
        """Return whether the response may carry a cookie of *record*: the request presented its id."""
        credential = self.state.credential
        return self.answerable and credential is not None and credential.handle == record.handle

    def reissues(self, record: SessionRecord) -> bool:
        """Return whether a presented cookie of *record* should be signed again, and can be."""
        return self.upgrades and self.answers(record)

    def __repr__(self) -> str:  # values must not reach tracebacks
        return f"<SavePlan of {list(self.edits.names)}>"


@dataclass(slots=True)
class Outcome:
    """Where a save left the session, and what the browser gets."""

    record: SessionRecord | None = None
    body: Body | None = None
    credential: Credential | None = None
    cookie: Literal["issue", "expire"] | None = None
    closed: str | None = None
    notices: list[Notice] = field(default_factory=list)
    parent: tuple[SessionRecord, Body] | None = None
    """The own session of who acts in another's name from now on."""
    failure: StoreError | None = None
    """Why what was to end after this one had its id may not all have ended. All else is stored."""


def plan(
    policy: Policy,
    state: State,
    fields: dict[str, Any],
    now: int,
    answerable: bool,
    keep: bool = True,
    counts: Callable[[], bool] = lambda: True,
) -> SavePlan | None:
    """Return what must be stored of a session with *fields*; None if nothing.

    *keep* is false for a request that failed. Then only a logout is carried out. *counts* says whether the
    request is activity, and is asked only if the session would live longer by it. Raise
    :class:`PayloadError` for a field that is not JSON.
    """
    if not keep:
        return SavePlan(state.only_its_end(), {}, NO_EDITS, now, answerable) if state.wish.ends else None
    if state.wish.leaves is not None and not (answerable or state.wish.ends):
        state.leave_later()
    edits = edits_of(state, fields) if state.is_changed(fields) else NO_EDITS
    if state.wish.ends or state.wish.login or _asks(state, edits):
        upgrades = is_stale(policy, state) or state.wish.lifetime is not None
        active = not _slides(state, now) or counts()
        return SavePlan(
            state.snapshot(), dict(dict.items(fields)), edits, now, answerable, upgrades, counts=active
        )
    return _plan_refresh(policy, state, now, answerable, counts)


def _slides(state: State, now: int) -> bool:
    """Return whether a session that goes on would live longer because of this save."""
    record, body, wish = state.record, state.body, state.wish
    if record is None or body is None or wish.login or wish.ends:
        return False
    return bool(wish.renews or wish.lifetime) or next_expiry(record, body, now) != record.expires_at


def _asks(state: State, edits: Edits) -> bool:
    """Return whether there is anything to store, or to report because the session is closed."""
    if state.closed:
        return bool(edits)
    wish, adoption = state.wish, state.adoption
    asked = wish.renews or wish.lifetime or wish.notes or wish.alone_since or edits
    return bool(asked or (adoption and not adoption.taken))


def _plan_refresh(
    policy: Policy, state: State, now: int, answerable: bool, counts: Callable[[], bool]
) -> SavePlan | None:
    """Return the touch, re-seal or new signature that is due for a session only read, once."""
    record, body = state.record, state.body
    if not state.due or record is None or body is None or is_expired(record, body, now):
        return None
    state.due = False
    upgrades, touch_to = is_stale(policy, state), next_expiry(record, body, now)
    active = touch_to == record.expires_at or counts()
    if not (upgrades or active):
        return None
    touch_to = touch_to if active else 0
    return SavePlan(state.snapshot(), body.fields, NO_EDITS, now, answerable, upgrades, touch_to, active)


def settle(later: State, fields: dict[str, Any], plan: SavePlan, outcome: Outcome) -> State:
    """Return the state in which a save leaves its session; bring *fields* to what is stored.

    *later* is the state now: the application may have gone on while the save waited for the store.
    """
    since = plan.state
    if outcome.closed:
        asked = State()
        asked.carry_on(later, since)
        later.refuse_changes(outcome.closed)
        later.count_from(plan.fields, plan.edits.texts)
        later.wish = Wish(asked.wish.ends, asked.wish.gone, asked.wish.formers, asked.wish.login)
        later.modified = asked.wish.ends or asked.wish.login is not None
        return later
    fresh = State(outcome.credential, outcome.record, outcome.body)
    if fresh.acting is not None:
        fresh.parent = outcome.parent or since.parent
    if fresh.carry_on(later, since):
        # What was handed out during the save is watched as well.
        texts = {**later.texts, **plan.edits.texts} if later.texts else plan.edits.texts
        bring_up_to_date(fields, fresh, plan.fields, texts)
    return fresh


def cookies_after(policy: Policy, plan: SavePlan, outcome: Outcome) -> dict[CookiePlace, str]:
    """Return the ``Set-Cookie`` values for *outcome*; none if none can be sent."""
    if outcome.cookie is None or outcome.closed or not plan.answerable:
        return {}
    ours, since = policy.cookie, plan.state
    lines: dict[CookiePlace, str] = {}
    if outcome.cookie == "expire":
        lines[ours.place()] = ours.expire()
    elif outcome.credential is not None and outcome.record is not None and outcome.body is not None:
        token = token_for(policy, outcome.record, outcome.credential.session_id)
        lines[ours.place()] = ours.issue(token, outcome.body.deadline, plan.now, outcome.body.persistent)
    # Ours under a former name, and those of former systems.
    olds = {each.cookie: each.cookie.name for each in since.old}
    for presented in (since.credential, *since.others):
        name = ours.name if presented is None else presented.cookie
        if name != ours.name and name not in olds.values():
            lines[ours.place(name)] = ours.expire(name)
    for old in olds:
        if old.place() != ours.place():
            lines[old.place()] = old.expire()
    return lines
