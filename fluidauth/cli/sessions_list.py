"""``fluidauth sessions list``: which sessions there are, with their users and kinds."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from fluidauth.formats.payloads import kind_of, sealed_by, successor_of
from fluidauth.maintenance.census import every_record
from fluidauth.records import SessionRecord, moment
from fluidauth.stores.base import SessionStore
from fluidauth.stores.migrating.claims import is_claim, unmarked

from .options import check_user, command, now, open_store, store_option, whole_handle
from .output import Output, Refused

SHOWN = 12  # digits of a handle, enough to name a session among millions

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ENDED = ("replaced", "adoption", "mark", "claim")  # what is left of a session
_OF_USERS = ("signed-in", "client")
Order = Callable[[SessionRecord], tuple[Any, ...]]
_ORDERS: dict[str, Order] = {
    "created": lambda record: (-record.created_at, record.handle),
    "expires": lambda record: (record.expires_at, record.handle),
    "user": lambda record: (record.user_id is None, record.user_id, -record.created_at, record.handle),
}


def _moment(_: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return an age, such as 2h, or a date and time as Unix seconds."""
    if value is None:
        return None
    if age := re.fullmatch(r"([0-9]{1,9})([smhdw])", value):
        return now() - int(age[1]) * _SECONDS[age[2]]
    try:
        found = datetime.fromisoformat(value)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "give an age, such as 90m, 2h or 3d, or a date and time in UTC, such as 2026-11-05T14:30",
            param=param,
        ) from None


@command(None, "list")
@store_option
@click.option("--user", help="Only sessions of this user.")
@click.option("--signed-in", is_flag=True, help="Only sessions with a user, those of clients included.")
@click.option(
    "--since",
    callback=_moment,
    metavar="AGE|TIME",
    help="Only sessions that began since then: 90m, 2h or 3d ago, or a date and time in UTC.",
)
@click.option("--key", "kid", help="Only sessions with their cookie or record under this key.")
@click.option("--expired", is_flag=True, help="Also expired sessions.")
@click.option(
    "--all", "everything", is_flag=True, help="Also replaced ids, adoption markers and expired sessions."
)
@click.option(
    "--sort",
    type=click.Choice(list(_ORDERS)),
    help="Which come first: the newest, the next to expire, or users by name. This reads the whole store for "
    "each page. The default is the order of handles, which stops reading when the page is full.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="The greatest number of sessions."
)
@click.option("--after", help="Only sessions after this handle in the same order, for the next page.")
def list_sessions(
    out: Output,
    store: str,
    user: str | None,
    signed_in: bool,
    since: int | None,
    kid: str | None,
    expired: bool,
    everything: bool,
    sort: str | None,
    limit: int,
    after: str | None,
) -> None:
    """List sessions that have not expired, and what each is. No payload is opened."""
    if user is not None:
        check_user(user)
    at = now()

    def is_wanted(record: SessionRecord) -> bool:
        kind = _kind_of(record)
        return (
            (everything or ((expired or record.expires_at > at) and kind not in _ENDED))
            and (not signed_in or kind in _OF_USERS)
            and (since is None or record.created_at >= since)
            and kid in (None, record.kid, sealed_by(record))
        )

    with closing(open_store(store)) as blocking:
        found = _in_order(blocking, user, is_wanted, sort, after)
        page = list(
            islice(found, limit + 1) if sort is None else heapq.nsmallest(limit + 1, found, _ORDERS[sort])
        )
    following = page[limit - 1].handle if len(page) > limit else None  # one more says that a page follows
    del page[limit:]
    out.answer({"sessions": [columns(record) for record in page], "next": following})
    _tell(out, page, at)
    if following:
        out.hint(f"next page: --after {following[:SHOWN]}")


def _in_order(
    store: SessionStore,
    user: str | None,
    is_wanted: Callable[[SessionRecord], bool],
    sort: str | None,
    after: str | None,
) -> Iterator[SessionRecord]:
    """Yield what is wanted after *after*: in order of handle, or all of it for sorting."""
    start = whole_handle(store, after) if after else None
    if sort is None or start is None:
        return filter(is_wanted, of_user(store, user, start))
    last = store.get(start)
    if last is None:
        raise Refused("the last session of the page before is gone; begin again without --after")
    order = _ORDERS[sort]
    place = order(last)
    return (r for r in of_user(store, user) if is_wanted(r) and order(r) > place)


def _tell(out: Output, page: Iterable[SessionRecord], at: int) -> None:
    out.table(
        ("handle", "user", "kind", "created (UTC)", "expires (UTC)", "cookie key"),
        [
            (
                record.handle[:SHOWN],
                record.user_id or "–",
                kind(record) + (", expired" if record.expires_at <= at else ""),
                moment(record.created_at)[:16],
                moment(record.expires_at)[:16],
                record.kid,
            )
            for record in page
        ],
    )


def of_user(store: SessionStore, user: str | None, after: str | None = None) -> Iterator[SessionRecord]:
    """Yield all records in order of handle, or those of one *user*."""
    if user is None:
        return every_record(store.scan, after)
    return every_record(lambda start, limit: store.list_for_user(user, start, limit), after)


def kind(record: SessionRecord) -> str:
    """Return what *record* is, in words."""
    found = _kind_of(record)
    if found == "replaced":
        return f"replaced by {(successor_of(record) or '')[:SHOWN]}"
    return "adoption marker" if found == "adoption" else found


def _kind_of(record: SessionRecord) -> str:
    """Return what *record* says that it is. A session that is being moved is what it was."""
    return "claim" if is_claim(record) else kind_of(unmarked(record))


def columns(record: SessionRecord) -> dict[str, Any]:
    """Return *record* as JSON can hold it, its payload as its size and kind."""
    found = record._asdict()
    found["bytes"] = len(found.pop("payload"))
    return {**found, "kind": _kind_of(record), "successor": successor_of(record)}
