"""Concurrent changes on SQLite with full durability: ways to commit them, side by side.

Every request reads its session and changes one key, through the ASGI middleware in this
process. The ways take turns within each round; compare ratios of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fluidauth import ASGISessionMiddleware, SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from fluidauth.stores.base import AsyncSessionStore
from fluidauth.stores.bridge import AsyncBridge
from fluidauth.stores.sqlite import AsyncSQLiteStore
from fluidauth.stores.sqlite.file import SessionFile
from fluidauth.stores.sqlite.group_commit import GroupCommit
from fluidauth.stores.sqlite.waiting import Write

SESSIONS = 2_000
CONCURRENT = 32
KEYS = 50  # written at once to one session
LIMITS = {"alone": 3.0, "beside a computing thread": 2.0}  # times the requests of a hop per call
LONE_LIMIT = 1.3  # times a direct commit
KEYS_LIMIT = 0.1  # seconds beyond the handlers' own time

DIRECT, HOP, OURS = "direct commit on the loop", "a hop and a commit per call", "group commit"
counter = itertools.count()


# -- ways to commit ------------------------------------------------------------------


class Direct(AsyncBridge):
    """Each call commits where it is made, and holds up the loop meanwhile."""

    inline = True

    @staticmethod
    async def _in_thread(function: Callable[..., Any], *values: Any) -> Any:
        return function(*values)

    async def run_whole(self, function: Callable[..., Any], *values: Any) -> Any:
        return function(self._store, *values)


class Queue(AsyncSQLiteStore):
    """A thread commits what has queued up, without waiting for the end of the loop's turn."""

    together = True

    def __init__(self, store: SQLiteStore) -> None:
        super().__init__(store, store._commits)
        self.carry_out = store._carry_out
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[tuple[Write[Any], asyncio.Future[None]]] = []
        self.busy = False

    async def _commit(self, write: Any) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.waiting.append((write, future))
        self.begin(loop)
        await future
        return write.result()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.waiting and not self.busy:
            self.busy = True
            batch, self.waiting = self.waiting, []
            self.thread.submit(self.work, loop, batch)

    def work(self, loop: asyncio.AbstractEventLoop, batch: list[Any]) -> None:
        writes = [write for write, _ in batch]
        if not self.together:  # hide from the store that these are updates
            for write in writes:
                write.work = partial(write.work)
        self.carry_out(writes, True)
        loop.call_soon_threadsafe(self.end, loop, batch)

    def end(self, loop: asyncio.AbstractEventLoop, batch: list[Any]) -> None:
        self.busy = False
        for _, future in batch:
            future.set_result(None)
        self.begin(loop)


class QueueOfStatements(Queue):
    together = False


class Turns(QueueOfStatements):
    """A thread commits what one turn of the loop asked for, one statement for each write."""

    async def _commit(self, write: Any) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.waiting.append((write, future))
        loop.call_soon(self.begin, loop)
        await future
        return write.result()


WAYS: dict[str, Callable[[SQLiteStore], AsyncSessionStore]] = {
    DIRECT: Direct,
    HOP: AsyncBridge,
    "a thread commits the queue": QueueOfStatements,
    "the queue in one statement": Queue,
    "a thread commits each turn": Turns,
    OURS: lambda store: AsyncSQLiteStore(store, store._commits),
}


# -- what is measured ------------------------------------------------------------------


class Server(NamedTuple):
    """An application with sessions, the cookies of all, and how often it has committed."""

    app: Any
    cookies: Sequence[bytes]
    commits: list[int]


class Figures(NamedTuple):
    """One visit. Seconds, and requests per second."""

    rate: float
    median: float
    p99: float
    stall: float
    commits: float
    """Transactions, and so waits for the disk, per request."""


@contextmanager
def serving(way: Callable[[SQLiteStore], AsyncSessionStore], folder: Path) -> Iterator[Server]:
    class Store(SQLiteStore):
        def async_twin(self) -> AsyncSessionStore:
            return way(self)

        def _written(self, file: SessionFile, changes: int) -> None:
            commits.append(changes)
            super()._written(file, changes)

    commits: list[int] = []
    store = Store(folder / "sessions.db")
    if way is AsyncBridge:  # what this module's subject is compared with: one commit per call
        store._commits = GroupCommit(store._carry_out, max_batch=1)
    engine = SessionEngine(new_secret(), store)
    cookies = []
    for number in range(SESSIONS):
        token, _ = engine.create_session(f"user-{number}", {"note": "x" * 200, "visits": 0})
        cookies.append(f"__Host-session={token}".encode())
    yield Server(ASGISessionMiddleware(change, engine=engine), cookies, commits)
    engine.close()


async def change(scope: Any, receive: Any, send: Any) -> None:
    scope["session"][scope["path"]] = next(counter)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def nothing(message: Any = None) -> Any:
    """Receive and send for an application without a server."""


async def ask(server: Server, cookie: bytes, path: str = "/") -> float:
    """Make one request; return the seconds that it took."""
    start = time.perf_counter()
    headers = [(b"host", b"shop.example.com"), (b"cookie", cookie)]
    await server.app({"type": "http", "scheme": "https", "path": path, "headers": headers}, nothing, nothing)
    return time.perf_counter() - start


