"""Changes that do not wait for the response: they are in the store when the call returns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from fluidauth.errors import NotSupported, StoreError
from fluidauth.rules.expiry import next_expiry, used_at
from fluidauth.rules.policy import Policy
from fluidauth.rules.versions import next_version
from fluidauth.session.notes import Acting, Notes, acting_in

from . import calls
from .acting import goes_on
from .lookup import Live, check_time, deadline, find_live
from .runner import Steps

T = TypeVar("T")
Taking = Callable[[Notes], tuple[Notes, T] | None]
"""From notes to those without something, and that; None if it is not there."""


def take(
    policy: Policy, handle: str, now: int, taking: Taking[T], counts: bool
) -> Steps[tuple[Live, T] | None]:
    """Take something out of the notes of a live session, also under an id that it was renewed to.

    Of concurrent calls one gets it, as each is a compare and swap. Return None if it is not there. The
    session lives on from now only if that *counts* as activity.
    """
    alone, give_up = False, 0.0
    while True:
        live = yield from find_live(policy, handle, now)
        found = None if isinstance(live, str) else taking(live.body.notes)
        if isinstance(live, str) or found is None:
            return None
        notes, what = found
        body = live.body._replace(notes=notes)
        used = used_at(live.record, body, now, counts)
        following = next_version(policy, live.record, body, used, live.record.kid)
        if (yield from calls.update(following)):
            return Live(following, body), what
        if not alone:  # as in operations.save
            yield from calls.lock(handle)
            alone, give_up = True, deadline()
        check_time(give_up)


def prolong(policy: Policy, handle: str, now: int) -> Steps[Live | None]:
    """Count as activity now. Return the session, or None if it has ended: it is never revived."""
    live = yield from find_live(policy, handle, now)
    if isinstance(live, str) or not (yield from goes_on(policy, acting_in(live.body.notes), now)):
        return None
    due = next_expiry(live.record, live.body, now)
    if due > live.record.expires_at:
        yield from _move(policy, live, due)
        yield from accompany(policy, acting_in(live.body.notes), due, now)
    return live._replace(record=live.record._replace(expires_at=due))


def accompany(policy: Policy, acting: Acting | None, due: int, now: int) -> Steps[None]:
    """Keep the own session of who acts in another's name from idling out meanwhile, as well as can be."""
    if acting is None:
        return
    with suppress(StoreError):  # the next touch tries again
        own = yield from find_live(policy, acting.session, now)
        if not isinstance(own, str) and own.record.expires_at < due:
            yield from _move(policy, own, min(due, own.body.deadline))


def _move(policy: Policy, live: Live, due: int) -> Steps[None]:
    """Move the expiry of *live* to *due*. Another request that changes it meanwhile moves it as well."""
    try:
        yield from calls.touch(live.record.handle, due)
    except NotSupported:
        yield from calls.update(policy.sealer.reseal(live.record._replace(expires_at=due), live.body))
