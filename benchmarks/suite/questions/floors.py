"""How far fluidauth is from what it must pay on this machine."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ..floors import SUMS, total
from ..peer import Peer
from ..run import Row

TITLE = "What must be paid on this machine, in µs, and fluidauth's distance from the sum"


def rows_of(cost: list[Row], floors: dict[str, float], peers: list[Peer]) -> list[Row]:
    """Return the floors, then fluidauth's cost as times the sum of those that a request must pay."""
    found: list[Row] = [{"floor": name, "median": median} for name, median in floors.items()]
    for peer in peers:
        if peer.library != "fluidauth":
            continue
        for row in cost:
            sum_of = total(peer.store, peer.setup, row["workload"], floors)
            if row["peer"] == peer.name and sum_of:
                told = {
                    "peer": peer.name,
                    "workload": row["workload"],
                    "median": row["median"],
                    "sum": sum_of,
                }
                parts = SUMS[peer.store, peer.setup, row["workload"]]
                found.append(told | {"times": row["median"] / sum_of, "parts": parts})
    return found


def table(rows: list[Row], peers: list[Peer]) -> Table:
    found = Table(title=TITLE, title_justify="left")
    for head in ("", "µs", "sum of its floors", "times"):
        found.add_column(head, justify="right" if head else "left")
    for row in rows:
        if "floor" in row:
            found.add_row(row["floor"], f"{row['median']:.2f}", "", "")
        else:
            name = f"{row['peer']}: {row['workload']}"
            found.add_row(name, f"{row['median']:.1f}", f"{row['sum']:.1f}", f"{row['times']:.2f}")
    return found


def draw(rows: list[Row], figure: Any) -> None:
    """Draw each request beside the sum of its floors."""
    ours = [row for row in rows if "peer" in row][::-1]
    names = [f"{row['peer']}: {row['workload']}" for row in ours]
    figure.set_size_inches(9, 1.5 + 0.4 * len(ours))
    panel = figure.subplots()
    for part, label, colour, height in (
        ("median", "measured", "C1", 0.35),
        ("sum", "sum of what must be paid", "C0", -0.35),
    ):
        figures = [row[part] for row in ours]
        bars = panel.barh(names, figures, color=colour, height=height, align="edge", label=label)
        panel.bar_label(bars, fmt=" {:.0f}", fontsize=7)
    panel.set_xscale("log")
    panel.set_xlim(left=1)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.set_title("µs over the bare application")
    panel.legend(fontsize=7)
