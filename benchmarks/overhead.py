"""Overhead per request, in this process, over the bare application: fluidauth, Starlette, floors.

Every figure is the difference between an application with sessions and the same one
without, timed right after one another in one visit; the visits of a round come in random
order. Compare ratios within one run, never microseconds of two runs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import cProfile
import gc
import importlib.metadata
import itertools
import json
import logging
import os
import platform
import pstats
import random
import secrets
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from starlette.middleware.sessions import SessionMiddleware as StarletteSessions

from fluidauth import ASGISessionMiddleware, MemoryStore, SessionEngine, SQLiteStore, WSGISessionMiddleware
from fluidauth.keys import new_secret

COOKIE = "__Host-session"
DATA_BYTES = 288  # of one session's fields, as json.dumps writes them
WARM_UP = 200  # requests before each visit
NOISE = 0.25  # quartiles further apart than this part of the median say little
WORKLOADS = ("untouched", "read", "change")

STARLETTE, SQLITE, MEMORY = "Starlette signed cookie", "fluidauth SQLite ASGI", "fluidauth memory ASGI"
WSGI = "fluidauth SQLite WSGI normal"
READ_FLOOR, WRITE_FLOOR = "bare SQLite read", "bare SQLite write"
REQUESTS = {"untouched": 4000, "read": 1000, "change": 500, "floor": 2000}  # in one visit
WAL_REQUESTS = 2000  # SQLite moves its log into the file after every thousand pages
FSYNC_REQUESTS = 100  # each of them waits for the disk


class Target(NamedTuple):
    workload: str
    contender: str
    peers: tuple[str, ...]
    limit: float


TARGETS = (
    Target("untouched", SQLITE, (STARLETTE,), 0.1),
    Target("untouched", MEMORY, (STARLETTE,), 0.1),
    Target("untouched", WSGI, (STARLETTE,), 0.1),
    Target("read", SQLITE, (STARLETTE,), 1.3),
    Target("read", MEMORY, (STARLETTE,), 0.95),
    Target("change", WSGI, (READ_FLOOR, WRITE_FLOOR), 2.0),
)


# -- sessions -------------------------------------------------------------------------


@dataclass(frozen=True)
class Sessions:
    """The same sessions for every contender; what is at one index belongs together."""

    secret: str
    tokens: list[str]
    handles: list[str]
    starlette_cookies: list[str]
    memory: MemoryStore
    file: Path


def fields(number: int) -> dict[str, Any]:
    """Return what an application might keep for one visitor, of exactly DATA_BYTES."""
    found = {
        "name": f"Visitor {number:06}",
        "locale": "en-GB",
        "csrf": secrets.token_hex(16),
        "visits": 100_000,
        "cart": [{"sku": f"A-{number % 9973:04}", "quantity": 2}, {"sku": "B-0815", "quantity": 1}],
        "note": "",
    }
    found["note"] = "x" * (DATA_BYTES - len(json.dumps(found)))
    return found


def fill(count: int, folder: Path) -> Sessions:
    """Make *count* sessions; tokens come from an engine, cookies from Starlette's signer."""
    secret = new_secret()
    signer = StarletteSessions(nothing, secret).signer
    memory = MemoryStore(max_sessions=count)
    engine = SessionEngine(secret, memory)
    store = SQLiteStore(folder / "sessions.db", durability="normal")
    store.open()
    tokens, handles, cookies = [], [], []
    for number in range(count):
        data = fields(number)
        cookies.append(signer.sign(base64.b64encode(json.dumps(data).encode())).decode())
        token, session = engine.create_session(f"user-{number}", data)
        tokens.append(token)
        handle = str(session.handle)
        handles.append(handle)
        record = memory.get(handle)
        if record is not None:
            store.create(record)
    store.close()
    return Sessions(secret, tokens, handles, cookies, memory, folder / "sessions.db")


# -- applications ----------------------------------------------------------------------

counter = itertools.count(100_001)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*ASGI_HEADERS]})
    await send({"type": "http.response.body", "body": b"ok"})


