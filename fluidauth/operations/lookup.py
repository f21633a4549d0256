"""Find a session now, under its id or the one that it was renewed to.

An id that was replaced leads on through tombstones. Each loop here is bounded in time.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from fluidauth.errors import StoreError
from fluidauth.records import Body, SessionRecord, Tombstone
from fluidauth.rules.loading import open_record
from fluidauth.rules.policy import Policy

from . import calls
from .runner import Steps

TIME_LIMIT = 2.0  # seconds of retrying against concurrent changes
MAX_CHAIN = 100  # renewals to follow from an old id


class Live(NamedTuple):
    """A session that was alive when it was read."""

    record: SessionRecord
    body: Body


def find(policy: Policy, handle: str, now: int) -> Steps[Live | Tombstone | None]:
    """Read the session of *handle* as it is now; None if it opens nothing."""
    record = yield from calls.get(handle)
    if record is None:
        return None
    found = open_record(policy, record, handle, now)
    if isinstance(found, Body):
        return Live(record, found)
    return found if isinstance(found, Tombstone) else None


def find_live(policy: Policy, handle: str, now: int) -> Steps[Live | str]:
    """Return the session, also under an id that ``regenerate`` gave it, or why there is none."""
    for _ in range(MAX_CHAIN + 1):
        found = yield from find(policy, handle, now)
        if isinstance(found, Live):
            return found
        if found is None:
            return "ended"
        if found.reason == "login":
            return "logged_in"
        handle = found.successor
    return "ended"


def deadline() -> float:
    """Return when a loop that begins now must give up."""
    return time.monotonic() + TIME_LIMIT


def check_time(give_up: float) -> None:
    """Raise ``StoreError`` if the time to *give_up* has come."""
    if time.monotonic() > give_up:
        raise StoreError(f"too many concurrent changes to one session for {TIME_LIMIT} s")