async def visit(server: Server, concurrent: int, seconds: float) -> Figures:
    """Let *concurrent* clients ask one request after the other for some *seconds*."""
    took: list[float] = []
    stalls: list[float] = []
    start = time.perf_counter()
    end = start + seconds

    async def client(cookies: Sequence[bytes]) -> None:
        for cookie in itertools.cycle(cookies):
            if time.perf_counter() > end:
                return
            took.append(await ask(server, cookie))

    async def watch() -> None:
        while (before := time.perf_counter()) < end:
            await asyncio.sleep(0.001)
            stalls.append(time.perf_counter() - before - 0.001)

    server.commits.clear()
    watching = [watch()] if concurrent > 1 else []  # it would keep a lone client company
    await asyncio.gather(*watching, *(client(server.cookies[n::concurrent]) for n in range(concurrent)))
    rate = len(took) / (time.perf_counter() - start)
    took.sort()
    commits = len(server.commits) / len(took)
    return Figures(rate, took[len(took) // 2], took[int(len(took) * 0.99)], max(stalls, default=0.0), commits)


@contextmanager
def computing(wanted: bool) -> Iterator[None]:
    """Keep a thread of this process busy with computing."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(number * number for number in range(1000))

    thread = threading.Thread(target=compute)
    if wanted:
        thread.start()
    yield
    stop.set()
    if wanted:
        thread.join()


async def keys_at_once(server: Server) -> tuple[int, float]:
    """Let requests set one key each in one session; return how many are kept, and the seconds."""
    cookie = server.cookies[0]
    before = await fields_of(server, cookie)
    paths = [f"/{number}-{next(counter)}" for number in range(KEYS)]
    start = time.perf_counter()
    await asyncio.gather(*(ask(server, cookie, path) for path in paths))
    took = time.perf_counter() - start
    found = await fields_of(server, cookie)
    return len((found - before) & set(paths)), took


async def fields_of(server: Server, cookie: bytes) -> set[str]:
    found: set[str] = set()

    async def look(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope["session"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    middleware = ASGISessionMiddleware(look, engine=server.app.engine)
    await ask(server._replace(app=middleware), cookie)
    return found


# -- output ---------------------------------------------------------------------------


def compare(servers: dict[str, Server], rounds: int, seconds: float, load: str) -> bool:
    """Print what each way reaches at 32 concurrent requests; return whether ours is fast enough."""
    visits: dict[str, list[Figures]] = {way: [] for way in servers}
    for _ in range(rounds):
        for way in random.sample(list(servers), len(servers)):
            with computing(load != "alone"):
                visits[way].append(asyncio.run(visit(servers[way], CONCURRENT, seconds)))
    print(f"\n{CONCURRENT} concurrent requests, {load}")
    print(f"{'':30}{'req/s':>8}{'ratio (quartiles)':>22}{'p50 ms':>9}{'p99 ms':>9}{'stall':>8}{'commits':>9}")
    baseline = [figures.rate for figures in visits[HOP]]
    reached = 0.0
    for way, found in visits.items():
        ratios = [mine.rate / theirs for mine, theirs in zip(found, baseline, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        rate, median, p99, _, commits = (statistics.median(column) for column in zip(*found, strict=True))
        stall = max(figures.stall for figures in found)
        print(
            f"{way:30}{rate:8.0f}{middle:9.2f} ({low:4.2f}–{high:5.2f}){median * 1e3:9.2f}{p99 * 1e3:9.2f}"
            f"{stall * 1e3:8.1f}{commits:9.3f}"
        )
        reached = middle if way == OURS else reached
    return verdict(f"group commit reaches {reached:.2f} times a hop per call", reached >= LIMITS[load], load)


def lone(servers: dict[str, Server], rounds: int) -> bool:
    """Print what one request at a time takes; return whether ours is fast enough."""
    took: dict[str, list[float]] = {DIRECT: [], OURS: []}
    for _ in range(rounds * 4):
        for way in took:
            took[way].append(asyncio.run(visit(servers[way], 1, 0.25)).median)
    ratios = [ours / direct for ours, direct in zip(took[OURS], took[DIRECT], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    print(f"\na lone request: {statistics.median(took[OURS]) * 1e6:.0f} µs, ", end="")
    print(f"with a direct commit {statistics.median(took[DIRECT]) * 1e6:.0f} µs")
    return verdict(
        f"{middle:.2f} ({low:.2f}–{high:.2f}) times a direct commit", middle <= LONE_LIMIT, LONE_LIMIT
    )


def many_keys(server: Server, rounds: int) -> bool:
    """Print how many of the keys written at once are kept; return whether it went well."""
    found = [asyncio.run(keys_at_once(server)) for _ in range(rounds)]
    kept, took = min(kept for kept, _ in found), statistics.median(took for _, took in found)
    print()
    return verdict(
        f"{kept} of {KEYS} keys survive, in {took * 1e3:.0f} ms",
        kept == KEYS and took < KEYS_LIMIT,
        "under 100 ms",
    )


def verdict(text: str, holds: bool, limit: object) -> bool:
    print(f"{text}  [{limit}: {'ok' if holds else 'MISSED'}]")
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="visits to each way (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.6, help="of each visit (%(default)s)")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    options = parser.parse_args()
    logging.getLogger("fluidauth").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folders = {way: Path(name) / str(number) for number, way in enumerate(WAYS)}
        with open_all(folders) as servers:
            outcomes = [compare(servers, options.rounds, options.seconds, load) for load in LIMITS]
            outcomes.append(lone(servers, options.rounds))
            outcomes.append(many_keys(servers[OURS], options.rounds))
    return int(options.check and not all(outcomes))


@contextmanager
def open_all(folders: dict[str, Path]) -> Iterator[dict[str, Server]]:
    """Give a server for each way, with a file of its own."""
    with ExitStack() as stack:
        servers = {}
        for way, folder in folders.items():
            folder.mkdir()
            servers[way] = stack.enter_context(serving(WAYS[way], folder))
        yield servers


if __name__ == "__main__":
    sys.exit(main())
