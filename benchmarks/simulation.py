"""The load of ``docs/scale.md`` with a million sessions, on a real Redis: what was planned, and what came.

Fills the server, has the planned reads and writes arrive at their rates, whether or not the last
ones were answered, and counts what the server took. Ends with 1 where that is more than planned.

    .venv-bench/bin/python -m benchmarks.simulation
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import redis

from benchmarks import capacity, scale
from benchmarks.suite.crew import redis_server
from fluidauth.stores import AsyncSessionStore
from fluidauth.stores.redis import RedisStore

SECONDS = 20.0
BEAT = 0.005  # seconds between two arrivals of requests
SLACK = 1.15  # times what was planned


class Taken(NamedTuple):
    """What a server has used up since it began."""

    cores: float
    network: float
    log: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sessions", type=int, default=scale.WORKED["1 million"].sessions)
    load = scale.WORKED["1 million"]
    load = scale.Load(**vars(load) | {"sessions": parser.parse_args().sessions})
    costs = json.loads(scale.CAPACITY.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="sessions-") as folder, redis_server(Path(folder)) as url:
        found, waits = of_redis(url, load)
    plan = scale.of_redis(load, costs)
    # No replica here: the log travels to nobody.
    planned = Taken(plan.cores, plan.network - plan.log, plan.log)
    missed = tell("memory", plan.memory, found[0])
    for name, expected, got in zip(Taken._fields, planned, found[1], strict=True):
        missed += tell(name, expected, got)
    print(f"waits     median {statistics.median(waits) * 1e3:.2f} ms, 99 % below {quantile(waits):.2f} ms")
    return int(missed > 0)


def of_redis(url: str, load: scale.Load) -> tuple[tuple[float, Taken], list[float]]:
    """Return the memory, what the server took a second, and how long each call waited."""
    with closing(RedisStore(url)) as store, redis.Redis.from_url(url) as client:

        def taken() -> Taken:
            said: dict[str, Any] = client.info()
            computing = float(said["used_cpu_user"]) + float(said["used_cpu_sys"])
            passed = float(said["total_net_input_bytes"]) + float(said["total_net_output_bytes"])
            return Taken(computing, passed, float(said.get("aof_current_size", 0)))

        empty = client.info("memory")["used_memory"]
        for count in capacity.filled(store, [load.sessions]):
            print(f"{count:,} sessions stored")
        memory = client.info("memory")["used_memory"] - empty
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.config_set("appendonly", "yes")
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.1)
        handles = [record.handle for record in store.scan(None, 50_000)]
        before, start = taken(), time.monotonic()
        waits = asyncio.run(arrive(store.async_twin(), handles, load))
        lasted = time.monotonic() - start
        after = taken()
    rates = Taken(*((now - then) / lasted for now, then in zip(after, before, strict=True)))
    return (float(memory), rates), waits


async def arrive(store: AsyncSessionStore, handles: list[str], load: scale.Load) -> list[float]:
    """Have requests come at their rate for ``SECONDS``, open loop; return how long each waited."""
    waits: list[float] = []
    writing = load.writes / load.requests

    async def request(due: float) -> None:
        record = await store.get(random.choice(handles))
        assert record is not None
        if random.random() < writing:
            await store.update(capacity.changed(record))  # or lost to another: it has been asked for
        waits.append(time.monotonic() - due)

    start, sent, tasks = time.monotonic(), 0, set[asyncio.Task[None]]()
    while (passed := time.monotonic() - start) < SECONDS:
        for number in range(sent, int(passed * load.requests)):
            task = asyncio.create_task(request(start + number / load.requests))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent = number + 1
        await asyncio.sleep(BEAT)
    await asyncio.gather(*tasks)
    await store.close()
    return waits


def tell(name: str, planned: float, found: float) -> int:
    """Print both; return 1 if more came than was planned for."""
    much = found > planned * SLACK
    shown = [f"{value:.3g}" if name == "cores" else scale.size(value) for value in (planned, found)]
    print(f"{name:9} planned {shown[0]:>8}, found {shown[1]:>8}{'  MORE' if much else ''}")
    return int(much)


def quantile(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=100)[-1] * 1e3


if __name__ == "__main__":
    sys.exit(main())
