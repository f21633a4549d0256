"""``fluidauth sessions list``: kinds, filters and orders."""

from __future__ import annotations

import re
import sqlite3
import time
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from fluidauth import Lifetime, SessionEngine
from fluidauth.operations.revoke import revoke_user
from fluidauth.operations.runner import run
from fluidauth.stores.migrating.claims import claim_at, marked
from fluidauth.testing import make_record
from tests.cli.support import Cli, change_row, expire, sign_in
from tests.support import Browser

HOUR = 3600


@pytest.fixture
def zoo(engine: SessionEngine) -> dict[str, str]:
    """One record of each kind; their handles by that."""
    browser = Browser("wsgi", engine)
    browser.request(lambda session: session.update(cart=1))
    old = browser.get(lambda session: session.handle)
    browser.request(lambda session: session.login("eve"))
    new = browser.get(lambda session: session.handle)
    signed_in = sign_in(engine, "ada")[1]
    client = SessionEngine(
        engine.policy.keyring, engine.requests.store, client_tokens=True
    ).create_client_token("bot")[1]
    anonymous = engine.create_session(None, {"cart": 2})[1]
    known = {old, new, signed_in, client.handle, anonymous.handle}
    run(engine.requests.store, revoke_user(engine.policy, "bob", None, int(time.time()), adopts=True))
    [marker] = [r.handle for r in engine.requests.store.scan() if r.handle not in known]
    return {
        "replaced": old,
        "eve": new,
        "signed-in": signed_in,
        "client": client.handle,
        "anonymous": anonymous.handle,
        "adoption": marker,
    }


def listed(cli: Cli, *options: str) -> list[str]:
    return [session["handle"] for session in cli("sessions", "list", *options, "--json").json["sessions"]]


def test_list_tells_what_each_record_is(cli: Cli, zoo: dict[str, str]) -> None:
    """Signed in, anonymous, a client's; with --all also what replaced an id, and markers."""
    found = {s["handle"]: s for s in cli("sessions", "list", "--all", "--json").json["sessions"]}
    lines = {line[:12]: line for line in cli("sessions", "list", "--all").out.splitlines()}

    assert {handle: s["kind"] for handle, s in found.items()} == {
        handle: "signed-in" if name == "eve" else name for name, handle in zoo.items()
    }
    assert found[zoo["replaced"]]["successor"] == zoo["eve"]
    assert found[zoo["eve"]]["successor"] is None
    for name, word in {
        "replaced": f"–     replaced by {zoo['eve'][:12]}  ",
        "signed-in": "ada   signed-in ",
        "client": "bot   client ",
        "anonymous": "–     anonymous ",
        "adoption": "–     adoption marker ",
    }.items():
        assert word in lines[zoo[name][:12]]
    assert set(listed(cli)) == set(zoo.values()) - {zoo["replaced"], zoo["adoption"]}
    assert set(listed(cli, "--signed-in")) == {zoo["eve"], zoo["signed-in"], zoo["client"]}
    assert listed(cli, "--signed-in", "--user", "ada") == [zoo["signed-in"]]


def test_show_tells_the_kind_as_well(cli: Cli, zoo: dict[str, str]) -> None:
    assert cli("sessions", "show", zoo["client"], "--json").json["kind"] == "client"
    assert re.search(r"kind +replaced by " + zoo["eve"][:12], cli("sessions", "show", zoo["replaced"]).out)


def test_stats_count_each_kind(cli: Cli, zoo: dict[str, str]) -> None:
    found = cli("sessions", "stats", "--json").json

    assert found["by_kind"] == {"signed-in": 2, "anonymous": 1, "client": 1, "replaced": 1, "adoption": 1}
    assert re.search(r"of these, signed-in +2\n", cli("sessions", "stats").out)


def test_expired_one_is_marked(cli: Cli, engine: SessionEngine) -> None:
    """It is in no list but with --expired or --all."""
    _, handle = sign_in(engine)
    expire(engine, handle)

    assert "signed-in, expired" in cli("sessions", "list", "--expired").out
    assert listed(cli, "--all") == [handle]
    assert listed(cli) == []


def test_what_a_copy_left_on_its_way_is_told_apart(cli: Cli, engine: SessionEngine) -> None:
    """A marked session is what it was; its claim, in the new store, is none."""
    _, handle = sign_in(engine)
    store = engine.requests.store
    record = store.get(handle)
    assert record is not None
    claim = claim_at(record, "0" * 64)
    store.create(claim)
    store.update(marked(record, claim))

    found = cli("sessions", "list", "--all", "--json").json["sessions"]

    assert [(each["handle"], each["kind"]) for each in found] == [
        (claim.handle, "claim"),
        (handle, "signed-in"),
    ]
    assert listed(cli) == [handle]


