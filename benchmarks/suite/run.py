"""One run of the suite: who takes part, how long it may take, and how far it is."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .crew import Crew, Member
from .peer import Peer

Row = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """How much of everything."""

    sessions: int
    cost_seconds: float
    """Of the question as a whole, on any machine."""
    storm_seconds: float
    """Of each loop at one concurrency."""
    storm_rounds: int
    concurrent: tuple[int, ...]
    page_seconds: float
    """Of the pages that are timed."""
    http_seconds: float
    http_rounds: int
    growth: tuple[int, ...]
    payloads: tuple[int, ...]
    keys: tuple[int, ...]
    encrypted: tuple[int, ...]
    growth_rounds: int
    soak: int
    """Requests."""
    growth_of: tuple[str, ...] = ()
    """Libraries; all of them if empty."""


FULL = Budget(
    sessions=100_000,
    cost_seconds=120,
    storm_seconds=0.1,
    storm_rounds=2,
    concurrent=(1, 8, 32, 128),
    page_seconds=6,
    http_seconds=0.6,
    http_rounds=2,
    growth=(10_000, 100_000, 1_000_000),
    payloads=(100, 1_000, 10_000, 60_000),
    keys=(1, 10, 100),
    encrypted=(0, 1, 10),
    growth_rounds=3,
    soak=1_000_000,
)
QUICK = Budget(
    sessions=10_000,
    cost_seconds=15,
    storm_seconds=0.1,
    storm_rounds=1,
    concurrent=(1, 32),
    page_seconds=2,
    http_seconds=0.4,
    http_rounds=1,
    growth=(10_000, 100_000),
    payloads=(100, 10_000),
    keys=(1, 100),
    encrypted=(0, 10),
    growth_rounds=3,
    soak=50_000,
    growth_of=("fluidauth", "Starlette"),
)

TRIAL = replace(
    QUICK,
    sessions=1_000,
    cost_seconds=2,
    storm_seconds=0.05,
    concurrent=(1, 8),
    page_seconds=0.5,
    http_seconds=0.2,
    growth=(1_000,),
    payloads=(1_000,),
    keys=(10,),
    encrypted=(10,),
    growth_rounds=1,
    soak=2_000,
)
"""Whether each question can be asked: its figures are for nobody."""


class Tell(Protocol):
    """Shows what is being done, and by how many steps that brings the end nearer."""

    def __call__(self, doing: str, done: float = 0) -> None: ...


class Run:
    """What the questions share: the workers, the budget, and where progress is shown."""

    def __init__(self, crew: Crew, peers: Sequence[Peer], budget: Budget, console: Console) -> None:
        self.crew, self.peers, self.budget, self.console = crew, list(peers), budget, console
        self.versions: dict[str, str] = {}
        self.stored: dict[str, Row] = {}
        self.left_out: dict[str, str] = {}
        """Peers that were not timed, by name, with the reason."""
        self.failed: dict[str, str] = {}
        """Peers that failed, and were left out from there on."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    @property
    def leading(self) -> list[Peer]:
        """One set-up for each library, store and protocol: tuned where it can be; of fluidauth all."""
        tuned = {(p.library, p.store, p.protocol) for p in self.peers if p.setup == "tuned"}
        return [
            peer
            for peer in self.peers
            if peer.setup == "tuned"
            or peer.library == "fluidauth"
            or (peer.library, peer.store, peer.protocol) not in tuned
        ]

    @contextmanager
    def stage(self, title: str, steps: float) -> Iterator[Tell]:
        """Show a bar for *steps* while the block runs; it is given what tells how far it is."""
        start = time.monotonic()
        with self._progress:
            task = self._progress.add_task(title, total=steps)

            def tell(doing: str, done: float = 0) -> None:
                self._progress.update(task, description=f"{title}: {doing:<44.44}", advance=done)

            yield tell
            self._progress.remove_task(task)
        self.console.print(f"[dim]{title}: {time.monotonic() - start:.0f} s[/]")

    @contextmanager
    def fleet(self) -> Iterator[list[Member]]:
        """Give a worker for each peer, checked and full of sessions; all have ended with the block."""
        with ExitStack() as stack:
            with self.stage("sessions are stored", len(self.peers)) as tell:
                members = self._prepared(stack, tell)
            members.sort(key=lambda member: self.peers.index(peer_of(member)))
            yield members

    def _prepared(self, stack: ExitStack, tell: Tell) -> list[Member]:
        def prepare(peer: Peer) -> Member | None:
            if 0 < peer.traits.most < self.budget.sessions:
                self.left_out[peer.name] = f"keeps {peer.traits.most} sessions, forgets the oldest of more"
                return None
            member = stack.enter_context(self.crew.member(peer))
            complaints = member.do("check")
            if complaints:
                self.failed[peer.name] = "; ".join(complaints)
                return None
            self.versions |= member.versions
            used = self._in_servers(member)
            stored = member.do("populate", count=self.budget.sessions)
            stored |= {name: taken - used[name] for name, taken in self._in_servers(member).items()}
            self.stored[peer.name] = stored
            tell(peer.name, 1)
            return member

        others = [peer for peer in self.peers if not peer.uses_redis]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            members = [*pool.map(prepare, others)]
        # One after another, so that what each takes in the one server can be told.
        members += [prepare(peer) for peer in self.peers if peer.uses_redis]
        return [member for member in members if member is not None]

    def ask(self, member: Member, command: str, **arguments: Any) -> Any:
        """Return what *member* answers; None if it fails, or failed before: the others go on."""
        if member.name in self.failed:
            return None
        with self.forgiving(member.name):
            return member.do(command, **arguments)
        return None

    @contextmanager
    def forgiving(self, name: str) -> Iterator[None]:
        """Let a peer that fails in the block be left out from there on, and said to be."""
        try:
            yield
        except RuntimeError as error:
            self.failed[name] = str(error)

    def _in_servers(self, member: Member) -> dict[str, int]:
        """Return the bytes that are in use in the servers of *member*, all of them for Redis."""
        found = {}
        if "redis" in member.servers:
            import redis

            with redis.Redis.from_url(self.crew.redis) as client:
                info: Any = client.info("memory")
                found["redis"] = int(info["used_memory"])
        if "postgres" in member.servers:
            import psycopg

            with psycopg.connect(member.servers["postgres"]) as link:
                row: Any = link.execute("SELECT pg_database_size(current_database())").fetchone()
                found["postgres"] = int(row[0])
        return found


def peer_of(member: Member) -> Peer:
    """Return the peer of a worker that has one."""
    assert member.peer is not None
    return member.peer


def environment() -> dict[str, Any]:
    """Return what a reader must know of the machine; pyperf collects it. No name of it."""
    import pyperf

    collected = pyperf.Run([1.0], collect_metadata=True).get_metadata()
    wanted = (
        "cpu_model_name",
        "cpu_count",
        "cpu_config",
        "aslr",
        "platform",
        "python_version",
        "load_avg_1min",
    )
    found = {name: collected[name] for name in wanted if name in collected}
    found["sqlite_version"] = sqlite3.sqlite_version
    found["python_implementation"] = sys.implementation.name
    return found


def dump(results: dict[str, Any]) -> str:
    """Return *results* as the text of the results file, figures to six digits."""

    def shorten(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, dict):
            return {name: shorten(each) for name, each in value.items()}
        return [shorten(each) for each in value] if isinstance(value, list | tuple) else value

    return json.dumps(shorten(results), indent=1, ensure_ascii=False) + "\n"
