"""Let many clients work on real servers for some minutes while faults are injected; then judge.

Servers are killed, stopped for a moment, or find their file locked by somebody else. What
clients were told is checked as in ``tests/test_history.py``; a page sums it up. The exit
code is 1 if any promise was broken.
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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from fluidauth.keys import new_secret
from tests.history import Answer, History, OverHTTP, problems_in, run_lives
from tests.servers.processes import Server

CLIENTS = 4  # of one session
SESSIONS = 6  # at once
STEPS = 20
BATCH = 200  # lives that are judged together, so that memory stays flat
PAUSE = (0.5, 3.0)  # seconds between two faults
SHOWN = 20  # problems printed in full


class Both:
    """Two servers on one file; each request goes to one of them."""

    def __init__(self, urls: list[str]) -> None:
        self._targets = [OverHTTP(url) for url in urls]

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        return random.choice(self._targets).ask(kind, key, value, cookie)


def kill(server: Server, database: Path) -> None:
    server.kill()
    server.start()


def freeze(server: Server, database: Path) -> None:
    """Stop every process of the server for a while, as a machine that is out of memory does."""
    server.signal_all(signal.SIGSTOP)
    time.sleep(random.uniform(0.05, 1.0))
    server.signal_all(signal.SIGCONT)


def lock(server: Server, database: Path) -> None:
    """Hold the write lock for longer than the time limit of two seconds."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(random.uniform(0.5, 3.0))
        connection.execute("COMMIT")


def checkpoint(server: Server, database: Path) -> None:
    """Move the log into the file and cut it off, as a backup program does."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


FAULTS: tuple[Callable[[Server, Path], None], ...] = (kill, freeze, lock, checkpoint)


class Soak:
    """One run: the servers, the time left, and what was found so far."""

    def __init__(self, minutes: float, folder: Path) -> None:
        self._database = folder / "sessions.db"
        secret = new_secret()
        self._servers = [Server(name, self._database, secret) for name in ("gunicorn", "uvicorn-workers")]
        self._start = time.monotonic()
        self._length = minutes * 60
        self._numbers = itertools.count()
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
            while self._left() > 0:
                self._judge(run_lives(target, self._batch(), at_once=SESSIONS, clients=CLIENTS, steps=STEPS))
        finally:
            injector.join()
            for server in self._servers:
                server.stop()
        with closing(sqlite3.connect(self._database)) as connection:
            (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        if integrity != "ok":
            self.problems.append(f"the file is not sound: {integrity}")

    def _left(self) -> float:
        return self._start + self._length - time.monotonic()

    def _batch(self) -> Iterator[int]:
        for number in itertools.islice(self._numbers, BATCH):
            if self._left() <= 0:
                return
            self.lives += 1
            self._show()
            yield number

    def _inject(self) -> None:
        while self._left() > 0:
            time.sleep(min(random.uniform(*PAUSE), max(0.0, self._left())))
            fault = random.choice(FAULTS)
            fault(random.choice(self._servers), self._database)
            self.injected[fault.__name__] += 1

    def _judge(self, history: History) -> None:
        self.problems.extend(problems_in(history))
        for operation in history.operations:
            answer = operation.answer
            self.outcomes["no answer" if answer is None else str(answer.status)] += 1
            self.outcomes["acknowledged"] += operation.acknowledged
            self.slowest = max(self.slowest, operation.end - operation.start)

    def _show(self) -> None:
        if sys.stderr.isatty():
            done = 1 - max(0.0, self._left()) / self._length
            text = f"\r{done:4.0%}  {self.lives} sessions, {sum(self.injected.values())} faults, "
            print(f"{text}{len(self.problems)} problems ", end="", file=sys.stderr, flush=True)

    def summary(self) -> str:
        requests = sum(count for name, count in self.outcomes.items() if name != "acknowledged")
        lines = [
            f"{self._length / 60:g} minutes on 4 gunicorn and 4 uvicorn workers with one SQLite file",
            f"{self.lives} sessions from login to logout, {CLIENTS} clients each, {SESSIONS} at once",
            f"{requests} requests: {self.outcomes['200']} answered, {self.outcomes['503']} refused with 503, "
            f"{self.outcomes['no answer']} without answer; {self.outcomes['acknowledged']} acknowledged",
            f"the slowest request took {self.slowest:.1f} s",
            "faults: " + (", ".join(f"{name} {count}" for name, count in self.injected.items()) or "none"),
            f"promises broken: {len(self.problems)}",
            *(f"  {problem}" for problem in self.problems[:SHOWN]),
        ]
        return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (%(default)s)")
    options = parser.parse_args()
    if options.minutes <= 0:
        parser.error("--minutes must be above 0")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(options.minutes, Path(folder))
        soak.run()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(soak.summary())
    return int(bool(soak.problems))


if __name__ == "__main__":
    sys.exit(main())
