"""Every rule of a session's life: cookie to session, record to session, session to changes.

Pure: no I/O, and the clock is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from . import tokens
from .cookies import MAX_CANDIDATES, MAX_HEADER_LENGTH, CookieOptions, find_values
from .errors import RecordTampered
from .events import EventName
from .merge import Edits, edits_of
from .records import Lifetime, SessionRecord, handle_of, handle_prefix
from .sealing import Body, RenewalReason, Sealer, Tombstone
from .session import CookieSource, Session
from .state import Credential, State

TOMBSTONE_SECONDS = 60
MAX_CLOCK_SKEW = 60  # seconds that two servers' clocks may disagree
# A touch is written when it would move the deadline by this part of the idle timeout.
_TOUCH_FRACTION = 20


@dataclass(frozen=True, slots=True)
class Policy:
    """What an engine was configured with, and all that the rules need to know."""

    sealer: Sealer
    cookie: CookieOptions
    lifetime: Lifetime
    handle_prefix: bytes

    @classmethod
    def of(cls, sealer: Sealer, cookie: CookieOptions, lifetime: Lifetime, namespace: str) -> Policy:
        return cls(sealer, cookie, lifetime, handle_prefix(namespace))

    def handle_of(self, session_id: str) -> str:
        return handle_of(self.handle_prefix, session_id)


class Notice(NamedTuple):
    """Something to tell the operator; the engine makes an event of it."""

    name: EventName
    reason: str | None = None
    handle: str | None = None
    user_id: str | None = None


# -- cookie to credential ---------------------------------------------------------------


def identify(policy: Policy, source: CookieSource) -> tuple[list[Credential], list[Notice]]:
    """Return the genuine credentials in a request's cookies, one for each session id.

    Total: no header makes it raise. No store is asked for anything else.
    """
    header = source if isinstance(source, str) else _cookie_header(source)
    names = policy.cookie.names
    if not header or not any(name in header for name in names):
        return [], []
    if len(header) > MAX_HEADER_LENGTH:
        return [], [Notice("cookie_rejected", "too_long")]
    values = find_values(header, names)
    if len(values) > MAX_CANDIDATES:
        return [], [Notice("cookie_rejected", "too_many")]
    credentials: dict[str, Credential] = {}
    notices = []
    # The name in use comes first, so that its cookie stands for the session.
    for name, value in sorted(values, key=lambda v: names.index(v[0])) if len(values) > 1 else values:
        session_id, kid = tokens.verify(policy.sealer.keyring, value)
        if not session_id:
            notices.append(Notice("cookie_rejected", kid))
        elif session_id not in credentials:
            handle = policy.handle_of(session_id)
            credentials[session_id] = Credential(name, session_id, kid, handle)
    return list(credentials.values()), notices


def _cookie_header(headers: Iterable[tuple[bytes, bytes]]) -> str:
    # HTTP/2 may split the header; RFC 9113, section 8.2.3 joins it with "; ".
    found = [value for name, value in headers if name == b"cookie" or name.lower() == b"cookie"]
    return b"; ".join(found).decode("latin-1")


# -- record to state --------------------------------------------------------------------


def admit(
    policy: Policy,
    credentials: list[Credential],
    records: list[SessionRecord | None],
    now: int,
) -> tuple[State, list[Notice]]:
    """Return the state for what the store answered to *credentials*.

    Exactly one live session counts; two different ones make the request anonymous,
    since one of them was planted.
    """
    live: list[State] = []
    barred: State | None = None
    notices = []
    for credential, record in zip(credentials, records, strict=True):
        if record is None:
            notices.append(Notice("cookie_rejected", "unknown_id", credential.handle))
            continue
        found = open_record(policy, record, credential.handle, now)
        if isinstance(found, Body):
            live.append(State(credential, record, found))
        elif isinstance(found, Tombstone):
            barred = State(credential, barred=found.reason)
            notices.append(Notice("cookie_rejected", "replaced", credential.handle))
        else:
            notices.append(found)
    if len(live) == 1:
        return live[0], notices
    if live:
        return State(), [*notices, Notice("ambiguous")]
    return barred or State(), notices


def open_record(policy: Policy, record: SessionRecord, handle: str, now: int) -> Body | Tombstone | Notice:
    """Return what *record*, asked for by *handle*, is worth at the time *now*."""
    if record.handle != handle:  # a desynchronised connection answered another's question
        return Notice("record_tampered", "handle", handle)
    try:
        body = policy.sealer.unseal(record)
    except RecordTampered as error:
        return Notice("record_tampered", error.reason, handle)
    if isinstance(body, Tombstone):
        return body if now < body.deadline else Notice("cookie_rejected", "unknown_id", handle)
    if is_expired(record, body, now):
        return Notice("session_expired", None, handle, record.user_id)
    if record.created_at > now + MAX_CLOCK_SKEW:
        return Notice("clock_skew", None, handle)
    return body


# -- session to changes -----------------------------------------------------------------


class Changes(NamedTuple):
    """What a request asks of the store."""

    state: State
    fields: dict[str, Any]
    edits: Edits
    upgrades: bool
    """The cookie or the row is under an older key or name."""
    answerable: bool
    """A cookie can still be sent."""
    touch_to: int | None
    """Where the idle deadline should move, if far enough to be worth a write."""


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
    if not keep:
        if not state.ends:
            return None
        ended = State(state.credential, state.record, state.body, state.barred)
        ended.ends = True
        return Changes(ended, {}, Edits.none(), False, session._answerable, None)
    edits = edits_of(state, session)
    wanted = state.ends or state.login or (not state.closed and (state.renews or edits))
    touch_to, upgrades = None, False
    if not wanted:
        if state.record is None or state.body is None or state.closed:
            return None
        if is_expired(state.record, state.body, now):
            return None
        touch_to = _touch_to(state.record, state.body, now)
    if state.record is not None:
        upgrades = _is_stale(policy, state, session._answerable)
    if not wanted and touch_to is None and not upgrades:
        return None
    return Changes(state, dict(dict.items(session)), edits, upgrades, session._answerable, touch_to)


def _touch_to(record: SessionRecord, body: Body, now: int) -> int | None:
    if body.idle is None:
        return None
    due = expiry(body, now)
    return due if due - record.expires_at >= max(1, body.idle // _TOUCH_FRACTION) else None


def _is_stale(policy: Policy, state: State, answerable: bool) -> bool:
    signing = policy.sealer.keyring.signing.kid
    if state.record is None or policy.sealer.sealed_by(state.record) != signing:
        return state.record is not None
    credential = state.credential
    return (
        answerable
        and credential is not None
        and (credential.kid != signing or credential.cookie != policy.cookie.name)
    )


# -- new versions ---------------------------------------------------------------------


def new_body(
    policy: Policy,
    fields: dict[str, Any],
    now: int,
    lifetime: Lifetime | None = None,
    auth_time: int | None = None,
) -> Body:
    """Return the body of a session that begins now; its absolute deadline never moves again."""
    lifetime = lifetime or policy.lifetime
    return Body(
        fields, now + lifetime.absolute_seconds, lifetime.idle_seconds, lifetime.persistent, auth_time
    )


def first_version(
    policy: Policy, user_id: str | None, created_at: int, body: Body, now: int
) -> tuple[Credential, SessionRecord]:
    """Return a record under a fresh id, and the credential that opens it."""
    kid = policy.sealer.keyring.signing.kid
    session_id = tokens.new_session_id()
    handle = policy.handle_of(session_id)
    record = SessionRecord(handle, user_id, created_at, expiry(body, now), 1, kid, b"")
    return Credential(policy.cookie.name, session_id, kid, handle), policy.sealer.seal(record, body)


def next_version(policy: Policy, record: SessionRecord, body: Body, now: int, kid: str) -> SessionRecord:
    """Return the update of *record* to *body*; an expiry never moves back."""
    following = record._replace(
        version=record.version + 1, kid=kid, expires_at=max(record.expires_at, expiry(body, now))
    )
    return policy.sealer.seal(following, body)


def tombstone_of(
    policy: Policy, record: SessionRecord, successor: str, reason: RenewalReason, now: int
) -> SessionRecord:
    """Return the update of *record* to a tombstone that names *successor*."""
    deadline = now + TOMBSTONE_SECONDS
    grave = record._replace(user_id=None, version=record.version + 1, expires_at=deadline)
    return policy.sealer.seal(grave, Tombstone(successor, reason, deadline))


def successor_of(policy: Policy, record: SessionRecord) -> str | None:
    """Return the handle that took the place of *record*, expired or not; None if none did."""
    try:
        body = policy.sealer.unseal(record)
    except RecordTampered:
        return None
    return body.successor if isinstance(body, Tombstone) else None


def is_expired(record: SessionRecord, body: Body, now: int) -> bool:
    """Return whether the session is dead at *now*, whatever a database's writer made of its row."""
    return now >= min(record.expires_at, body.deadline)


