"""Let many clients work on real servers and databases while faults are injected; then judge.

Workers, servers and databases are killed, stopped for a moment, or find their file locked by
somebody else. What clients were told is checked as in ``harness/history.py``; a page for each
store sums it up. The exit code is 1 if any promise was broken.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from abc import ABC
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from harness.history import Answer, History, OverHTTP, cookies_of_starlette, problems_in, run_lives
from harness.servers.postgres import OwnPostgres
from harness.servers.processes import Server
from harness.servers.redis import DURABLE, OwnCluster, OwnRedis, until

CLIENTS = 4  # of one session
SESSIONS = 6  # at once
STEPS = 20
BATCH = 100  # lives that are judged together, so that memory stays flat
PAUSE = (0.1, 1.0)  # seconds between two faults
SHOWN = 20  # problems printed in full


class Both:
    """Two servers on one store; each request goes to one of them."""

    def __init__(self, urls: list[str]) -> None:
        self._targets = [OverHTTP(url) for url in urls]

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        return random.choice(self._targets).ask(kind, key, value, cookie)


Fault = Callable[[Server], object]


class Place(ABC):
    """Where sessions are kept, and what can happen there."""

    name: ClassVar[str]
    url: str
    faults: list[tuple[Fault, int]]
    """Each with its weight; those whose names begin with "kill" count as kills."""

    def is_broken(self, problem: str) -> bool:
        """Return whether *problem* breaks what is promised of this store."""
        return True

    def problems(self) -> list[str]:
        """Return what is wrong with the store itself in the end."""
        return []

    def close(self) -> None: ...


class InSQLite(Place):
    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sessions.db"
        self.url = str(self._path)
        self.faults = [(self.lock, 1), (self.checkpoint, 1)]

    def lock(self, server: Server) -> None:
        """Hold the write lock for longer than the time limit of two seconds."""
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=10)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(random.uniform(0.5, 3.0))
            connection.execute("COMMIT")

    def checkpoint(self, server: Server) -> None:
        """Move the log into the file and cut it off, as a backup program does."""
        with closing(sqlite3.connect(self._path, timeout=10)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def problems(self) -> list[str]:
        with closing(sqlite3.connect(self._path)) as connection:
            (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        return [] if integrity == "ok" else [f"the file is not sound: {integrity}"]


class InServer(Place):
    """A database server of its own, which can be killed and frozen."""

    def __init__(self, database: OwnPostgres | OwnRedis) -> None:
        self._database = database
        self.url = database.url
        self.faults = [(self.kill_database, 4), (self.freeze_database, 1)]

    def kill_database(self, server: Server) -> None:
        self._database.kill()
        self._database.start()

    def freeze_database(self, server: Server) -> None:
        self._database.freeze()
        time.sleep(random.uniform(0.05, 3.0))
        self._database.thaw()


class InPostgres(InServer):
    name = "postgres"

    def __init__(self, folder: Path) -> None:
        self._own = OwnPostgres()
        super().__init__(self._own)
        PostgresStore(self.url).create_schema()

    def close(self) -> None:
        self._own.stop()


class InRedis(InServer):
    name = "redis"

    def __init__(self, folder: Path) -> None:
        self._own = OwnRedis(*DURABLE)
        super().__init__(self._own)

    def close(self) -> None:
        self._own.close()


class InCluster(Place):
    """Primaries die and come back as replicas. Changes may be lost with one; no logout that a replica has."""

    name = "cluster"

    def __init__(self, folder: Path) -> None:
        self._cluster = OwnCluster()
        self.url = f"{self._cluster.url}?wait_replicas=1"
        self.faults = [(self.kill_primary, 4), (self.freeze_replica, 1)]

    def kill_primary(self, server: Server) -> None:
        node = random.choice([each for each in self._cluster.nodes if self._cluster.is_primary(each)])
        node.kill()
        until(self._cluster.is_served)
        node.start()
        until(self._cluster.is_whole)

    def freeze_replica(self, server: Server) -> None:
        node = random.choice(self._cluster.replicas)
        node.freeze()
        time.sleep(random.uniform(0.05, 1.0))
        node.thaw()
        until(self._cluster.is_whole)

    def is_broken(self, problem: str) -> bool:
        return "alive after" in problem or "was shown" in problem

    def close(self) -> None:
        self._cluster.close()


PLACES: dict[str, Callable[[Path], Place]] = {
    place.name: place for place in (InSQLite, InPostgres, InRedis, InCluster)
}


def kill_worker(server: Server) -> None:
    server.kill_worker()


def kill_server(server: Server) -> None:
    server.kill()
    server.start()


def freeze_server(server: Server) -> None:
    """Stop every process of the server for a while, as a machine that is out of memory does."""
    server.signal_all(signal.SIGSTOP)
    time.sleep(random.uniform(0.05, 1.0))
    server.signal_all(signal.SIGCONT)


OF_SERVERS: list[tuple[Fault, int]] = [(kill_worker, 12), (kill_server, 2), (freeze_server, 1)]


class Soak:
    """One run on one store: the servers, what is to come, and what was found so far."""

    def __init__(self, place: Place, minutes: float | None, kills: int, folder: Path) -> None:
        self._place = place
        former = new_secret()
        self._former = cookies_of_starlette(former)
        there = {"FLUIDAUTH_DATABASE": place.url, "TEST_FORMER_SECRET": former}
        secret, unused = new_secret(), folder / "unused.db"
        self._servers = [
            Server(name, unused, secret, environ=there) for name in ("gunicorn", "uvicorn-workers")
        ]
        self._start = time.monotonic()
        self._length = minutes and minutes * 60
        self._kills = kills
        self._numbers = itertools.count()
        self._is_over = False
        self.injected: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.lives = 0
        self.problems: list[str] = []
        self.slowest = 0.0

    def run(self) -> None:
        for server in self._servers:
            server.start()
        injector = threading.Thread(target=self._inject)
        injector.start()
        try:
            target = Both([server.url for server in self._servers])
            while not self._is_over:
                self._judge(
                    run_lives(
                        target,
                        self._batch(),
                        at_once=SESSIONS,
                        clients=CLIENTS,
                        steps=STEPS,
                        former=self._former,
                    )
                )
        finally:
            self._is_over = True
            injector.join()
            for server in self._servers:
                server.stop()
            self._length = time.monotonic() - self._start
        self.problems += self._place.problems()

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.injected.items() if name.startswith("kill"))

    def _done(self) -> float:
        """Return how much of the run is over, from 0 to 1."""
        if self._length:
            return (time.monotonic() - self._start) / self._length
        return self.kills / self._kills

    def _batch(self) -> Iterator[int]:
        for number in itertools.islice(self._numbers, BATCH):
            if self._is_over:
                return
            self.lives += 1
            self._show()
            yield number

    def _inject(self) -> None:
        faults, weights = zip(*OF_SERVERS, *self._place.faults, strict=True)
        try:
            while not self._is_over and self._done() < 1:
                time.sleep(random.uniform(*PAUSE))
                [fault] = random.choices(faults, weights)
                fault(random.choice(self._servers))
                self.injected[fault.__name__] += 1
        except Exception as error:
            self.problems.append(f"a fault could not be injected: {error!r}")
        finally:
            self._is_over = True

    def _judge(self, history: History) -> None:
        self.problems.extend(filter(self._place.is_broken, problems_in(history)))
        for operation in history.operations:
            answer = operation.answer
            self.outcomes["no answer" if answer is None else str(answer.status)] += 1
            self.outcomes["acknowledged"] += operation.acknowledged
            self.slowest = max(self.slowest, operation.end - operation.start)

    def _show(self) -> None:
        if sys.stderr.isatty():
            text = f"\r{self._place.name}: {min(1, self._done()):4.0%}  {self.lives} sessions, "
            text += f"{self.kills} kills, {len(self.problems)} problems "
            print(text, end="", file=sys.stderr, flush=True)

    def summary(self) -> str:
        told = self.outcomes
        requests = sum(count for name, count in told.items() if name != "acknowledged")
        faults = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self.injected.most_common())
        lines = [
            f"{self._place.name}: {(self._length or 0) / 60:.1f} minutes, 4 gunicorn and 4 uvicorn workers",
            f"  {self.kills} kills; faults: {faults or 'none'}",
            f"  {self.lives} sessions, half of them taken over, {CLIENTS} clients each, {SESSIONS} at once",
            f"  {requests} requests: {told['200']} answered, {told['acknowledged']} of them acknowledged; "
            f"{told['503']} refused with 503, {told['no answer']} without answer",
            f"  the slowest request took {self.slowest:.1f} s",
            f"  promises broken: {len(self.problems)}",
            *(f"    {problem}" for problem in self.problems[:SHOWN]),
        ]
        return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long, for each store (5, if no kills are given)")
    parser.add_argument("--kills", type=int, default=0, help="how many kills, over all stores")
    parser.add_argument("--stores", default="sqlite", help=f"of {','.join(PLACES)} (%(default)s)")
    options = parser.parse_args()
    stores = options.stores.split(",")
    if unknown := [store for store in stores if store not in PLACES]:
        parser.error(f"--stores: {unknown[0]} is not one of {','.join(PLACES)}")
    if options.kills < 0 or (options.minutes is not None and options.minutes <= 0):
        parser.error("--minutes and --kills must be above 0")
    minutes = options.minutes or (None if options.kills else 5.0)
    broken = False
    for store in stores:
        with tempfile.TemporaryDirectory() as name, closing(PLACES[store](Path(name))) as place:
            soak = Soak(place, minutes, -(-options.kills // len(stores)), Path(name))
            soak.run()
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print(soak.summary(), flush=True)
        broken = broken or bool(soak.problems)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
