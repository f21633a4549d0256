"""What a request costs over the same application without sessions, in one process."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from typing import Any

from rich.table import Table

from ..crew import Member
from ..figures import spread
from ..peer import Peer
from ..run import Row, Run, peer_of
from ..sheets import Peers, Sheet, panels_of
from ..worker import WORKLOADS

TITLE = "Cost of a request over the bare application, in µs"
MIN_ROUNDS = 3
DRAWN = ("read again", "read", "change")  # where they were asked


def ask(run: Run, fleet: list[Member]) -> tuple[list[Row], dict[str, float]]:
    """Visit each peer in each workload once a round, in random order; return rows, and floors by name."""
    seconds = run.budget.cost_seconds
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    floors: dict[str, list[float]] = defaultdict(list)
    with run.crew.floors() as (floor, operations), run.stage("cost", seconds) as tell:
        visits: list[Any] = [(member, workload) for member in fleet for workload in WORKLOADS]
        visits += [(floor, name) for name in operations]
        start = told = time.monotonic()
        number = 0
        while number < MIN_ROUNDS or time.monotonic() - start < seconds:
            number += 1
            for member, what in random.sample(visits, len(visits)):
                now = time.monotonic()
                tell(f"round {number}, {member.name}, {what}", now - told)
                told = now
                if member is floor:
                    floors[what].append(floor.do("floor", name=what) * 1e6)
                else:
                    took = run.ask(member, "visit", workload=what)
                    if took is None:
                        continue
                    figures[member.name, what].append((took["app"] - took["bare"]) * 1e6)
    rows = [
        {"peer": name, "workload": workload, "rounds": len(found), **spread(found).told()}
        for (name, workload), found in sorted(figures.items())
    ]
    peers = [peer_of(member).name for member in fleet]
    rows.sort(key=lambda row: (peers.index(row["peer"]), WORKLOADS.index(row["workload"])))
    return rows, {name: spread(found).median for name, found in floors.items()}


def table(rows: list[Row], peers: list[Peer]) -> Table:
    """Return medians, with quartiles, of each peer in each workload, beside what the peer does for it."""
    found = Table(
        title=TITLE, title_justify="left", caption="median (quartiles); ~: quartiles over 25 % apart"
    )
    for head in ("peer", *WORKLOADS):
        found.add_column(head, justify="left" if head == "peer" else "right")
    by_peer: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_peer[row["peer"]][row["workload"]] = row
    for name, cells in by_peer.items():
        found.add_row(name, *(cell(cells.get(workload)) for workload in WORKLOADS))
    return found


def cell(row: Row | None) -> str:
    if row is None:
        return "–"
    digits = 0 if row["median"] >= 100 else 1
    noise = "~" if row["noise"] else ""
    return f"{noise}{row['median']:.{digits}f} ({row['lower']:.{digits}f}–{row['upper']:.{digits}f})"


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show what a read and a change take, quickest reader first."""
    medians = {(row["peer"], row["workload"]): row["median"] for row in rows}
    asked = {workload for _, workload in medians}
    shown = tuple(workload for workload in DRAWN if workload in asked)
    notes: tuple[str, ...] = (
        "Microseconds to read or change a key, over the same",
        "application without sessions. Each panel has its own scale.",
    )
    if "read again" in asked:
        notes += ("Read again: the same process read it a moment ago.",)
    return Sheet(
        "What a session costs a request",
        notes,
        shown,
        panels_of({name: tuple(medians.get((name, each)) for each in shown) for name, _ in medians}, peers),
    )
