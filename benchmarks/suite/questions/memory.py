"""What a session takes on disk and in memory, and whether the process grows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from rich.table import Table

from ..peer import Peer
from ..run import Row, Run
from ..sheets import Peers, Sheet, panels_of

TITLE = "Bytes of a session of 288 bytes of fields, and growth of the process"
SESSIONS = 10_000
PARTS = ("disk", "memory", "redis", "postgres")  # older results have no PostgreSQL


def ask(run: Run) -> list[Row]:
    """Return what storing has taken for each peer; make fluidauth answer many requests."""
    count = run.budget.sessions
    rows: list[Row] = [
        {
            "peer": peer.name,
            "cookie": stored["cookie"],
            "disk": stored["disk"] / count,
            "memory": stored["memory"] / count if peer.traits.data == "memory" else None,
            "redis": stored["redis"] / count if peer.uses_redis else None,
            "postgres": stored["postgres"] / count if peer.uses_postgres else None,
        }
        for peer in run.peers
        if (stored := run.stored.get(peer.name))
    ]
    ours = [peer for peer in run.peers if peer.library == "fluidauth" and peer.quick]
    with run.stage("memory", len(ours)) as tell, ThreadPoolExecutor(os.cpu_count()) as pool:

        def soak(peer: Peer) -> tuple[str, Row]:
            # Where each change waits for the disk a million takes too long, and the others
            # make the same objects a request.
            count = run.budget.soak // (20 if peer.traits.survives == "a power cut" else 1)
            tell(f"{count:,} requests to {peer.name}", 0)
            with run.crew.member(peer) as member:
                member.do("populate", count=SESSIONS)
                grown = member.do("soak", count=count)
            tell(peer.name, 1)
            return peer.name, grown

        for name, grown in pool.map(soak, ours):
            for row in rows:
                if row["peer"] == name:
                    row.update(grown)
    return rows


def table(rows: list[Row], peers: list[Peer]) -> Table:
    found = Table(
        title=TITLE, title_justify="left", caption="growth: of the process over so many requests, in KB"
    )
    heads = ("peer", "cookie", "on disk", "in the process", "in Redis", "in PostgreSQL", "requests", "growth")
    for head in heads:
        found.add_column(head, justify="left" if head == "peer" else "right")
    for row in rows:
        sizes = [row["cookie"], row["disk"] or None, row["memory"], row["redis"], row.get("postgres")]
        grown = ["–", "–"]
        if "grown" in row:
            grown = [f"{row['requests']:,}", f"{row['grown'] / 1024:,.0f}"]
        found.add_row(row["peer"], *("–" if size is None else f"{size:,.0f}" for size in sizes), *grown)
    return found


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show what a session takes, at the browser and at the server."""
    sizes = {row["peer"]: (row["cookie"], sum(max(row.get(part) or 0, 0) for part in PARTS)) for row in rows}
    return Sheet(
        "Bytes of a session",
        ("With 288 bytes of fields; shorter is better.", "Each panel has its own scale."),
        ("in the cookie", "on the server"),
        panels_of(sizes, peers, by=1),
    )
