"""How far fluidauth is from what it must pay on this machine."""

from __future__ import annotations

from rich.table import Table

from ..floors import SUMS, total
from ..peer import Peer
from ..run import Row
from ..sheets import Peers, Sheet, panels_of

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


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show each request, and the part of it that is the sum of its floors."""
    ours = {(row["peer"], row["workload"]): row for row in rows if "peer" in row}
    medians, sums = (
        {
            name: tuple(ours.get((name, workload), {}).get(part) for workload in ("read", "change"))
            for name, _ in ours
        }
        for part in ("median", "sum")
    )
    return Sheet(
        "How far fluidauth is from the floor",
        (
            "Microseconds to read or change a key. The grey part of a",
            "bar must be paid: HMACs, JSON, and SQLite with its fsync.",
        ),
        ("read", "change"),
        panels_of(medians, peers, floors=sums),
    )