async def read(scope: Any, receive: Any, send: Any) -> None:
    session = scope["session"]
    session.mark_accessed()  # as request.session does
    session["locale"]
    await send({"type": "http.response.start", "status": 200, "headers": [*ASGI_HEADERS]})
    await send({"type": "http.response.body", "body": b"ok"})


async def change(scope: Any, receive: Any, send: Any) -> None:
    session = scope["session"]
    session.mark_accessed()
    session["visits"] = next(counter)
    await send({"type": "http.response.start", "status": 200, "headers": [*ASGI_HEADERS]})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi_bare(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [*WSGI_HEADERS])
    return [b"ok"]


def wsgi_read(environ: Any, start_response: Any) -> Iterable[bytes]:
    environ["fluidauth.session"]["locale"]
    start_response("200 OK", [*WSGI_HEADERS])
    return [b"ok"]


def wsgi_change(environ: Any, start_response: Any) -> Iterable[bytes]:
    environ["fluidauth.session"]["visits"] = next(counter)
    start_response("200 OK", [*WSGI_HEADERS])
    return [b"ok"]


def nothing(*_: Any) -> Any:
    """Do what a floor is compared with."""


WSGI_HEADERS = [("content-type", "text/plain; charset=utf-8"), ("content-length", "2")]
ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in WSGI_HEADERS]
ASGI_APPS = {"untouched": bare, "read": read, "change": change}
WSGI_APPS = {"untouched": wsgi_bare, "read": wsgi_read, "change": wsgi_change}


# -- requests ---------------------------------------------------------------------------

REQUEST_HEADERS = {
    "host": "shop.example.com",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "accept-encoding": "gzip, deflate, br, zstd",
    "referer": "https://shop.example.com/cart",
}
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "https",
    "path": "/cart",
    "raw_path": b"/cart",
    "query_string": b"",
    "root_path": "",
    "client": ("203.0.113.7", 41312),
    "server": ("10.0.0.2", 8000),
}
SCOPE_HEADERS = [(name.encode(), value.encode()) for name, value in REQUEST_HEADERS.items()]
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/cart",
    "QUERY_STRING": "",
    "SERVER_NAME": "10.0.0.2",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "203.0.113.7",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "https",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in REQUEST_HEADERS.items()},
}

Drive = Callable[[Any, Sequence[Any]], Coroutine[Any, Any, float]]


def cookie_header(value: str) -> str:
    """Return a header that holds our cookie among three others."""
    return f"_ga=GA1.1.1530291741.1712345678; {COOKIE}={value}; consent=necessary; theme=dark"


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    """Drop *message*."""


def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., None]:
    return nothing


async def drive_asgi(app: Any, cookies: Sequence[bytes]) -> float:
    """Return the seconds that *app* takes for a request with each of *cookies*, one by one.

    To await costs no turn of the event loop unless the application itself waits.
    """
    start = time.perf_counter()
    for cookie in cookies:
        await app({**SCOPE, "headers": [*SCOPE_HEADERS, (b"cookie", cookie)]}, receive, send)
    return time.perf_counter() - start


