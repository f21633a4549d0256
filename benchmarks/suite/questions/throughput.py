"""How many requests a second one process answers while several are under way, and how long they wait."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from typing import Any, NamedTuple

from rich.table import Table

from ..crew import Member
from ..run import Row, Run
from ..sheets import Peers, Sheet, panels_of, upside_down

TITLE = "Requests a second in one process (four in five read a key, one changes one), and p99 in ms"
CAPTION = (
    "requests a second / p99; busy: 1 ms of computing each; hot: 1,000 sessions that were read before,"
    " one request in ten changes a key"
)
DRAWN = 32  # at once


class Kind(NamedTuple):
    """What is under way; the names are those of :meth:`~benchmarks.suite.worker.Worker.storm`."""

    busy: bool
    concurrent: int
    bare: bool
    hot: bool = False
    """Whether all is about a few sessions, and one request in ten changes a key."""


HOT = Kind(busy=False, concurrent=32, bare=False, hot=True)
HOT_TIMES = 3  # as long as the others, because a target is judged by it


def ask(run: Run, fleet: list[Member]) -> list[Row]:
    """Return, for each peer, number of concurrent requests and kind of handler, medians of some rounds."""
    budget = run.budget
    figures: dict[tuple[str, Kind], list[dict[str, float]]] = defaultdict(list)
    kinds = [
        Kind(busy, concurrent, bare)
        for busy in (False, True)
        for concurrent in budget.concurrent
        for bare in (False, True)
        if not bare or concurrent == budget.concurrent[-1]
    ]
    leading = [member for member in fleet if member.peer in run.leading]
    visits = [(member, kind) for member in leading for kind in (*kinds, HOT)]
    with run.stage("throughput", len(visits) * budget.storm_rounds) as tell:
        for number in range(budget.storm_rounds):
            for member, kind in random.sample(visits, len(visits)):
                tell(f"round {number + 1}, {member.name}, {kind.concurrent} at once", 1)
                seconds = budget.storm_seconds * (HOT_TIMES if kind.hot else 1)
                found = run.ask(member, "storm", seconds=seconds, **kind._asdict())
                if found is not None:
                    figures[member.name, kind].append(found)
    order = [member.name for member in fleet]
    return [
        {"peer": name, **kind._asdict(), **medians(found)}
        for (name, kind), found in sorted(
            figures.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    ]


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {
        part: statistics.median(each[part] for each in found) for part in ("rate", "p50", "p99", "refused")
    }


def hot(row: Row) -> bool:
    """Return whether a storm was about the hot sessions; results from before there were any do not say."""
    return bool(row.get("hot"))


def table(rows: list[Row], peers: Any = None) -> Table:
    concurrent = sorted({row["concurrent"] for row in rows if not row["bare"]})
    found = Table(title=TITLE, title_justify="left", caption=CAPTION)
    found.add_column("peer")
    for busy in ("", "busy "):
        for number in concurrent:
            found.add_column(f"{busy}{number}", justify="right")
        found.add_column(f"{busy}bare", justify="right")
    found.add_column(f"hot {HOT.concurrent}", justify="right")
    cells: dict[str, dict[Any, str]] = defaultdict(dict)
    for row in rows:
        column = "hot" if hot(row) else (row["busy"], "bare" if row["bare"] else row["concurrent"])
        refused = f" [red]{row['refused']:.0%} fail[/]" if row["refused"] else ""
        cells[row["peer"]][column] = f"{row['rate']:,.0f} / {row['p99'] * 1e3:.1f}{refused}"
    for name, own in cells.items():
        columns = [(busy, number) for busy in (False, True) for number in (*concurrent, "bare")]
        found.add_row(name, *(own.get(column, "–") for column in (*columns, "hot")))
    return found


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show the number of concurrent requests that every budget has."""
    own = [row for row in rows if row["concurrent"] == DRAWN and not row["bare"] and not hot(row)]
    rates = {(row["peer"], row["busy"]): row["rate"] for row in own}
    return Sheet(
        "Requests a second in one process",
        (
            f"{DRAWN} at once, one in five changes a key; longer is better.",
            "Each panel has its own scale.",
        ),
        ("no work", "1 ms of work"),
        upside_down(
            panels_of(
                {name: (rates[name, False], rates.get((name, True))) for name, busy in rates if not busy},
                peers,
            )
        ),
    )
