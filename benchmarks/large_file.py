"""A session file that grows: what a read costs, how long cleaning and checkpoints hold others up.

Compare ratios of one run. A million sessions take about 500 MB in the temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from fluidauth import ASGISessionMiddleware, SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from fluidauth.records import SessionRecord
from fluidauth.stores.sqlite import transactions
from fluidauth.testing import make_record

SMALL = 10_000
KNOWN = 10_000  # sessions with a cookie; the rest only fill the file
READS = 10_000  # requests in one round
DATA = 270  # characters in the one field of a session, 288 bytes of fields
SCOPE = {"type": "http", "scheme": "https", "method": "GET", "path": "/"}
PAYLOAD = 330  # bytes, of a session of 288 bytes of fields
NOW = 1_000_000
READ_LIMIT = 1.5  # times a read among ten thousand
LOCK_LIMIT = 0.05  # seconds that cleaning may hold the write lock at a time
CHANGES = 20_000


def records(count: int, expired: int) -> Iterator[SessionRecord]:
    """Give *count* records, the first *expired* of which are to be cleaned."""
    for number in range(count):
        handle = secrets.token_hex(32)
        expires_at = NOW - 1 if number < expired else NOW + 3600
        yield SessionRecord(
            handle, f"user-{number}", NOW - 60, expires_at, 1, "abcdef", secrets.token_bytes(PAYLOAD)
        )


def fill(path: Path, count: int, expired: int = 0) -> None:
    """Put *count* rows into the file at *path* by plain SQL."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO fluidauth_sessions "
            "(namespace, handle, user_id, created_at, expires_at, version, kid, payload) "
            "VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            ((bytes.fromhex(record.handle), *record[1:]) for record in records(count, expired)),
        )


class Site:
    """An application on a file of *count* sessions, of which it knows ten thousand cookies."""

    def __init__(self, path: Path, count: int, expired: int = 0) -> None:
        self.store = SQLiteStore(path, durability="normal")
        self.engine = SessionEngine(new_secret(), self.store, clock=lambda: NOW)
        fill(path, count - KNOWN + expired, expired)
        self._cookies = []
        for number in range(KNOWN):
            token, _ = self.engine.create_session(f"user-{number}", {"note": "x" * DATA})
            self._cookies.append(f"__Host-session={token}".encode())
        self._app = ASGISessionMiddleware(look, engine=self.engine)

    async def read(self) -> float:
        """Return the seconds that requests take which read their session, in random order."""
        cookies = random.choices(self._cookies, k=READS)
        start = time.perf_counter()
        for cookie in cookies:
            await self._app({**SCOPE, "headers": [(b"cookie", cookie)]}, nothing, nothing)
        return time.perf_counter() - start

    def close(self) -> None:
        self.engine.close()


async def look(scope: Any, receive: Any, send: Any) -> None:
    scope["session"]["note"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def nothing(message: Any = None) -> Any:
    """Receive and send for an application without a server."""


def compare_reads(small: Site, large: Site, count: int) -> bool:
    """Print what a request that reads costs in both files, after a round that warms each."""
    rounds = [(asyncio.run(small.read()), asyncio.run(large.read())) for _ in range(8)][1:]
    low, middle, high = statistics.quantiles([b / a for a, b in rounds], n=4, method="inclusive")
    each = statistics.median(a for a, _ in rounds) / READS * 1e6
    print(f"a request that reads: {each:.1f} µs among {SMALL:,} sessions, among {count:,} ", end="")
    print(f"{middle:.2f} ({low:.2f}–{high:.2f}) times that", end="")
    return verdict(middle <= READ_LIMIT, f"<= {READ_LIMIT}")


def clean(engine: SessionEngine) -> bool:
    """Clean beside two writers; print for how long the lock was held and how long they took."""
    store = engine.requests.store
    assert isinstance(store, SQLiteStore)
    held: list[float] = []
    done = threading.Event()
    carry_out = transactions.carry_out

    def timed(connection: sqlite3.Connection, space: int, writes: Any, *rest: Any) -> bool:
        start = time.perf_counter()
        is_sound = carry_out(connection, space, writes, *rest)
        if threading.current_thread() is threading.main_thread():
            held.append(time.perf_counter() - start)
        return is_sound

    def write(store: SQLiteStore, waits: list[float]) -> None:
        while not done.is_set():
            start = time.perf_counter()
            store.create(next(records(1, 0)))
            waits.append(time.perf_counter() - start)
            time.sleep(0.001)

    transactions.carry_out = timed  # type: ignore[assignment]  # the same, timed
    waits: dict[str, list[float]] = {"in this process": [], "with a store of its own": []}
    with closing(SQLiteStore(store.path)) as other:
        writers = [
            threading.Thread(target=write, args=pair)
            for pair in zip((store, other), waits.values(), strict=True)
        ]
        for writer in writers:
            writer.start()
        start = time.perf_counter()
        removed = engine.clean()
        took = time.perf_counter() - start
        done.set()
        for writer in writers:
            writer.join()
    transactions.carry_out = carry_out
    print(f"cleaning {removed:,} took {took:.0f} s, and {max(held) * 1e3:.1f} ms at most at a time")
    for name, found in waits.items():
        found.sort()
        middle, longest = found[len(found) // 2] * 1e3, found[-1] * 1e3
        print(f"  a writer {name} took {middle:.1f} ms (median), {longest:.1f} ms at most")
    print("  the lock", end="")
    return verdict(max(held) <= LOCK_LIMIT, f"<= {LOCK_LIMIT * 1e3:.0f} ms")


def checkpoints(folder: Path) -> None:
    """Print the longest change while the log is moved by a thread, and in SQLite's own way."""
    for name, own in (("in a thread, as built", False), ("in the commit that fills the log", True)):
        store = SQLiteStore(folder / f"{own}.db")
        rows = [make_record(f"row {number}") for number in range(200)]
        for row in rows:
            store.create(row)
        if own:
            file = store._opened()
            connection = file.writers.borrow()
            connection.execute("PRAGMA wal_autocheckpoint = 1000")
            file.writers.give_back(connection)
            file.checkpoints.count = lambda rows: None  # type: ignore[method-assign]
        took = []
        for number in range(CHANGES):
            place = number % len(rows)
            row = rows[place] = rows[place]._replace(
                version=rows[place].version + 1, payload=os.urandom(PAYLOAD)
            )
            start = time.perf_counter()
            store.update(row)
            took.append(time.perf_counter() - start)
        took.sort()
        p50, p99, longest = took[len(took) // 2], took[int(len(took) * 0.99)], took[-1]
        print(
            f"{CHANGES:,} changes, checkpoints {name}: "
            f"p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms, longest {longest * 1e3:.1f} ms"
        )
        store.close()


def verdict(holds: bool, limit: str) -> bool:
    print(f"  [{limit}: {'ok' if holds else 'MISSED'}]")
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000, help="in the large file (%(default)s)")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoints(folder)
        expired = options.sessions // 2
        with (
            closing(Site(folder / "small.db", SMALL)) as small,
            closing(Site(folder / "large.db", options.sessions, expired)) as large,
        ):
            size = (folder / "large.db").stat().st_size / (options.sessions + expired)
            print(f"{size:.0f} bytes on disk for a session of {PAYLOAD} bytes of payload")
            outcomes = [clean(large.engine), compare_reads(small, large, options.sessions)]
    return int(options.check and not all(outcomes))


if __name__ == "__main__":
    sys.exit(main())
