"""End a session for good, under each id that it was renewed to."""

from __future__ import annotations

from fluidauth.errors import NotEnded, StoreError
from fluidauth.formats.payloads import is_adoption, successor_of
from fluidauth.records import SessionRecord
from fluidauth.rules.policy import Policy

from . import calls
from .lookup import check_time, deadline
from .runner import Steps


def end(policy: Policy, handle: str, version: int | None = None) -> Steps[bool]:
    """Delete the session, or what took its place under a new id; return whether one ended.

    Even an expired tombstone is followed, because a logout is final, however slow the request was.
    Raise ``NotEnded`` if the store fails.
    """
    left = [handle]
    try:
        return (yield from _end(left, version, deadline()))
    except StoreError as error:
        raise NotEnded({handle: left[-1]}) from error


def _end(left: list[str], version: int | None, give_up: float) -> Steps[bool]:
    """End what the last of *left* names, and add to *left* what it leads to.

    A tombstone is removed after what it leads to: another logout that finds none reports that everything has
    ended. Then its successor is looked up once more, because a renewal in two steps may have made it since.
    """
    graves: list[SessionRecord] = []  # followed, and not removed yet
    ended = False
    while True:
        handle = left[-1]
        found = yield from _delete(handle, version, give_up)
        successor = successor_of(found) if isinstance(found, SessionRecord) else None
        if isinstance(found, SessionRecord) and successor is not None and successor not in left:
            graves.append(found)
            left.append(successor)
            version = None
            continue
        ended = ended or found is True
        reborn = yield from _bury(graves)
        if reborn is None:
            return ended
        left.append(reborn)
        version = None


def _delete(handle: str, version: int | None, give_up: float) -> Steps[SessionRecord | bool]:
    """Delete the session *handle*; return whether it was there, or its tombstone, which stays."""
    while True:
        if version is not None and (yield from calls.delete(handle, version)):
            return True
        record = yield from calls.get(handle)
        if record is None:
            # A missing record may be on a replica still: a store that waits for replicas does so now.
            yield from calls.delete(handle)
            return False
        if record.handle != handle:  # nothing is known about the one we asked for
            raise StoreError("the store answered with another session's record")
        check_time(give_up)
        if successor_of(record) is not None:
            return record
        version = record.version


def _bury(graves: list[SessionRecord]) -> Steps[str | None]:
    """Remove the tombstones *graves*, the last first; return a successor that one still leads to."""
    while graves:
        record = graves.pop()
        if not is_adoption(record):  # a marker stays, or the old cookie would be valid again
            yield from calls.delete(record.handle, record.version)
            successor = successor_of(record)
            if successor is not None and (yield from calls.get(successor)) is not None:
                return successor
    return None
