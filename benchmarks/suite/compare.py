"""fluidauth beside an earlier revision of itself, in one run, for catching what has become slower."""

from __future__ import annotations

import random
import statistics
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from .crew import ROOT, Crew, Member
from .figures import interval
from .peers import all_peers
from .worker import WORKLOADS

PEERS = ("fluidauth SQLite, ASGI default", "fluidauth SQLite, WSGI tuned", "fluidauth memory, ASGI default")
SESSIONS = 10_000
WRONG = 0.05  # how probable it may be that any verdict of a run is wrong
CONFIDENCE = 1 - WRONG / (len(PEERS) * len(WORKLOADS))  # of each verdict


class NoSuchRevision(ValueError):
    """git knows no such revision, or it holds no fluidauth."""


class Verdict(NamedTuple):
    peer: str
    workload: str
    ratio: float
    lower: float
    upper: float
    sure: float

    @property
    def word(self) -> str:
        if self.lower > 1:
            return "slower"
        return "faster" if self.upper < 1 else "no difference shown"


def compare(base: str, generations: int, rounds: int, console: Console) -> list[Verdict]:
    """Visit both revisions in turns, in pairs of fresh processes; print and return the verdicts.

    Two processes of the same code differ by some per cent, for as long as they live, by where
    their memory happens to lie. So one figure is the median ratio of one pair, and the interval
    is over pairs.
    """
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, Crew() as crew:
        tree = checkout(base, Path(folder))
        for number in range(generations):
            for name in PEERS:
                console.print(f"[dim]pair {number + 1} of {generations}: {name}[/]", highlight=False)
                for workload, ratio in one_pair(crew, name, tree, rounds).items():
                    figures[name, workload].append(ratio)
    verdicts = []
    for (name, workload), ratios in figures.items():
        lower, upper, sure = interval(ratios, CONFIDENCE)
        verdicts.append(Verdict(name, workload, statistics.median(ratios), lower, upper, sure))
    console.print(table(verdicts, base))
    return verdicts


def one_pair(crew: Crew, name: str, tree: Path, rounds: int) -> dict[str, float]:
    """Return, by workload, the median over *rounds* of what a request costs now, in times of what it cost."""
    peer = all_peers()[name]
    ratios: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        # Whichever starts first may get the better memory.
        trees = {"now": ROOT, "base": tree}
        members: dict[str, Member] = {}
        for which in random.sample(list(trees), 2):
            members[which] = member = stack.enter_context(crew.member(peer, trees[which]))
            if not member.imported.is_relative_to(trees[which]):
                raise RuntimeError(f"{which} imported fluidauth from {member.imported}")
            member.do("populate", count=SESSIONS)
        for _ in range(rounds):
            for workload in WORKLOADS:
                took: dict[str, float] = {}
                for which in random.sample(list(members), 2):
                    both: dict[str, Any] = members[which].do("visit", workload=workload)
                    took[which] = both["app"] - both["bare"]
                ratios[workload].append(took["now"] / took["base"])
    return {workload: statistics.median(found) for workload, found in ratios.items()}


def checkout(revision: str, folder: Path) -> Path:
    """Put the package as of *revision* into *folder*; raise :class:`NoSuchRevision`."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", revision, "--", "fluidauth"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise NoSuchRevision(f"{revision}: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4
        archive.extractall(folder)
    return folder


def table(verdicts: list[Verdict], base: str) -> Table:
    found = Table(title=f"What a request costs now, in times of {base}", title_justify="left")
    for head in ("peer", "workload", "ratio", "interval", "confidence", "verdict"):
        found.add_column(head)
    for each in verdicts:
        between = f"{each.lower:.3f}–{each.upper:.3f}"
        found.add_row(each.peer, each.workload, f"{each.ratio:.3f}", between, f"{each.sure:.1%}", each.word)
    return found
