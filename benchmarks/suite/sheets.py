"""What a picture shows: peers in panels, like beside like.

A change that survives a power cut costs a wait for the disk. So no panel holds such a peer next to one
that forgets with its process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Peers = Mapping[str, Mapping[str, Any]]
"""By name what each peer does: the part ``peers`` of ``latest.json``."""
Values = tuple[float | None, ...]

SETUPS = (" default", " tuned")
GROUPS: dict[str, Callable[[str, str], bool]] = {
    "A cookie that holds everything": lambda data, survives: data == "cookie",
    "Memory of one process": lambda data, survives: data == "memory",
    "One machine's disk: survives a restart": lambda data, survives: (
        data in ("files", "SQLite") and survives == "a restart"
    ),
    "Disk with fsync: survives a power cut": lambda data, survives: (
        data in ("files", "SQLite") and survives == "a power cut"
    ),
    "Another machine: Redis (here over loopback)": lambda data, survives: data == "Redis",
    "Another machine: PostgreSQL (here over a socket)": lambda data, survives: data == "PostgreSQL",
}
"""The panels, in their order, and what belongs into each by where the fields are and what they survive."""


class Bar(NamedTuple):
    """One peer: a value for each column, None where there is none."""

    label: str
    ours: bool
    values: Values
    floors: Values = ()
    """How much of each value nobody could save."""


class Panel(NamedTuple):
    """Peers that can be compared."""

    heading: str
    bars: list[Bar]


class Sheet(NamedTuple):
    """A picture of bars."""

    title: str
    notes: tuple[str, ...]
    """Lines below the title."""
    columns: tuple[str, ...]
    panels: list[Panel]
    say: Callable[[float], str] = lambda value: f"{value:,.0f}"
    """What is written at a bar."""
    full: float | None = None
    """What the longest possible bar stands for; None for the greatest of each panel and column."""


class Line(NamedTuple):
    """One peer over what grows."""

    label: str
    ours: bool
    points: list[tuple[float, float]]


class Graph(NamedTuple):
    """A picture of lines: one panel for each thing that grows. Both axes are logarithmic."""

    title: str
    notes: tuple[str, ...]
    panels: list[tuple[str, list[Line]]]


def is_ours(name: str) -> bool:
    return name.startswith("fluidauth")


def group_of(peer: Mapping[str, Any]) -> str:
    """Return the heading under which *peer* is shown; raise ``LookupError`` if it is like none."""
    for heading, belongs in GROUPS.items():
        if belongs(peer["data"], peer["survives"]):
            return heading
    raise LookupError(f"no panel is for {peer['data']} that survives {peer['survives']}")


def panels_of(
    values: Mapping[str, Values], peers: Peers, *, floors: Mapping[str, Values] | None = None, by: int = 0
) -> list[Panel]:
    """Return the panels with *values* by peer, the least first in the column *by*.

    Of a peer's set-ups that belong into one panel the tuned one is shown.
    """
    found = []
    for heading in GROUPS:
        names = [name for name in values if group_of(peers[name]) == heading]
        names = [name for name in names if f"{name.removesuffix(' default')} tuned" not in names]
        names.sort(key=lambda name: (values[name][by] is None, values[name][by]))
        bars = [
            Bar(
                label_of(name, peers[name]["data"]), is_ours(name), values[name], (floors or {}).get(name, ())
            )
            for name in names
        ]
        if bars:
            found.append(Panel(heading, bars))
    return found


def label_of(name: str, data: str) -> str:
    """Return the *name* of a peer, without what the heading of its panel says."""
    for setup in SETUPS:
        name = name.removesuffix(setup)
    if data in ("cookie", "memory", "Redis", "PostgreSQL"):
        name = name.replace(f" {data},", ",")
    return name.replace(" and ", "+").replace(" in ", "/").replace(",", "")


def upside_down(panels: list[Panel]) -> list[Panel]:
    """Return *panels* with the greatest first."""
    return [panel._replace(bars=panel.bars[::-1]) for panel in panels]
