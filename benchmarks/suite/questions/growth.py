"""How the cost of a request grows with the sessions, their size, the keys and the encrypted fields."""

from __future__ import annotations

import os
import random
import secrets
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

from rich.table import Table

from ..crew import Member
from ..figures import spread
from ..peer import FIELDS_BYTES, Peer
from ..run import Row, Run
from ..sheets import Graph, Line, Peers, is_ours
from .cost import cell

TITLE = "How the cost of reading and changing a key grows, in µs over the bare application"
WORKLOADS = ("read", "change")
SOME = 2_000  # sessions, where their number is not the question
LARGE = 100_000  # sessions; more are stored by fluidauth on SQLite alone, for want of time
LONGEST_COOKIE = 4096  # bytes that browsers keep
ROTATES = ("fluidauth", "Flask", "Django")


class Variant(NamedTuple):
    """A peer, and what is different about it."""

    grows: str
    value: int
    peer: Peer
    stored: int = SOME
    size: int = FIELDS_BYTES
    keys: int = 1
    oldest: bool = False
    """Whether the cookies are signed with the oldest of the keys."""
    encrypted: int = 0

    @property
    def place(self) -> dict[str, Any]:
        return {"encrypted": [f"secret{number}" for number in range(self.encrypted)]}


def variants(run: Run) -> Iterator[Variant]:
    budget = run.budget
    peers = [
        peer for peer in run.peers if peer.quick and peer.library in (budget.growth_of or [peer.library])
    ]
    for peer in peers:
        for count in budget.growth:
            if count <= LARGE or (peer.library == "fluidauth" and peer.shares):
                yield Variant("sessions", count, peer, stored=count)
        for size in budget.payloads:
            yield Variant("bytes of fields", size, peer, size=size)
        for keys in budget.keys if peer.library in ROTATES else ():
            yield Variant("keys, cookie by the newest", keys, peer, keys=keys)
            if peer.shares:  # memory ends with the process that signed by the old key
                yield Variant("keys, cookie by the oldest", keys, peer, keys=keys, oldest=True)
        for number in budget.encrypted if peer.library == "fluidauth" else ():
            yield Variant("encrypted fields", number, peer, encrypted=number)


def ask(run: Run) -> list[Row]:
    """Measure the variants of each kind of growth in rounds of random order."""
    kinds: dict[str, list[Variant]] = defaultdict(list)
    for variant in variants(run):
        kinds[variant.grows].append(variant)
    rows = []
    steps = sum(len(found) * (run.budget.growth_rounds + 5) for found in kinds.values())
    with run.stage("growth", steps) as tell:
        for kind, found in kinds.items():
            rows += one_kind(run, found, lambda doing, done=0, kind=kind: tell(f"{kind}, {doing}", done))
    return rows


def one_kind(run: Run, found: list[Variant], tell: Any) -> list[Row]:
    figures: dict[tuple[Variant, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:

        def prepare(variant: Variant) -> Member | None:
            tell(f"{variant.value:,}, {variant.peer.name}", 5)
            return filled(run, stack, variant)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            members = dict(zip(found, pool.map(prepare, found), strict=True))
        there = [(variant, member) for variant, member in members.items() if member is not None]
        for _ in range(run.budget.growth_rounds):
            for variant, member in random.sample(there, len(there)):
                tell(f"{variant.value:,}, {variant.peer.name}", 1)
                for workload in WORKLOADS:
                    took = run.ask(member, "visit", workload=workload)
                    if took is None:
                        continue
                    figures[variant, workload].append((took["app"] - took["bare"]) * 1e6)
    rows: list[Row] = [
        {"peer": variant.peer.name, "grows": variant.grows, "value": variant.value, "workload": workload}
        | spread(measured).told()
        for (variant, workload), measured in figures.items()
    ]
    rows += [
        {
            "peer": variant.peer.name,
            "grows": variant.grows,
            "value": variant.value,
            "workload": "no browser keeps it",
        }
        for variant, member in members.items()
        if member is None
    ]
    order = [variant.peer.name for variant in found]
    return sorted(rows, key=lambda row: (order.index(row["peer"]), row["workload"], row["value"]))


def filled(run: Run, stack: ExitStack, variant: Variant) -> Member | None:
    """Return a worker with the sessions of *variant*; None if a browser would not keep their cookies."""
    given = [secrets.token_hex(32) for _ in range(variant.keys)]
    before = given[-1:] if variant.oldest else given
    member = stack.enter_context(run.crew.member(variant.peer, **variant.place, secrets=before))
    stored = member.do("populate", count=variant.stored, size=variant.size)
    if stored["cookie"] > LONGEST_COOKIE:
        return None
    if not variant.oldest:
        return member
    cookies = member.do("sample", count=SOME)
    member = run.crew.successor(member, **variant.place, secrets=given)
    stack.callback(member.stop)
    member.do("load_cookies", cookies=cookies)
    return member


def table(rows: list[Row], peers: list[Peer]) -> Table:
    found = Table(
        title=TITLE, title_justify="left", caption="median (quartiles); ~: quartiles over 25 % apart"
    )
    for head in ("grows", "peer", "value", *WORKLOADS):
        found.add_column(head, justify="left" if head in ("grows", "peer") else "right")
    cells: dict[tuple[str, str, int], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        cells[row["grows"], row["peer"], row["value"]][row["workload"]] = row
    for (grows, peer, value), own in cells.items():
        if "median" not in next(iter(own.values())):
            found.add_row(grows, peer, f"{value:,}", *own)
        else:
            found.add_row(grows, peer, f"{value:,}", *(cell(own.get(workload)) for workload in WORKLOADS))
    return found


def draw(rows: list[Row], peers: Peers) -> Graph:
    """Show what a read costs over what grows."""
    points: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["workload"] == "read":
            points[row["grows"]][row["peer"]].append((row["value"], max(row["median"], 0.1)))
    return Graph(
        "How the cost of a read grows",
        (
            "Microseconds over the same application without sessions.",
            "Reads wait for no disk, but for the first one by an old key.",
        ),
        [
            (
                kind[0].upper() + kind[1:],
                [Line(_short(name, peers), is_ours(name), own) for name, own in lines.items()],
            )
            for kind, lines in points.items()
        ],
    )


def _short(name: str, peers: Peers) -> str:
    """Return library and store of a peer, and whether it waits for the disk."""
    waits = peers[name]["data"] == "SQLite" and peers[name]["survives"] == "a power cut"
    return f"{name.partition(',')[0]}{', fsync' if waits else ''}"