def test_list_since_a_time(cli: Cli, engine: SessionEngine) -> None:
    """By an age, or a date with a time or without, in UTC unless it says otherwise."""
    old, new = sign_in(engine, "ada")[1], sign_in(engine, "eve")[1]
    at = int(time.time())
    change_row(
        "UPDATE fluidauth_sessions SET created_at = ? WHERE handle = ?", at - 5 * HOUR, bytes.fromhex(old)
    )
    day = datetime.fromtimestamp(at - 24 * HOUR, UTC)
    hours = datetime.fromtimestamp(at - 3 * HOUR, UTC)

    for since in (
        "2h",
        "180m",
        "7200s",
        hours.isoformat(),
        f"{hours:%Y-%m-%d %H:%M}",
        f"{hours:%Y-%m-%dT%H:%MZ}",
    ):
        assert listed(cli, "--since", since) == [new]
    for since in ("6h", "1d", "2w", f"{day:%Y-%m-%d}"):
        assert set(listed(cli, "--since", since)) == {old, new}
    for wrong in ("yesterday", "2x", "-2h", "h", "2026-13-01", "99999999999999"):
        found = cli("sessions", "list", "--since", wrong)
        assert (found.code, "such as 90m, 2h or 3d" in found.err) == (2, True)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("created", lambda r: (-r["created_at"], r["handle"])),
        ("expires", lambda r: (r["expires_at"], r["handle"])),
        ("user", lambda r: (r["user_id"] is None, r["user_id"], -r["created_at"], r["handle"])),
    ],
)
def test_list_is_sorted_page_by_page(cli: Cli, engine: SessionEngine, sort: str, order: Any) -> None:
    """The newest, the next to expire, or users by name first; a page goes on where the last one ended."""
    for number in range(12):
        lifetime = Lifetime(absolute=600 + 7 * number % 5)
        handle = engine.create_session(f"user-{number % 3}" if number % 4 else None, lifetime=lifetime)[
            1
        ].handle
        age = number * 5 % 12 // 2
        change_row(
            "UPDATE fluidauth_sessions SET created_at = created_at - ? WHERE handle = ?",
            age,
            bytes.fromhex(str(handle)),
        )
    whole = cli("sessions", "list", "--sort", sort, "--json").json["sessions"]

    pages: list[Any] = []
    after: tuple[str, ...] = ()
    while True:
        found = cli("sessions", "list", "--sort", sort, "--limit", "5", *after, "--json").json
        pages.append(found["sessions"])
        if found["next"] is None:
            break
        after = ("--after", found["next"][:12])

    assert whole == sorted(whole, key=order)
    assert [len(page) for page in pages] == [5, 5, 2]
    assert [session for page in pages for session in page] == whole


def test_a_page_cannot_go_on_behind_a_session_that_is_gone(cli: Cli, engine: SessionEngine) -> None:
    """Its place in the order is not known any more; in order of handle nothing is needed of it."""
    sign_in(engine)

    found = cli("sessions", "list", "--sort", "created", "--after", "0" * 64)

    assert (found.code, "begin again without --after" in found.err) == (1, True)
    assert len(listed(cli, "--after", "0" * 64)) == 1


def test_sorted_list_keeps_no_more_than_a_page(cli: Cli, engine: SessionEngine) -> None:
    """However many sessions there are: all are read, in pages, and forgotten again."""
    size, count, at = 2_000, 5_000, int(time.time())
    records = [make_record(str(number), created_at=at - number) for number in range(count)]
    with closing(sqlite3.connect("sessions.db")) as connection, connection:
        connection.executemany(
            "INSERT INTO fluidauth_sessions VALUES (NULL, ?, 1, 'ada', ?, ?, 1, 'abcdef', ?)",
            ((bytes.fromhex(r.handle), r.created_at, at + HOUR, b"\1" + bytes(size)) for r in records),
        )
    cli("sessions", "list", "--sort", "created", "--limit", "3")

    tracemalloc.start()
    try:
        found = listed(cli, "--sort", "created", "--limit", "3")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert found == [record.handle for record in records[:3]]
    assert peak < size * count / 2