async def drive_wsgi(app: Any, cookies: Sequence[str]) -> float:
    """Do as :func:`drive_asgi` for a WSGI application; nothing here awaits."""
    start = time.perf_counter()
    for cookie in cookies:
        body = app({**ENVIRON, "HTTP_COOKIE": cookie}, start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return time.perf_counter() - start


async def drive_floor(call: Callable[[bytes], object], handles: Sequence[bytes]) -> float:
    """Do as :func:`drive_asgi` for a plain function of a handle."""
    start = time.perf_counter()
    for handle in handles:
        call(handle)
    return time.perf_counter() - start


# -- contenders --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """One contender in one workload: *app* is measured against *bare*."""

    workload: str
    contender: str
    drive: Drive
    bare: Any
    app: Any
    keys: Sequence[Any]
    requests: int

    @property
    def name(self) -> tuple[str, str]:
        return self.workload, self.contender


@contextmanager
def cases(sessions: Sessions, folder: Path) -> Iterator[list[Case]]:
    """Give all contenders in all workloads; each that writes a file has a copy of its own."""
    full, normal, floor = (folder / f"{name}.db" for name in ("full", "normal", "floor"))
    for copy in (full, normal, floor):
        shutil.copyfile(sessions.file, copy)
        copy.chmod(0o600)
    # A second takes a million looks at this clock, so that no session comes to need a touch:
    # a read would otherwise turn into a write three minutes into the run.
    clock = itertools.count(time.time() + 30, 1e-6).__next__
    stores = {
        SQLITE: SQLiteStore(full),
        MEMORY: sessions.memory,
        WSGI: SQLiteStore(normal, durability="normal"),
    }
    engines = {
        name: SessionEngine(secret=sessions.secret, store=store, clock=clock)
        for name, store in stores.items()
    }
    ours = [cookie_header(token) for token in sessions.tokens]
    ours_in_bytes = [header.encode() for header in ours]
    theirs = [cookie_header(cookie).encode() for cookie in sessions.starlette_cookies]
    found = []
    for workload in WORKLOADS:
        app, requests = ASGI_APPS[workload], REQUESTS[workload]
        starlette = StarletteSessions(app, sessions.secret, session_cookie=COOKIE, https_only=True)
        found.append(Case(workload, STARLETTE, drive_asgi, bare, starlette, theirs, requests))
        for name in (SQLITE, MEMORY):
            with_sessions = ASGISessionMiddleware(app, engine=engines[name])
            waits = workload == "change" and name == SQLITE
            count = FSYNC_REQUESTS if waits else requests
            found.append(Case(workload, name, drive_asgi, bare, with_sessions, ours_in_bytes, count))
        wsgi = WSGISessionMiddleware(WSGI_APPS[workload], engine=engines[WSGI])
        count = WAL_REQUESTS if workload == "change" else requests
        found.append(Case(workload, WSGI, drive_wsgi, wsgi_bare, wsgi, ours, count))
    connection = sqlite3.connect(floor, isolation_level=None)
    handles = [bytes.fromhex(handle) for handle in sessions.handles]
    for name, call in floors(connection).items():
        found.append(Case("floor", name, drive_floor, nothing, call, handles, REQUESTS["floor"]))
    try:
        yield found
    finally:
        connection.close()
        for engine in engines.values():
            engine.close()


def floors(connection: sqlite3.Connection) -> dict[str, Callable[[bytes], object]]:
    """Return one read and one write of a session's row, as sqlite3 alone does them."""
    connection.execute("PRAGMA synchronous = NORMAL")
    (length,) = connection.execute("SELECT max(length(payload)) FROM fluidauth_sessions").fetchone()
    payloads = itertools.cycle([secrets.token_bytes(length) for _ in range(997)])
    execute = connection.execute

    def read_row(handle: bytes) -> object:
        return execute(
            "SELECT handle, user_id, created_at, expires_at, version, kid, payload "
            "FROM fluidauth_sessions WHERE handle = ?",
            (handle,),
        ).fetchall()

    def write_row(handle: bytes) -> object:
        return execute(
            "UPDATE fluidauth_sessions SET payload = ?, version = version + 1 WHERE handle = ?",
            (next(payloads), handle),
        )

    return {READ_FLOOR: read_row, WRITE_FLOOR: write_row}


# -- measuring ------------------------------------------------------------------------------


async def visit(case: Case) -> float:
    """Return what *case* adds to a request, in microseconds, after a warm-up.

    The collector runs as in a server, but has nothing to do with what was made before:
    all of that is collected, then frozen.
    """
    keys = random.choices(case.keys, k=case.requests)
    await case.drive(case.app, random.choices(case.keys, k=min(WARM_UP, case.requests)))
    apps = [case.bare, case.app]
    random.shuffle(apps)
    seconds = {}
    for app in apps:
        gc.collect()
        gc.freeze()
        seconds[app] = await case.drive(app, keys)
    return (seconds[case.app] - seconds[case.bare]) / case.requests * 1e6


@dataclass(frozen=True)
class Row:
    """What all visits of one case say, in microseconds per request."""

    workload: str
    contender: str
    lower: float
    median: float
    upper: float
    ratio: float | None = None
    """To Starlette in the same workload, or to what the target names."""
    limit: float | None = None

    @property
    def noisy(self) -> bool:
        return self.upper - self.lower > NOISE * self.median

    @property
    def missed(self) -> bool:
        return self.limit is not None and self.ratio is not None and self.ratio > self.limit


async def measure(found: list[Case], rounds: int) -> list[Row]:
    """Visit every case once a round, in random order."""
    figures: dict[Case, list[float]] = {case: [] for case in found}
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds} ", end="", file=sys.stderr, flush=True)
        for case in random.sample(found, len(found)):
            figures[case].append(await visit(case))
    medians = {case.name: statistics.median(f) for case, f in figures.items()}
    return [row(case, sorted(figures[case]), medians) for case in found]


