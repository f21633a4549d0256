"""The records that a session goes through: the first, each after it, and the tombstone under an old id."""

from __future__ import annotations

from typing import Any

from fluidauth.formats import tokens
from fluidauth.records import Body, Lifetime, RenewalReason, SessionRecord, Tombstone, handle_of
from fluidauth.session.notes import NO_NOTES, Notes
from fluidauth.session.wish import Credential

from .expiry import expiry_from, next_expiry
from .policy import Policy

# Requests that came under the old id may still be under way when it is replaced. During this time they find
# the new one: their changes are merged there, and their logout ends it. Without a tombstone both are lost.
TOMBSTONE_SECONDS = 60


def new_body(
    policy: Policy,
    fields: dict[str, Any],
    now: int,
    lifetime: Lifetime | None = None,
    auth_time: int | None = None,
    notes: Notes = NO_NOTES,
) -> Body:
    """Return the body of a session that begins now. See ``Session.set_lifetime`` for its deadline."""
    lifetime = lifetime or policy.lifetime
    deadline = now + lifetime.absolute_seconds
    return Body(fields, deadline, lifetime.idle_seconds, lifetime.persistent, auth_time, notes=notes)


def first_version(
    policy: Policy,
    user_id: str | None,
    created_at: int,
    body: Body,
    now: int,
    before: str = "",
    reserved: str | None = None,
) -> tuple[Credential, SessionRecord]:
    """Return a record under a new id, and the credential that opens it; *before* is the handle renewed.

    *reserved* is an id that was drawn for it already.
    """
    kid = policy.keyring.signing.kid
    kin = before[: policy.kin_digits]
    while True:  # once, or if a store wants kin, 16 times as often for each digit
        session_id = reserved or tokens.new_session_id()
        handle = handle_of(policy.handle_prefix, session_id)
        if handle.startswith(kin):
            break
    record = SessionRecord(handle, user_id, created_at, expiry_from(body, now), 1, kid, b"")
    return Credential(policy.cookie.name, session_id, kid, handle), policy.sealer.seal(record, body)


def next_version(policy: Policy, record: SessionRecord, body: Body, now: int, kid: str) -> SessionRecord:
    """Return the update of *record* to *body*; an expiry never moves back."""
    expires_at = next_expiry(record, body, now)
    following = SessionRecord(
        record.handle, record.user_id, record.created_at, expires_at, record.version + 1, kid, b""
    )
    return policy.sealer.seal(following, body)


def tombstone_of(
    policy: Policy, record: SessionRecord, successor: str, reason: RenewalReason, now: int
) -> SessionRecord:
    """Return the update of *record* to a tombstone that names *successor*."""
    deadline = now + TOMBSTONE_SECONDS
    grave = record._replace(user_id=None, version=record.version + 1, expires_at=deadline)
    return policy.sealer.seal(grave, Tombstone(successor, reason, deadline))


def token_for(policy: Policy, record: SessionRecord, session_id: str) -> str:
    """Return the token for *session_id* under the key that *record* names for its cookie."""
    keyring = policy.keyring
    return tokens.sign(keyring.find(record.kid) or keyring.signing, session_id)
