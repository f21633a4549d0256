"""What the command line takes for a store of many sessions: ``sessions copy``, ``stats`` and ``list --sort``.

    python -m benchmarks.many_sessions --sessions 50000

The servers are real ones on loopback. A file with that many sessions is copied to each of them without a
limit of the rate, and the commands are run there as processes of their own, as a person would.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from fluidauth import SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from harness.servers.postgres import OwnPostgres
from harness.servers.redis import OwnRedis

PAGE = 1_000
DATA = {"text": "x" * 270}  # 288 bytes of fields, as in the suite


def fill(path: Path, secret: str, count: int) -> None:
    """Put *count* sessions into the file at *path*, one in three of nobody."""
    with closing(SQLiteStore(path, durability="normal")) as store:
        engine = SessionEngine(secret, store)
        for number in range(count):
            engine.create_session(f"user-{number // 2}" if number % 3 else None, DATA)


def seconds_of(secret: str, *arguments: str) -> float:
    """Return how long ``fluidauth sessions`` takes with *arguments*."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fluidauth", "sessions", *arguments],
        env={**os.environ, "FLUIDAUTH_SECRET": secret},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=50_000)
    count = parser.parse_args().sessions
    secret = new_secret()
    with tempfile.TemporaryDirectory() as folder:
        redis, postgres = OwnRedis("--appendonly", "yes"), OwnPostgres()
        PostgresStore(postgres.url).create_schema()
        for name, url in (("Redis", redis.url), ("PostgreSQL", postgres.url)):
            path = Path(folder) / f"{name}.db"
            fill(path, secret, count)
            took = seconds_of(secret, "copy", "--rate", "0", "--store", f"sqlite:///{path} -> {url}")
            print(f"{name:<11} copy  {count / took:8,.0f} sessions a second ({took:.2f} s)")
            for command in (("stats",), ("list", "--sort", "created"), ("list",)):
                took = seconds_of(secret, *command, "--store", url)
                print(f"{name:<11} {' '.join(command):<20} {took:6.2f} s")
        redis.close()
        postgres.stop()


if __name__ == "__main__":
    main()
