"""One peer in a process of its own; it does what it is told on its standard input, line by line.

A line is a JSON object with the name of a command and its arguments; the answer is a line
of JSON as well. ``crew.py`` is the other end.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import os
import random
import resource
import sqlite3
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from . import client, peer, trials
from .client import Request
from .peers import all_peers
from .selects import Selects

PAGE = resource.getpagesize()
VISIT = 0.06  # seconds that a timed loop is to take
MIN_REQUESTS, MAX_REQUESTS = 30, 4000  # in one loop
WARM_UP = 0.03  # seconds before each visit
WARM_FILE = 1 << 20  # bytes; files that are smaller are not read before a visit
THREADS = 64  # so that fifty blocking requests can be under way
WORKLOADS = ("no cookie", "untouched", "read again", "read", "change", "login")
PATHS = {"no cookie": "untouched", "read again": "read"}  # the others have their own
HEATING = 5  # times that each of those is read before the first of them is timed
HOT = 1_000  # sessions that are read again and again, where the question is about those


class Worker:
    """A peer with its applications and the cookies of its visitors."""

    def __init__(self) -> None:
        self.cookies: list[str] = []
        self.hot: list[str] = []
        """Some of them, drawn once."""
        self.counts: dict[str, int] = {}
        self.selects = Selects()
        self.changes = 100_000
        self.heated = False

    async def start(self, name: str, folder: str, **place: Any) -> dict[str, Any]:
        """Build the peer *name* in *folder*; return the versions of what it is made of."""
        self.peer = all_peers()[name]
        for module in self.peer.without:
            sys.modules[module] = None  # type: ignore[assignment]  # as if it were not installed
        self.place = peer.Place(Path(folder), **place)
        self.apps = self.peer.build(self.place)
        import fluidauth

        versions = {package: importlib.metadata.version(package) for package in self.peer.packages}
        return {"versions": versions, "fluidauth": fluidauth.__file__}

    async def check(self) -> list[str]:
        """Return what the adapter does other than its description says; nothing, as a rule."""
        return await trials.complaints(self.peer, self.place, self.apps)

    async def populate(self, count: int, size: int = peer.FIELDS_BYTES) -> dict[str, Any]:
        """Store *count* sessions of *size* bytes; return what they take, in bytes, and the seconds."""
        disk, memory, start = disk_use(self.place.folder), resident(), time.perf_counter()
        await self.load_cookies(self.apps.populate(peer.visitors(count, size, self.place.encrypted)))
        took = time.perf_counter() - start
        checkpoint(self.place.folder)
        gc.collect()
        ours = sum(map(sys.getsizeof, self.cookies)) + sys.getsizeof(self.cookies)
        memory = resident() - memory - ours
        longest = max(map(len, self.cookies))
        return {
            "seconds": took,
            "disk": disk_use(self.place.folder) - disk,
            "memory": memory,
            "cookie": longest,
        }

    async def load_cookies(self, cookies: list[str]) -> None:
        self.cookies = cookies
        self.hot = random.sample(cookies, min(HOT, len(cookies)))

    async def sample(self, count: int) -> list[str]:
        return random.sample(self.cookies, min(count, len(self.cookies)))

    # -- questions of time -------------------------------------------------------------------------

    async def visit(self, workload: str, scale: float = 1.0) -> dict[str, float]:
        """Return the seconds a request takes with sessions and without, timed right after each other.

        The collector runs as in a server, but has nothing to do with what was made before:
        all of that is collected, then frozen.
        """
        warm(self.place.folder)
        await self._warm_up(workload)
        count = max(MIN_REQUESTS, int(self.counts[workload] * scale))
        requests = self.requests(workload, count)
        if workload == "read again":
            await self._heat()
        apps = {"app": self.apps.sessions, "bare": self.apps.bare}
        took: dict[str, float] = {}
        for name in random.sample(list(apps), 2):
            gc.collect()
            gc.freeze()
            took[name] = await client.drive(self.peer.protocol, apps[name], requests) / count
        gc.unfreeze()
        return took

    async def _heat(self) -> None:
        """Read each hot session, before the first visit as often as a page or two does."""
        passes, self.heated = 1 if self.heated else HEATING, True
        for _ in range(passes):
            read = [Request("read", cookie=cookie) for cookie in random.sample(self.hot, len(self.hot))]
            prepared = [client.prepare(self.peer.protocol, request) for request in read]
            await client.drive(self.peer.protocol, self.apps.sessions, prepared)

    async def _warm_up(self, workload: str) -> None:
        """Make requests for a while; find out, the first time, how many fill a visit."""
        done, start = 0, time.perf_counter()
        while (took := time.perf_counter() - start) < WARM_UP or done < MIN_REQUESTS:
            await client.drive(self.peer.protocol, self.apps.sessions, self.requests(workload, 10))
            done += 10
        if workload not in self.counts:
            self.counts[workload] = min(MAX_REQUESTS, max(MIN_REQUESTS, int(VISIT * done / took)))

    def requests(self, workload: str, count: int, hot: bool = False) -> list[dict[str, Any]]:
        """Return *count* requests by visitors at random, or by *hot* ones; no two set the same value."""
        path = PATHS.get(workload, workload)
        is_new = workload in ("no cookie", "login")  # a login ends the session that the cookie names
        known = self.hot if hot or workload == "read again" else self.cookies
        cookies: Sequence[str | None] = [None] if is_new else known
        self.changes += count
        return [
            client.prepare(self.peer.protocol, Request(path, str(self.changes - number), cookie))
            for number, cookie in enumerate(random.choices(cookies, k=count))
        ]

    async def storm(
        self, concurrent: int, seconds: float, busy: bool, bare: bool, hot: bool = False
    ) -> dict[str, float]:
        """Keep *concurrent* requests under way; return how many a second end, and their waits.

        With *hot* they are for the hot sessions alone, all of which have been read before.
        """
        app = self.apps.bare if bare else self.apps.sessions
        if hot:
            reads = [client.prepare(self.peer.protocol, Request("read", "", each)) for each in self.hot]
            await client.drive(self.peer.protocol, app, reads)
        self.place.busy = busy
        try:
            return await trials.storm(self, app, concurrent, seconds, hot)
        finally:
            self.place.busy = False

    async def watch_selects(self) -> None:
        """Let SELECTs be counted later; before :meth:`start`, so that no connection is missed."""
        self.selects.watch()

    async def count_selects(self) -> None:
        self.selects.begin()

    async def serve(self, path: str, query: str, cookie: str, bare: bool) -> tuple[float, int]:
        """Answer one request; return the seconds that took, and the SELECTs that were counted."""
        app, before = self.apps.bare if bare else self.apps.sessions, self.selects.count
        took = await trials.one(self.peer.protocol, app, Request(path, query, cookie))
        return took, self.selects.count - before

    # -- questions of behaviour --------------------------------------------------------------------

    async def survivors(self, count: int) -> int:
        return await trials.survivors(self.peer, self.place, self.apps, count)

    async def logouts(self) -> dict[str, bool]:
        return await trials.logouts(self.peer, self.place, self.apps)

    async def sign_in(self) -> str:
        """Sign in; return the cookie."""
        return await trials.sign_in(self.peer, self.apps, "alice")

    async def is_signed_in(self, cookie: str) -> bool:
        return await trials.is_signed_in(self.peer, self.apps, cookie)

    async def soak(self, count: int) -> dict[str, float]:
        """Make *count* requests, one in five a change; return by how many bytes the process has grown."""
        await self._soak(max(count // 20, 10_000))  # caches fill
        gc.collect()
        before = resident()
        await self._soak(count)
        gc.collect()
        return {"requests": count, "grown": resident() - before}

    async def _soak(self, count: int) -> None:
        for _ in range(count // 1000):
            for workload, part in (("read", 800), ("change", 200)):
                await client.drive(self.peer.protocol, self.apps.sessions, self.requests(workload, part))

    async def profile(self, workload: str) -> str:
        """Return where the time of ten thousand requests goes."""
        await self._warm_up(workload)
        return await trials.profile(self.peer.protocol, self.apps.sessions, self.requests(workload, 10_000))

    # -- floors ------------------------------------------------------------------------------------

    async def open_floors(self, folder: str, redis: str) -> list[str]:
        """Prepare the operations that nobody gets around; return their names."""
        from .floors import Floors

        self.floors = Floors(Path(folder), redis)
        return list(self.floors.operations)

    async def floor(self, name: str) -> float:
        """Return the seconds that one such operation takes."""
        return self.floors.time(name)

    async def close(self) -> None:
        for each in (getattr(self, "apps", None), getattr(self, "floors", None)):
            if each is not None:
                each.close()


def resident() -> int:
    """Return the bytes of memory that this process has in use."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * PAGE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def disk_use(folder: Path) -> int:
    """Return the bytes that all files in *folder* take on disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def checkpoint(folder: Path) -> None:
    """Move SQLite's logs into their databases, so that no session is counted twice."""
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def warm(folder: Path) -> None:
    """Read large files once: on some machines the page cache forgets them between visits."""
    for path in folder.iterdir():
        if path.is_file() and path.stat().st_size > WARM_FILE:
            with path.open("rb") as file:
                while file.read(WARM_FILE):
                    pass


def main() -> None:
    commands, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not end among the answers
    worker = Worker()
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        for line in commands:
            message = json.loads(line)
            try:
                result = {"result": runner.run(getattr(worker, message.pop("command"))(**message))}
            except Exception:
                result = {"error": traceback.format_exc()}
            print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
