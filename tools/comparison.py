"""Write the table that compares fluidauth with other libraries into README.md: `python -m tools.comparison`.

Every figure is one of ``benchmarks/results/latest.json``, which `make bench` measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from harness import ROOT
from tools.made import MadePart

RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
PART = MadePart(
    ROOT / "README.md", "<!-- made by python -m tools.comparison -->\n", "<!-- end of what is made -->\n"
)
# The heading of each column, and the measured peers that it stands for, as installed.
COLUMNS = {
    "fluidauth": ("fluidauth SQLite, WSGI default", "fluidauth SQLite, ASGI default"),
    "Flask's cookie": ("Flask cookie, WSGI default",),
    "Starlette's cookie": ("Starlette cookie, ASGI default",),
    "Flask-Session": ("Flask-Session Redis, WSGI default",),
    "starsessions": ("starsessions Redis, ASGI default",),
    "Django": ("Django SQLite, WSGI default",),
}
KEPT = {
    "fluidauth": "SQLite (or Redis, PostgreSQL)",
    "Flask's cookie": "the browser",
    "Starlette's cookie": "the browser",
    "Flask-Session": "Redis (or others)",
    "starsessions": "Redis",
    "Django": "the database (or others)",
}

READS = {"read": "reading a session costs", "read again": "reading it again costs"}


def table() -> Iterator[str]:
    """Yield the lines of the table of the stored results."""
    yield from table_of(json.loads(RESULTS.read_text("utf-8")))


def table_of(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the table of *results*."""
    behaviour = {row["peer"]: row for row in results["behaviour"]}
    # Changes are not set side by side here: some of these wait for a disk, others for nothing.
    cost = {(row["workload"], row["peer"]): row["median"] for row in results["cost"]}
    asked = {name: [behaviour[peer] for peer in peers] for name, peers in COLUMNS.items()}
    yield f"| | {' | '.join(COLUMNS)} |"
    yield "|--" * (len(COLUMNS) + 1) + "|"
    yield _row(
        "of 50 concurrent changes, kept",
        [_range(row["survivors"] for row in rows) for rows in asked.values()],
    )
    yield _row("a logout is final", [_logout(rows) for rows in asked.values()])
    yield _row(
        "a new secret logs nobody out",
        [_yes(all(row["rotation_keeps"] for row in rows)) for rows in asked.values()],
    )
    yield _row("where the data is", [KEPT[name] for name in COLUMNS])
    for workload, says in READS.items():
        cells = [[cost.get((workload, peer)) for peer in peers] for peers in COLUMNS.values()]
        if None not in chain(*cells):  # older results know of no session that is read again
            yield _row(says, [f"{_range(figures)} µs" for figures in cells])


def _row(says: str, cells: list[str]) -> str:
    return f"| {says} | {' | '.join(cells)} |"


def _yes(answer: bool) -> str:
    return "yes" if answer else "**no**"


def _range(figures: Any) -> str:
    low, *_, high = [f"{figure:,.0f}" for figure in sorted(figures) * 2]
    return low if low == high else f"{low}–{high}"


def _logout(rows: list[dict[str, Any]]) -> str:
    if not all(row["logout_is_final"] for row in rows):
        return "**no**: a copied cookie works"
    return "**no**: a slower request undoes it" if any(row["logout_is_undone"] for row in rows) else "yes"


def made() -> str:
    """Return all of the README that is made from the results."""
    return "\n".join(["", *table(), "", ""])


if __name__ == "__main__":
    PART.put(made())
