"""How many requests a second one process answers while several are under way, and how long they wait."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from typing import Any

from rich.table import Table

from ..crew import Member
from ..run import Row, Run

TITLE = "Requests a second in one process (four in five read a key, one changes one), and p99 in ms"


def ask(run: Run, fleet: list[Member]) -> list[Row]:
    """Return, for each peer, number of concurrent requests and kind of handler, medians of some rounds."""
    budget = run.budget
    figures: dict[tuple[str, bool, int, bool], list[dict[str, float]]] = defaultdict(list)
    visits = [
        (member, busy, concurrent, bare)
        for member in fleet
        if member.peer in run.leading
        for busy in (False, True)
        for concurrent in budget.concurrent
        for bare in (False, True)
        if not bare or concurrent == budget.concurrent[-1]
    ]
    with run.stage("throughput", len(visits) * budget.storm_rounds) as tell:
        for number in range(budget.storm_rounds):
            for member, busy, concurrent, bare in random.sample(visits, len(visits)):
                tell(f"round {number + 1}, {member.name}, {concurrent} at once", 1)
                figures[member.name, busy, concurrent, bare].append(
                    member.do(
                        "storm", concurrent=concurrent, seconds=budget.storm_seconds, busy=busy, bare=bare
                    )
                )
    order = [member.name for member in fleet]
    return [
        {"peer": name, "busy": busy, "concurrent": concurrent, "bare": bare, **medians(found)}
        for (name, busy, concurrent, bare), found in sorted(
            figures.items(), key=lambda item: (order.index(item[0][0]), item[0][1:])
        )
    ]


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {part: statistics.median(each[part] for each in found) for part in ("rate", "p50", "p99")}


def table(rows: list[Row], peers: Any = None) -> Table:
    concurrent = sorted({row["concurrent"] for row in rows if not row["bare"]})
    found = Table(
        title=TITLE, title_justify="left", caption="requests a second / p99; busy: 1 ms of computing each"
    )
    found.add_column("peer")
    for busy in ("", "busy "):
        for number in concurrent:
            found.add_column(f"{busy}{number}", justify="right")
        found.add_column(f"{busy}bare", justify="right")
    cells: dict[str, dict[Any, str]] = defaultdict(dict)
    for row in rows:
        column = (row["busy"], "bare" if row["bare"] else row["concurrent"])
        cells[row["peer"]][column] = f"{row['rate']:,.0f} / {row['p99'] * 1e3:.1f}"
    for name, own in cells.items():
        columns = [(busy, number) for busy in (False, True) for number in (*concurrent, "bare")]
        found.add_row(name, *(own.get(column, "–") for column in columns))
    return found


def draw(rows: list[Row], figure: Any) -> None:
    """Draw requests a second over the number of concurrent ones, for one set-up of each library."""
    panels = figure.subplots(1, 2)
    figure.set_size_inches(10, 4.5)
    for panel, busy in zip(panels, (False, True), strict=True):
        for name in dict.fromkeys(row["peer"] for row in rows):
            own = [row for row in rows if (row["peer"], row["busy"], row["bare"]) == (name, busy, False)]
            width = 2.5 if name.startswith("fluidauth") else 1
            concurrent, rates = [row["concurrent"] for row in own], [row["rate"] for row in own]
            panel.plot(concurrent, rates, marker="o", markersize=3, linewidth=width, label=name)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel("concurrent requests")
        panel.set_title("1 ms of computing in each" if busy else "requests a second")
    panels[1].legend(fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
