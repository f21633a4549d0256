"""What follows a response now and then: sessions that could not be ended are, expired records go."""

from __future__ import annotations

from contextlib import suppress

from fluidauth.errors import StoreError
from fluidauth.events import Notice
from fluidauth.operations import adopt, manage
from fluidauth.operations.runner import Steps

from .access import StoreAccess

CLEAN_INTERVAL = 60  # seconds between two automatic cleanings of a process
CLEAN_MARGIN = 60 * 60  # a clock that jumped forward must not cost live sessions
CLEAN_BATCH = 200
DENIALS_BATCH = 20  # sessions to be ended late, after one response


def tidy(access: StoreAccess) -> None:
    """End what is denied still, remove a few records that expired an hour ago; for when ``cleaning_due``."""
    for handle, record, until in access.denylist.pending(access.now(), DENIALS_BATCH):
        with suppress(StoreError):  # reported; it stays denied, and the others get their turn
            ended = access.perform(_ending(access, handle, record, until), "revoke")
            _removed(access, handle, record, ended)
    before = _cleaning_begins(access)
    if access.store.expires_itself:
        return
    try:
        _cleaned(access, access.store.clean(before, CLEAN_BATCH))
    except StoreError:
        access.report_failure("clean")


async def atidy(access: StoreAccess) -> None:
    """Do as :func:`tidy`, without blocking."""
    for handle, record, until in access.denylist.pending(access.now(), DENIALS_BATCH):
        with suppress(StoreError):  # as above
            ended = await access.aperform(_ending(access, handle, record, until), "revoke")
            _removed(access, handle, record, ended)
    before = _cleaning_begins(access)
    if access.twin.expires_itself:
        return
    try:
        _cleaned(access, await access.twin.clean(before, CLEAN_BATCH))
    except StoreError:
        access.report_failure("clean")


def _cleaning_begins(access: StoreAccess) -> int:
    """Take the turn; return the time up to which expired records go."""
    now = access.now()
    access.cleaning_due = False
    access.clean_at = now + CLEAN_INTERVAL
    return now - CLEAN_MARGIN


def _cleaned(access: StoreAccess, count: int) -> None:
    access.cleaning_due = count >= CLEAN_BATCH  # more is waiting: go on after the next response


def _ending(access: StoreAccess, handle: str, record: str, until: int) -> Steps[bool]:
    """Return what ends a denied session now; *record* is left of it, nothing of a former system's."""
    if record:
        return manage.delete(access.policy, record)
    return adopt.end_former(access.policy, handle, until, access.now())


def _removed(access: StoreAccess, handle: str, record: str, ended: bool) -> None:
    if record:
        access.denylist.remove(record)
    else:
        access.denylist.lift(handle)
    if ended:
        access.report([Notice("session_revoked", "late", record or handle)])
