"""Where a session stands now, under its id or a later one, and how it is ended.

An id that was replaced leads on through tombstones. Each loop here is bounded in time.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from .admission import open_record
from .errors import NotEnded, StoreError
from .policy import Policy
from .records import SessionRecord
from .sealing import Body, Tombstone, is_adoption, successor_of
from .steps import Steps

TIME_LIMIT = 2.0  # seconds of retrying against concurrent changes
MAX_CHAIN = 100  # renewals to follow from an old id


class Live(NamedTuple):
    """A session that was alive when it was read."""

    record: SessionRecord
    body: Body


def find(policy: Policy, handle: str, now: int) -> Steps[Live | Tombstone | None]:
    """Read what *handle* stands for now; None if it opens nothing."""
    record = yield ("get", handle)
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


def end(policy: Policy, handle: str, version: int | None = None) -> Steps[bool]:
    """Delete the session, or what took its place under a new id; return whether one ended.

    Even an expired tombstone is followed, since a logout is final however slow the request was.
    Raise ``NotEnded`` if the store fails.
    """
    way = [handle]
    try:
        return (yield from _end(way, version, deadline()))
    except StoreError as error:
        raise NotEnded({handle: way[-1]}) from error


def _end(way: list[str], version: int | None, give_up: float) -> Steps[bool]:
    """End what the last of *way* stands for; where that fails it is the one that is left.

    A tombstone goes after what it leads to: whoever finds none, in a logout beside this one, says that all
    has ended. And then it is looked once more, as a renewal in two steps looks for it when it is done.
    """
    handle = way[-1]
    while True:
        if version is not None and (yield ("delete", handle, version)):
            return True
        record = yield ("get", handle)
        if record is None:
            # Not here says nothing of a replica: a store that waits for those does so now.
            yield ("delete", handle)
            return False
        if record.handle != handle:  # nothing is known of the one that was meant
            raise StoreError("the store answered with another session's record")
        successor = successor_of(record)
        if successor is None:
            version = record.version
        else:
            ended = yield from _end_next(way, successor, give_up)
            if is_adoption(record):  # it stays, or the old cookie would be good again
                return ended
            if (yield ("delete", handle, record.version)):
                return (yield from _end_next(way, successor, give_up)) or ended
        check_time(give_up)


def _end_next(way: list[str], successor: str, give_up: float) -> Steps[bool]:
    way.append(successor)
    ended = yield from _end(way, None, give_up)
    way.pop()
    return ended


def deadline() -> float:
    """Return when a loop that begins now must give up."""
    return time.monotonic() + TIME_LIMIT


def check_time(give_up: float) -> None:
    """Raise ``StoreError`` if the time to *give_up* has come."""
    if time.monotonic() > give_up:
        raise StoreError(f"too many concurrent changes to one session for {TIME_LIMIT} s")
