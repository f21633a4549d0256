"""What fluidauth is to reach, as ratios in one run."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.console import Console

STARLETTE = "Starlette cookie, ASGI default"
STARSESSIONS = ("starsessions Redis, ASGI default", "starsessions Redis, ASGI tuned")
SAME_FRAMEWORK = {
    "Flask": ("Flask-Session SQLite, WSGI", "Flask cookie, WSGI default", 0.8),
    "Django": ("Django SQLite, WSGI", "Django cookie, WSGI default", 0.9),
}
"""By framework: who stores, whose cookie holds everything, and what of that a session read again may cost."""
POSTGRES = {
    "ASGI": ("Django PostgreSQL, ASGI default", "Django PostgreSQL, ASGI tuned"),
    "WSGI": (
        *("Django PostgreSQL, WSGI default", "Django PostgreSQL, WSGI tuned"),
        *("Beaker PostgreSQL, WSGI default", "Beaker PostgreSQL, WSGI tuned"),
    ),
}
FLASK_SESSION = ("Flask-Session Redis, WSGI default", "Flask-Session Redis, WSGI tuned")


THREADS = "requests a second, hot"
"""Of 32 at once, in the place of a workload."""


class Target(NamedTuple):
    peer: str
    workload: str
    limit: float
    beside: tuple[str, ...] = ()
    """Floors, to be summed up; without them, the best of *peers*."""
    peers: tuple[str, ...] = (STARLETTE,)
    goal: float | None = None
    """What would be better still; nothing is missed by it."""

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self.workload == THREADS

    def reaches(self, ratio: float, limit: float) -> bool:
        return ratio >= limit if self.is_rate else ratio <= limit


TARGETS = (
    Target("fluidauth SQLite, ASGI default", "untouched", 0.1),
    Target("fluidauth memory, ASGI default", "untouched", 0.1),
    Target("fluidauth SQLite, WSGI tuned", "untouched", 0.1),
    Target("fluidauth SQLite, ASGI default", "read again", 0.75, goal=0.5),
    Target("fluidauth SQLite, WSGI tuned", "read again", 0.75, goal=0.5),
    Target("fluidauth SQLite, ASGI default", "read", 1.65),
    Target("fluidauth SQLite, WSGI tuned", "read", 1.65),
    Target("fluidauth memory, ASGI default", "read again", 0.75, goal=0.5),
    Target("fluidauth memory, ASGI default", "read", 0.95),
    *(
        Target(f"fluidauth SQLite, WSGI {setup}", THREADS, 0.5, peers=("fluidauth memory, WSGI default",))
        for setup in ("default", "tuned")
    ),
    Target("fluidauth SQLite, WSGI tuned", "change", 2.2, ("SQLite read", "SQLite write")),
    Target("fluidauth Redis, ASGI default", "read", 0.6, peers=STARSESSIONS, goal=0.2),
    Target("fluidauth Redis, ASGI default", "change", 0.8, peers=STARSESSIONS),
    Target("fluidauth Redis, WSGI default", "read", 0.6, peers=FLASK_SESSION, goal=0.2),
    Target("fluidauth Redis, WSGI default", "change", 0.8, peers=FLASK_SESSION),
    *(
        Target(f"fluidauth PostgreSQL, {protocol} default", "read", 0.6, peers=peers, goal=0.2)
        for protocol, peers in POSTGRES.items()
    ),
    *(
        Target(f"fluidauth in {framework} SQLite, WSGI {setup}", workload, limit, peers=(peer,))
        for framework, (stored, cookie, again) in SAME_FRAMEWORK.items()
        for setup in ("default", "tuned")
        for workload, limit, peer in (
            ("read", 0.5, f"{stored} {setup}"),
            ("change", 0.5, f"{stored} {setup}"),
            ("read again", again, cookie),
        )
    ),
)


def show(results: dict[str, Any], console: Console) -> int:
    """Print each target that the run can judge; return how many are missed."""
    figures = {(row["peer"], row["workload"]): row["median"] for row in results.get("cost", ())}
    figures |= {
        (row["peer"], THREADS): row["rate"] for row in results.get("throughput", ()) if row.get("hot")
    }
    floors = {row["floor"]: row["median"] for row in results.get("floors", ()) if "floor" in row}
    missed = 0
    for target in TARGETS:
        found = judged(target, figures, floors)
        if found is None:
            continue
        ratio, beside = found
        is_missed = not target.reaches(ratio, target.limit)
        missed += is_missed
        console.print(
            f"{target.peer}, {target.workload}: {ratio:.3g} of {beside} ({told(target)}) "
            f"{'[red]MISSED[/]' if is_missed else 'ok'}",
            highlight=False,
        )
    return missed


def judged(
    target: Target, figures: dict[tuple[str, str], float], floors: dict[str, float]
) -> tuple[float, str] | None:
    """Return the ratio that *target* is about, and to what; None if the run does not say."""
    measured = figures.get((target.peer, target.workload))
    if target.beside:
        other, beside = sum(floors.get(name, 0.0) for name in target.beside), " + ".join(target.beside)
    else:
        peers = {figures.get((name, target.workload)): name for name in target.peers}
        other = (max if target.is_rate else min)(filter(None, peers), default=0.0)
        beside = peers.get(other, "")
    return (measured / other, beside) if measured is not None and other else None


def told(target: Target) -> str:
    goal = "" if target.goal is None else f", goal {target.goal}"
    return f"{'at least' if target.is_rate else 'at most'} {target.limit}{goal}"
