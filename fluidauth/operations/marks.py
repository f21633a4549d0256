"""Marks: records that open nothing. Their existence and their time are the message, to all processes."""

from __future__ import annotations

from contextlib import suppress

from fluidauth.errors import RecordExists
from fluidauth.records import RenewalReason, SessionRecord, Tombstone, handle_of
from fluidauth.rules.policy import Policy

from . import calls
from .lookup import check_time, deadline
from .runner import Steps

NOBODY = "0" * 64
"""The successor in a mark, which leads nowhere."""


def handle(policy: Policy, what: str) -> str:
    """Return the handle of the mark named *what*."""
    return handle_of(policy.handle_prefix, what)


def mark(
    policy: Policy,
    what: str,
    kind: RenewalReason,
    made: int,
    until: int,
    says: str = "",
    version: int = 1,
) -> SessionRecord:
    """Return the mark named *what*, from *made* to *until* in Unix seconds."""
    record = SessionRecord(handle(policy, what), None, made, until, version, policy.keyring.signing.kid, b"")
    return policy.sealer.seal(record, Tombstone(NOBODY, kind, until, says))


def write(
    policy: Policy, what: str, kind: RenewalReason, now: int, until: int, says: str = ""
) -> Steps[None]:
    """Write a mark, also over an existing one, so that there is always one."""
    new = mark(policy, what, kind, now, until, says)
    give_up = deadline()
    while True:
        found = yield from calls.get(new.handle)
        if found is None:
            with suppress(RecordExists):
                yield from calls.create(new)
                break
        else:
            over = mark(policy, what, kind, found.created_at, until, says, found.version + 1)
            if (yield from calls.update(over)):
                break
        check_time(give_up)
    # No record has this version: a store with replicas waits for them.
    yield from calls.delete(new.handle, 0)
