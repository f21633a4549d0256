"""The suite's command line: ``python -m benchmarks.suite``."""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from . import compare as comparison
from . import pictures, targets
from .crew import Crew, selected
from .peer import Peer
from .questions import ALONE, BY_FLEET, FROM_OTHERS
from .run import FULL, QUICK, TRIAL, Run, dump, environment
from .worker import WORKLOADS

RESULTS = Path(__file__).resolve().parent.parent / "results"
QUESTIONS = [*BY_FLEET, *ALONE, *FROM_OTHERS]
console = Console(width=None if sys.stdout.isatty() else 170)


@click.group()
def main() -> None:
    """Measure what sessions cost: fluidauth beside what one would use instead."""


@main.command()
@click.option("--quick", is_flag=True, help="One set-up of each library, fewer sessions and rounds.")
@click.option(
    "--trial", is_flag=True, help="Whether every question can be asked: the figures are for nobody."
)
@click.option(
    "--peer", "patterns", multiple=True, help="Only peers with this in their names; may be given again."
)
@click.option("--only", "only", multiple=True, type=click.Choice(QUESTIONS), help="Only this question.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results")
@click.option("--check", is_flag=True, help="End with 1 if a target is missed.")
def run(
    quick: bool, trial: bool, patterns: Sequence[str], only: Sequence[str], out: Path, check: bool
) -> None:
    """Ask the questions, print tables, write latest.json and a picture for each question."""
    start = time.monotonic()
    peers = [peer for peer in selected(patterns) if not quick or patterns or peer.quick]
    results: dict[str, Any] = {
        "environment": environment(),
        "peers": {peer.name: about(peer) for peer in peers},
    }
    with Crew() as crew:
        this = Run(crew, peers, TRIAL if trial else QUICK if quick else FULL, console)
        results |= ask(this, only or QUESTIONS)
    results["environment"] |= {
        "versions": dict(sorted(this.versions.items())),
        "sessions": this.budget.sessions,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "minutes": round((time.monotonic() - start) / 60, 1),
    }
    show(results, peers)
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_text(dump(results))
    draw_all(results, out)
    console.print(
        f"written: {out}/latest.json and a picture for each question; {results['environment']['minutes']} min"
    )
    missed = targets.show(results, console)
    for name, reason in this.left_out.items():
        console.print(f"not timed: {name}: {reason}", highlight=False)
    for name, reason in this.failed.items():
        console.print(f"FAILED: {name}: {reason}", style="red", markup=False, highlight=False)
    sys.exit(1 if this.failed or (check and missed) else 0)


def draw_all(results: dict[str, Any], out: Path) -> None:
    """Draw a picture for each question of *results* into the folder *out*."""
    for name, question in {**BY_FLEET, **ALONE, **FROM_OTHERS}.items():
        if results.get(name):
            pictures.draw(question, results[name], results["peers"], out / f"{name}.svg")


def ask(this: Run, only: Sequence[str]) -> dict[str, Any]:
    """Return rows by question."""
    found: dict[str, Any] = {}
    if {*BY_FLEET, *FROM_OTHERS} & set(only):
        with this.fleet() as fleet:
            if {"cost", "floors"} & set(only):
                found["cost"], floors = BY_FLEET["cost"].ask(this, fleet)
                found["floors"] = FROM_OTHERS["floors"].rows_of(found["cost"], floors, this.peers)
            for name in ("throughput", "page"):
                if name in only:
                    found[name] = BY_FLEET[name].ask(this, fleet)
    found |= {name: question.ask(this) for name, question in ALONE.items() if name in only}
    if "memory" in only:
        found["memory"] = FROM_OTHERS["memory"].ask(this)
    return found


def about(peer: Peer) -> dict[str, Any]:
    traits = peer.traits
    return {
        "data": traits.data,
        "survives": traits.survives,
        "writes_on_read": traits.writes_on_read,
        "cookie_on_read": traits.cookie_on_read,
        "tuning": peer.tuning,
        "note": traits.note,
    }


def show(results: dict[str, Any], peers: list[Peer]) -> None:
    """Print the machine, what each peer does, and every table."""
    for name, value in results["environment"].items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        console.print(f"[dim]{name}: {text}[/]", highlight=False)
    console.print(traits_table(peers))
    for name, question in {**BY_FLEET, **ALONE, **FROM_OTHERS}.items():
        if results.get(name):
            console.print(question.table(results[name], peers))


def traits_table(peers: list[Peer]) -> Table:
    found = Table(title="What each does for it", title_justify="left")
    heads = ("peer", "fields are in", "a change survives", "writes on a read", "cookie on a read", "remarks")
    for head in heads:
        found.add_column(head)
    for peer in peers:
        traits = peer.traits
        words = ["yes" if value else "no" for value in (traits.writes_on_read, traits.cookie_on_read)]
        remarks = "; ".join(text for text in (peer.tuning, traits.note) if text)
        found.add_row(peer.name, traits.data, traits.survives, *words, remarks)
    return found


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results")
def draw(out: Path) -> None:
    """Draw the pictures of OUT/latest.json anew, without measuring."""
    draw_all(json.loads((out / "latest.json").read_text()), out)


@main.command()
@click.argument("patterns", nargs=-1)
def check(patterns: Sequence[str]) -> None:
    """Try every adapter once, without measuring anything; end with 1 if one is wrong."""
    wrong = 0
    with Crew() as crew:
        for peer in selected(patterns):
            with crew.member(peer) as member:
                complaints = member.do("check")
                wrong += bool(complaints)
                console.print(
                    f"{'[red]wrong[/]' if complaints else 'ok':5} {peer.name}", *complaints, highlight=False
                )
    sys.exit(1 if wrong else 0)


@main.command()
@click.argument("base")
@click.option("--generations", default=10, show_default=True, help="Pairs of fresh processes.")
@click.option("--rounds", default=8, show_default=True, help="Visits in each pair.")
def compare(base: str, generations: int, rounds: int) -> None:
    """Compare fluidauth in this folder with its revision BASE; end with 1 if something is slower."""
    try:
        verdicts = comparison.compare(base, generations, rounds, console)
    except comparison.NoSuchRevision as error:
        raise click.UsageError(str(error)) from None
    sys.exit(any(verdict.word == "slower" for verdict in verdicts))


@main.command()
@click.argument("pattern")
@click.argument("workload", type=click.Choice(WORKLOADS))
def profile(pattern: str, workload: str) -> None:
    """Show where the time goes in the first peer with PATTERN in its name."""
    with Crew() as crew, crew.member(selected([pattern])[0]) as member:
        member.do("populate", count=QUICK.sessions)
        click.echo(member.do("profile", workload=workload))


if __name__ == "__main__":
    main()
