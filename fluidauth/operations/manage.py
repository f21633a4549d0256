"""The store work of the calls outside a request, written once for both worlds."""

from __future__ import annotations

from typing import Any

from fluidauth.errors import NoSuchSession, NotSupported
from fluidauth.formats.json_values import check
from fluidauth.records import END_OF_TIME, Lifetime, SessionInfo, is_handle
from fluidauth.rules.loading import identify
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome
from fluidauth.rules.versions import issue, new_body, next_version

from . import calls
from .lookup import Live, end, find
from .runner import Steps
from .save import create

_PAGE = 500
_CLEAN_BATCH = 250  # short transactions, so that requests get their turn


def begin(
    policy: Policy, user_id: str | None, data: dict[str, Any], lifetime: Lifetime | None, now: int
) -> Steps[Outcome]:
    """Store a new session of *user_id*."""
    check(data, "data")
    auth_time = None if user_id is None else now
    return (yield from create(policy, user_id, new_body(policy, dict(data), now, lifetime, auth_time), now))


def fetch(policy: Policy, handle: str, now: int) -> Steps[Live | None]:
    """Read the live session *handle*."""
    if not is_handle(handle):
        return None
    found = yield from find(policy, handle, now)
    return found if isinstance(found, Live) else None


def delete(policy: Policy, handle: str) -> Steps[bool]:
    """End the session *handle*, or what it was renewed to."""
    return (yield from end(policy, handle)) if is_handle(handle) else False


def extend(policy: Policy, handle: str, seconds: int, now: int) -> Steps[bool]:
    """Move the idle deadline of a live session forward, never beyond its absolute one."""
    live = yield from fetch(policy, handle, now)
    if live is None:
        return False
    record, body = live
    due = min(body.deadline, now + seconds)
    try:
        yield from calls.touch(handle, due)
    except NotSupported:
        following = next_version(policy, record, body, now, record.kid)
        return (yield from calls.update(following._replace(expires_at=max(record.expires_at, due))))
    return True


def sessions_of(user_id: str, now: int) -> Steps[list[SessionInfo]]:
    """List the user's live sessions, without opening a payload."""
    found: list[SessionInfo] = []
    after: str | None = None
    while True:
        page = yield from calls.list_for_user(user_id, after, _PAGE)
        found.extend(
            SessionInfo(r.handle, r.user_id, r.created_at, r.expires_at) for r in page if r.expires_at > now
        )
        if len(page) < _PAGE:
            return found
        after = page[-1].handle


def revoke_user(user_id: str, except_handle: str | None) -> Steps[int]:
    """End all sessions of the user, in one step of the store."""
    if except_handle is not None and not is_handle(except_handle):
        raise ValueError(f"except_handle={except_handle!r} is no handle")
    return (yield from calls.delete_for_user(user_id, except_handle))


def clean(now: int) -> Steps[int]:
    """Remove what has expired, in batches."""
    removed = 0
    while True:
        count = yield from calls.clean(now, _CLEAN_BATCH)
        removed += count
        if count < _CLEAN_BATCH:
            return removed
        yield from calls.pause()


def revoke_all() -> Steps[int]:
    """End every session of the namespace: until an empty batch proves that none is left."""
    removed = 0
    while True:
        count = yield from calls.clean(END_OF_TIME, _CLEAN_BATCH)
        removed += count
        if not count:
            return removed


def set_cookie_header(policy: Policy, token: str, now: int) -> Steps[str]:
    """Render ``Set-Cookie`` for the live session of *token*."""
    presented, _ = identify(policy, f"{policy.cookie.name}={token}")
    del token  # a traceback that prints locals must not show it while the store fails
    live = (yield from fetch(policy, presented[0].handle, now)) if presented else None
    if live is None:
        raise NoSuchSession("the token opens no live session")
    renewed = issue(policy, live.record, presented[0].session_id)
    return policy.cookie.issue(renewed, live.body.deadline, now, live.body.persistent)
