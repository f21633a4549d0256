"""What follows a response now and then: denied sessions are ended, expired records are removed."""

from __future__ import annotations

from contextlib import suppress

from fluidauth.errors import StoreError
from fluidauth.events import Notice
from fluidauth.operations import adopt, manage
from fluidauth.operations.runner import Steps

from .access import StoreAccess
from .denylist import Denial

CLEAN_INTERVAL = 60  # seconds between two automatic cleanings of a process
CLEAN_MARGIN = 60 * 60  # a clock that jumped forward must not cost live sessions
CLEAN_BATCH = 200
DENIALS_BATCH = 20  # denied sessions to end after one response


def tidy(access: StoreAccess) -> None:
    """End what is still denied, and remove a few records that expired an hour ago. When ``cleaning_due``."""
    before, done = _take_turn(access), 0
    for denial in access.denylist.pending(access.now(), DENIALS_BATCH):
        with suppress(StoreError):  # reported; it stays denied, and others get their turn
            ended = access.perform(_ending(access, denial), "revoke")
            _removed(access, denial, ended)
            done += 1
    _go_on(access, done)
    if access.store.expires_itself:
        return
    try:
        _cleaned(access, access.store.clean(before, CLEAN_BATCH))
    except StoreError:
        access.report_failure("clean")


async def atidy(access: StoreAccess) -> None:
    """Do as :func:`tidy`, without blocking."""
    before, done = _take_turn(access), 0
    for denial in access.denylist.pending(access.now(), DENIALS_BATCH):
        with suppress(StoreError):  # as above
            ended = await access.aperform(_ending(access, denial), "revoke")
            _removed(access, denial, ended)
            done += 1
    _go_on(access, done)
    if access.twin.expires_itself:
        return
    try:
        _cleaned(access, await access.twin.clean(before, CLEAN_BATCH))
    except StoreError:
        access.report_failure("clean")


def _take_turn(access: StoreAccess) -> int:
    """Let no other response tidy now; return the time up to which expired records go."""
    now = access.now()
    access.cleaning_due = False
    access.clean_at = now + CLEAN_INTERVAL
    return now - CLEAN_MARGIN


def _go_on(access: StoreAccess, done: int) -> None:
    """Have the next response end more, as long as the store works. After a failure, wait a minute."""
    access.cleaning_due = done > 0 and bool(access.denylist.denied)
    access.clean_at = access.now() + CLEAN_INTERVAL  # each that was refused has asked for sooner


def _cleaned(access: StoreAccess, count: int) -> None:
    access.cleaning_due |= count >= CLEAN_BATCH  # more is waiting: go on after the next response


def _ending(access: StoreAccess, denial: Denial) -> Steps[bool]:
    """Return what ends a denied session now, or an old cookie, under which there is no record."""
    if denial.left:
        return manage.delete(access.policy, denial.left)
    return adopt.end_former(access.policy, denial.handle, denial.until, access.now())


def _removed(access: StoreAccess, denial: Denial, ended: bool) -> None:
    access.denylist.remove(denial.ends)
    if ended:
        access.report([Notice("session_revoked", "late", denial.ends)])