def expiry(body: Body, now: int) -> int:
    """Return the earlier of *body*'s absolute deadline and its idle deadline from *now*."""
    return body.deadline if body.idle is None else min(body.deadline, now + body.idle)


def settle(policy: Policy, session: Session, outcome: Outcome, now: int) -> list[str]:
    """Bring *session* to where the commit left it; return the ``Set-Cookie`` values to send.

    Values that others changed meanwhile replace ours in place; the application keeps
    its references to all else.
    """
    state = session._state
    if state is None:
        return []
    if outcome.closed:
        state.closed, state.ends, state.login, state.renews = outcome.closed, False, None, False
        return []
    presented = state.credential
    session._state = State(outcome.credential, outcome.record, outcome.body)
    if outcome.body is not None:
        session._adopt(outcome.body.fields)
    if not session._answerable or outcome.cookie is None:
        return []
    former = [presented.cookie] if presented and presented.cookie != policy.cookie.name else []
    lines = [policy.cookie.expire(name) for name in former]
    if outcome.cookie == "expire":
        return [policy.cookie.expire(policy.cookie.name), *lines]
    if outcome.credential is None or outcome.body is None:
        return lines
    token = tokens.sign(policy.sealer.keyring.signing, outcome.credential.session_id)
    return [policy.cookie.issue(token, outcome.body.deadline, now, outcome.body.persistent), *lines]