def row(case: Case, figures: list[float], medians: dict[tuple[str, str], float]) -> Row:
    """Sum up *figures*, and compare their median with its target's."""
    lower, median, upper = statistics.quantiles(figures, n=4, method="inclusive")
    target = next((t for t in TARGETS if t[:2] == case.name), None)
    peers = target.peers if target else (STARLETTE,)
    floor = sum(medians.get((case.workload, p), medians.get(("floor", p), 0.0)) for p in peers)
    ratio = median / floor if floor and case.workload != "floor" else None
    limit = target.limit if target else None
    return Row(case.workload, case.contender, lower, median, upper, ratio, limit)


# -- output -----------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Return what a reader must know to judge the figures."""
    versions = {
        name: importlib.metadata.version(name)
        for name in ("fluidauth", "starlette", "itsdangerous", "cryptography")
    }
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **versions,
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
    }


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def show(rows: list[Row]) -> None:
    """Print the table; the ratio of a floor's target is to both floors together."""
    print(f"{'':10} {'µs per request':28} {'quartile':>8} {'median':>8} {'quartile':>8} {'ratio':>6}  target")
    previous = ""
    for r in rows:
        name = "" if r.workload == previous else r.workload
        previous = r.workload
        ratio = f"{r.ratio:6.3f}" if r.ratio is not None else f"{'–':>6}"
        print(
            f"{name:10} {r.contender:28} {r.lower:8.2f} {r.median:8.2f} {r.upper:8.2f} {ratio}  {verdict(r)}"
        )


def verdict(r: Row) -> str:
    words = []
    if r.limit is not None:
        of = " of the floors" if r.workload == "change" else ""
        words.append(f"<= {r.limit}{of}  {'MISSED' if r.missed else 'ok'}")
    if r.noisy:
        words.append("(noise)")
    return " ".join(words)


def profile(case: Case) -> None:
    """Print where *case* spends its time, by internal time; threads are not looked into."""
    asyncio.run(case.drive(case.app, random.choices(case.keys, k=WARM_UP)))
    profiler = cProfile.Profile()
    keys = random.choices(case.keys, k=10_000)
    profiler.enable()
    asyncio.run(case.drive(case.app, keys))
    profiler.disable()
    print(f"{case.workload}, {case.contender}, {len(keys)} requests")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="how many are stored (%(default)s)")
    parser.add_argument("--rounds", type=int, default=80, help="visits to each contender (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    parser.add_argument("--profile", choices=WORKLOADS, help="profile this workload instead")
    parser.add_argument("--contender", choices=(SQLITE, MEMORY, WSGI), default=SQLITE, help="what to profile")
    options = parser.parse_args()
    if options.sessions < 1 or options.rounds < 2:
        parser.error("at least 1 session and 2 rounds are needed")

    logging.getLogger("fluidauth").setLevel(logging.ERROR)  # MemoryStore warns of production
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessions = fill(options.sessions, folder)
        with cases(sessions, folder) as found:
            if options.profile:
                profile(next(c for c in found if c.name == (options.profile, options.contender)))
                return 0
            rows = asyncio.run(measure(found, options.rounds))
    about = {"sessions": options.sessions, "rounds": options.rounds, **environment()}
    for key, value in about.items():
        print(f"{key}: {value}")
    show(rows)
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": [asdict(r) for r in rows]}, indent=2) + "\n")
    return int(options.check and any(r.missed for r in rows))


if __name__ == "__main__":
    sys.exit(main())
