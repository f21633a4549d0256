"""What fluidauth is to reach, as ratios in one run."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.console import Console

STARLETTE = "Starlette cookie, ASGI default"
STARSESSIONS = ("starsessions Redis, ASGI default", "starsessions Redis, ASGI tuned")
SAME_FRAMEWORK = {
    "Flask": ("Flask-Session SQLite, WSGI", "Flask cookie, WSGI default"),
    "Django": ("Django SQLite, WSGI", "Django cookie, WSGI default"),
}
FLASK_SESSION = ("Flask-Session Redis, WSGI default", "Flask-Session Redis, WSGI tuned")


class Target(NamedTuple):
    peer: str
    workload: str
    limit: float
    beside: tuple[str, ...] = ()
    """Floors, to be summed up; without them, the best of *peers*."""
    peers: tuple[str, ...] = (STARLETTE,)


TARGETS = (
    Target("fluidauth SQLite, ASGI default", "untouched", 0.1),
    Target("fluidauth memory, ASGI default", "untouched", 0.1),
    Target("fluidauth SQLite, WSGI tuned", "untouched", 0.1),
    Target("fluidauth SQLite, ASGI default", "read", 1.3),
    Target("fluidauth memory, ASGI default", "read", 0.95),
    Target("fluidauth SQLite, WSGI tuned", "change", 2.0, ("SQLite read", "SQLite write")),
    Target("fluidauth Redis, ASGI default", "read", 0.6, peers=STARSESSIONS),
    Target("fluidauth Redis, ASGI default", "change", 0.8, peers=STARSESSIONS),
    Target("fluidauth Redis, WSGI default", "read", 0.6, peers=FLASK_SESSION),
    Target("fluidauth Redis, WSGI default", "change", 0.8, peers=FLASK_SESSION),
    *(
        Target(f"fluidauth in {framework} SQLite, WSGI {setup}", workload, limit, peers=(peer,))
        for framework, (stored, cookie) in SAME_FRAMEWORK.items()
        for setup in ("default", "tuned")
        for workload, limit, peer in (
            ("read", 0.5, f"{stored} {setup}"),
            ("change", 0.5, f"{stored} {setup}"),
            ("read", 1.3, cookie),
        )
    ),
)


def show(results: dict[str, Any], console: Console) -> int:
    """Print each target that the run can judge; return how many are missed."""
    cost = {(row["peer"], row["workload"]): row["median"] for row in results.get("cost", ())}
    floors = {row["floor"]: row["median"] for row in results.get("floors", ()) if "floor" in row}
    missed = 0
    for target in TARGETS:
        measured = cost.get((target.peer, target.workload))
        peers = {cost.get((name, target.workload)): name for name in target.peers}
        best = min(filter(None, peers), default=None)
        other = sum(floors.get(name, 0.0) for name in target.beside) or best
        if measured is None or not other:
            continue
        ratio = measured / other
        beside = " + ".join(target.beside) or peers[best]
        word = "ok" if ratio <= target.limit else "[red]MISSED[/]"
        missed += ratio > target.limit
        console.print(
            f"{target.peer}, {target.workload}: {ratio:.3g} of {beside} (at most {target.limit}) {word}",
            highlight=False,
        )
    return missed
