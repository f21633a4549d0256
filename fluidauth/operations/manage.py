"""The store work of the calls outside a request, written once for both worlds."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from typing import Any

from fluidauth.errors import NoSuchSession, NotSupported, StoreError
from fluidauth.events import Notice
from fluidauth.formats import client_tokens
from fluidauth.formats.json_values import check
from fluidauth.formats.payloads import is_client
from fluidauth.records import (
    Lifetime,
    SessionInfo,
    Tombstone,
    check_lifetime,
    check_user_id,
    is_handle,
    seconds,
)
from fluidauth.rules.loading import identify, identify_client
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome
from fluidauth.rules.versions import new_body, next_version, token_for
from fluidauth.session.notes import NO_NOTES, acting_in, proven
from fluidauth.session.proof import checked

from . import calls
from .acting import goes_on
from .end import end
from .lookup import MAX_CHAIN, Live, find, find_live
from .moments import revoke_before, survives
from .new_id import create
from .runner import Steps
from .save import CLOSED

_PAGE = 500
CLEAN_BATCH = 250  # short transactions, so that requests get their turn


def begin(
    policy: Policy,
    user_id: str | None,
    data: dict[str, Any] | None,
    lifetime: Lifetime | None,
    now: int,
    client: bool = False,
    since: float | None = None,
    methods: Collection[str] = (),
    alone: float | None = None,
) -> Steps[Outcome]:
    """Store a new session of *user_id*; raise ``TypeError`` or ``PayloadError`` for what it cannot hold.

    With *client*, a client's token opens it, and no cookie. If it is a login, its request began at *since*,
    and the user authenticated by *methods*. All other sessions that began before *alone* end.
    """
    data = {} if data is None else data
    if user_id is not None:
        check_user_id(user_id)
    check_lifetime(lifetime)
    if not isinstance(data, dict):
        raise TypeError(f"data must be a dict, not {type(data).__name__}")
    check(data, "data")
    used = checked(methods)
    auth_time = None if user_id is None else now
    body = new_body(policy, dict(data), now, lifetime, auth_time, proven(used, now, NO_NOTES))
    outcome = yield from create(policy, user_id, body._replace(client=client), now)
    if user_id is not None and since is not None and not (yield from survives(policy, user_id, since)):
        if outcome.record is not None:
            yield from end(policy, outcome.record.handle)
        return Outcome(
            closed=CLOSED["revoked"], notices=[*outcome.notices, Notice("write_dropped", "revoked")]
        )
    if user_id is not None and alone is not None and outcome.record is not None:
        count = yield from revoke_before(policy, user_id, alone, outcome.record.handle, now)
        outcome.notices.append(Notice("session_revoked", user_id=user_id, number=count))
    return outcome


def names_session(handle: str) -> bool:
    """Return whether *handle* is a handle; raise ``ValueError`` for a token, which is a secret."""
    if isinstance(handle, str) and (handle.startswith(client_tokens.PREFIX) or handle[:2] == "1."):
        raise ValueError(
            "this is a token, which opens a session, and not a handle, which names it: use session.handle, "
            "or a handle from list_sessions(user_id)"
        )
    return is_handle(handle)


def fetch(policy: Policy, handle: str, now: int) -> Steps[Live | None]:
    """Read the live session *handle*."""
    if not names_session(handle):
        return None
    found = yield from find(policy, handle, now)
    if not isinstance(found, Live):
        return None
    return found if (yield from goes_on(policy, acting_in(found.body.notes), now)) else None


def delete(policy: Policy, handle: str) -> Steps[bool]:
    """End the session *handle*, or what it was renewed to."""
    return (yield from end(policy, handle)) if names_session(handle) else False


def leave(policy: Policy, handle: str, now: int, own: bool) -> Steps[list[Notice]]:
    """End the session *handle*, and the *own* one of who acts there in another's name; return the events."""
    user_id, acting = None, None
    if own:
        with suppress(StoreError):  # the next call says so, and what may be left
            live = yield from find_live(policy, handle, now)
            if not isinstance(live, str):
                user_id, acting = live.record.user_id, acting_in(live.body.notes)
    ended = yield from end(policy, handle)
    if acting is not None:
        yield from end(policy, acting.session)
    actor = None if acting is None else acting.user_id
    return [Notice("session_logout", None, handle, user_id, actor=actor)] if ended else []


def delete_of(policy: Policy, handle: str, user_id: str, now: int) -> Steps[bool]:
    """Do as :func:`delete` if the session is one of *user_id*'s."""
    found = yield from fetch_of(policy, handle, user_id, now)
    return (yield from end(policy, found.record.handle)) if found else False


def fetch_of(policy: Policy, handle: str, user_id: str, now: int) -> Steps[Live | None]:
    """Read the live session *handle*, or what it was renewed to, if it is one of *user_id*'s."""
    check_user_id(user_id)
    found = (yield from find(policy, handle, now)) if is_handle(handle) else None
    for _ in range(MAX_CHAIN):
        if not isinstance(found, Tombstone):
            break
        found = yield from find(policy, found.successor, now)
    return found if isinstance(found, Live) and found.record.user_id == user_id else None


def extend(policy: Policy, handle: str, length: int | timedelta, now: int) -> Steps[bool]:
    """Move the idle deadline of a live session forward by *length*, never beyond its absolute one."""
    idle = seconds("seconds", length)
    live = yield from fetch(policy, handle, now)
    if live is None:
        return False
    record, body = live
    due = min(body.deadline, now + idle)
    try:
        yield from calls.touch(handle, due)
    except NotSupported:
        following = next_version(policy, record, body, now, record.kid)
        return (yield from calls.update(following._replace(expires_at=max(record.expires_at, due))))
    return True


def sessions_of(user_id: str, now: int) -> Steps[list[SessionInfo]]:
    """List the user's live sessions, without opening a payload."""
    check_user_id(user_id)
    found: list[SessionInfo] = []
    after: str | None = None
    while True:
        page = yield from calls.list_for_user(user_id, after, _PAGE)
        found.extend(
            SessionInfo(r.handle, r.user_id, r.created_at, r.expires_at, is_client(r))
            for r in page
            if r.expires_at > now
        )
        if len(page) < _PAGE:
            return found
        after = page[-1].handle


def clean(now: int) -> Steps[int]:
    """Remove what has expired, in batches."""
    removed = 0
    while True:
        count = yield from calls.clean(now, CLEAN_BATCH)
        removed += count
        if count < CLEAN_BATCH:
            return removed
        yield from calls.pause()


def open_client(policy: Policy, token: str, now: int) -> Steps[Live | None]:
    """Read the live session that a client's *token* opens."""
    presented, _ = identify_client(policy, token)
    del token  # as below
    return (yield from fetch(policy, presented[0].handle, now)) if presented else None


def set_cookie_header(policy: Policy, token: str, now: int) -> Steps[str]:
    """Render ``Set-Cookie`` for the live session of *token*."""
    presented, _ = identify(policy, f"{policy.cookie.name}={token}")
    del token  # a traceback that prints locals must not show it while the store fails
    live = (yield from fetch(policy, presented[0].handle, now)) if presented else None
    if live is None:
        raise NoSuchSession("the token opens no live session")
    renewed = token_for(policy, live.record, presented[0].session_id)
    return policy.cookie.issue(renewed, live.body.deadline, now, live.body.persistent)
