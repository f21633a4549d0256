"""From a request's cookies to the state of its session: what opens it, and what does not.

No store is asked, and the clock is passed in. An unknown key id may make the keyring look
at its file. Whatever a client sends or a row says, nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fluidauth.errors import RecordTampered
from fluidauth.events import Notice
from fluidauth.formats import client_tokens, tokens
from fluidauth.formats.cookies import (
    MAX_CANDIDATES,
    MAX_HEADER_LENGTH,
    CookieSource,
    find_values,
    request_cookies,
)
from fluidauth.keys import Keyring
from fluidauth.meanings import EventName
from fluidauth.records import Body, SessionRecord, Tombstone, handle_of
from fluidauth.session.notes import actor_in
from fluidauth.session.state import State, barred
from fluidauth.session.wish import Credential

from .expiry import next_expiry
from .policy import Policy

MAX_CLOCK_SKEW = 60  # seconds that two servers' clocks may disagree

Verify = Callable[[Keyring, str], tuple[str, str] | tokens.Refusal]


def identify(
    policy: Policy, source: CookieSource, limit: int = MAX_CANDIDATES
) -> tuple[list[Credential], list[Notice]]:
    """Return the genuine credentials in a request's cookies, one for each session id.

    The store is asked for these only. If there are more than *limit* candidates, none is read.
    """
    header = request_cookies(source)
    if len(header) > MAX_HEADER_LENGTH:
        ours = any(name in header for name in policy.cookie_names)
        return [], [Notice("cookie_rejected", "too_long")] if ours else []
    only = policy.verified.in_header(policy.cookie_names, header)
    if only is not None:
        return [only], []
    values = find_values(header, policy.cookie_names, limit)
    if len(values) > limit:
        return [], [Notice("cookie_rejected", "too_many")]
    credentials: list[Credential] = []
    notices: list[Notice] = []
    for presented in values:  # those under the current name first: that one counts
        found = policy.verified.credential(presented)
        if found is None:
            name, token = presented
            verified = tokens.verify(policy.keyring, token)
            if isinstance(verified, str):
                notices.append(Notice("cookie_rejected", verified))
                continue
            session_id, kid = verified
            found = Credential(name, session_id, kid, handle_of(policy.handle_prefix, session_id), presented)
        if not credentials or found.handle not in [known.handle for known in credentials]:
            credentials.append(found)
    if len(values) == 1 and credentials and credentials[0].is_kept:
        policy.verified.keep_header(policy.cookie_names, header, credentials[0])
    return credentials, notices


def identify_client(policy: Policy, token: str) -> tuple[list[Credential], list[Notice]]:
    """Return the credential in *token*, a client's, if it is genuine."""
    return _identified(policy, client_tokens.verify, "", token, "token_rejected")


def identify_token(policy: Policy, token: str) -> tuple[list[Credential], list[Notice]]:
    """Return the credential in *token*, the value of a cookie of ours, if it is genuine."""
    return _identified(policy, tokens.verify, policy.cookie.name, token, "cookie_rejected")


def _identified(
    policy: Policy, verify: Verify, cookie: str, token: str, refused_as: EventName
) -> tuple[list[Credential], list[Notice]]:
    presented = cookie, token
    found = policy.verified.credential(presented)
    if found is None:
        verified = verify(policy.keyring, token)
        if isinstance(verified, str):
            return [], [Notice(refused_as, verified)]
        session_id, kid = verified
        found = Credential(cookie, session_id, kid, handle_of(policy.handle_prefix, session_id), presented)
    return [found], []


def admit(
    policy: Policy,
    credentials: Sequence[Credential],
    records: Sequence[SessionRecord | None],
    now: int,
) -> tuple[State, Sequence[Notice]]:
    """Return the state for what the store answered to *credentials*.

    Exactly one live session counts. Two different ones make the request anonymous, because one
    of them may have been planted.
    """
    if len(credentials) != 1:
        return _admit_several(policy, credentials, records, now)
    credential, record = credentials[0], records[0]
    handle = credential.handle
    if record is None:
        return State(), [
            Notice("cookie_rejected" if credential.cookie else "token_rejected", "unknown_id", handle)
        ]
    found = open_record(policy, record, handle, now, credential.is_kept)
    if isinstance(found, Body):
        state = State(credential, record, found)
        if not credential.is_kept:
            policy.verified.keep(credential, record, found)
        if next_expiry(record, found, now) != record.expires_at or _is_stale(policy, credential, record):
            state.due = True
        return state, ()
    if isinstance(found, Tombstone):
        return barred(credential, "replaced"), [Notice("cookie_rejected", "replaced", handle)]
    return State(), [found]


def _admit_several(
    policy: Policy,
    credentials: Sequence[Credential],
    records: Sequence[SessionRecord | None],
    now: int,
) -> tuple[State, Sequence[Notice]]:
    states: list[State] = []
    notices: list[Notice] = []
    for credential, record in zip(credentials, records, strict=True):
        state, told = admit(policy, [credential], [record], now)
        states.append(state)
        notices.extend(told)
    live = [state for state in states if state.record is not None]
    if len(live) > 1:
        anonymous = State()
        anonymous.others = tuple(credentials)
        return anonymous, [*notices, Notice("ambiguous")]
    return (live or [state for state in states if state.barred] or [State()])[0], notices


def open_record(
    policy: Policy, record: SessionRecord, handle: str, now: int, again: bool = False
) -> Body | Tombstone | Notice:
    """Return what *record*, the store's answer for *handle*, means at the time *now*.

    If it was asked for *again*, it may have been verified before, or be worth keeping.
    """
    if record.handle != handle:  # the answer to another question: the connection is out of step
        return Notice("record_tampered", "handle", handle)
    try:
        body = policy.verified.unseal(record) if again else policy.sealer.unseal(record)
        if isinstance(body, Tombstone):
            return body if now < body.deadline else Notice("cookie_rejected", "unknown_id", handle)
        if now >= record.expires_at or now >= body.deadline:
            return Notice("session_expired", None, handle, record.user_id, actor=actor_in(body.notes))
    except RecordTampered as error:
        return Notice("record_tampered", error.reason, handle)
    except TypeError:  # expires_at, which no MAC covers, is no number
        return Notice("record_tampered", "format", handle)
    if record.created_at > now + MAX_CLOCK_SKEW:
        return Notice("clock_skew", None, handle)
    return body


def is_stale(policy: Policy, state: State) -> bool:
    """Return whether row or cookie are under a key or name that must be replaced.

    A key that is pending here may sign elsewhere already. Then this process has not read its
    keyring file again yet, and must not undo what another process did.
    """
    record, credential = state.record, state.credential
    if record is None or credential is None:
        return False
    return state.adoption is not None or _is_stale(policy, credential, record)


def _is_stale(policy: Policy, credential: Credential, record: SessionRecord) -> bool:
    stale = policy.keyring.stale
    if stale and (credential.kid in stale or policy.sealer.is_stale(record)):
        return True
    return credential.cookie not in (policy.cookie_names[0], "")  # no response replaces a client's token
