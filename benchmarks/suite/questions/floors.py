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
    """Draw each request beside the sum of its floors, which is made of its parts."""
    floors = {row["floor"]: row["median"] for row in rows if "floor" in row}
    ours = [row for row in rows if "peer" in row][::-1]
    figure.set_size_inches(9, 1.5 + 0.4 * len(ours))
    panel = figure.subplots()
    names = [f"{row['peer']}: {row['workload']}" for row in ours]
    panel.barh(
        names, [row["median"] for row in ours], color="C1", height=0.35, align="edge", label="measured"
    )
    left = [0.0] * len(ours)
    for name, median in floors.items():
        widths = [row["parts"].get(name, 0) * median for row in ours]
        if any(widths):
            panel.barh(names, widths, left=left, height=-0.35, align="edge", label=name)
            left = [a + b for a, b in zip(left, widths, strict=True)]
    panel.set_xscale("log")
    panel.set_title("µs, and the sum of what must be paid")
    panel.legend(fontsize=7)
