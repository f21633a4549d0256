"""What a service needs for its sessions: load in; memory, disk, connections, network and nodes out.

Plans by the figures of ``results/capacity.json``, which ``benchmarks.capacity`` measured, with half
of each server left free. Needs Python alone; without options it plans the three of ``docs/scale.md``:

    python -m benchmarks.scale
    python -m benchmarks.scale --sessions 5000000 --requests 20000 --changes 2000
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

CAPACITY = Path(__file__).parent / "results" / "capacity.json"

FREE = 2  # times what is needed: for peaks, and for what a node that died leaves to the others
TOUCH_INTERVAL = 180  # seconds: a session in use writes its expiry that often (idle timeout / 20)
REDIS_ROOM = 2  # times its data that Redis may need while it rewrites its file
DEAD_ROWS = 1.5  # times its tables that PostgreSQL may need between two vacuums
OWN_LOG = 300  # seconds of PostgreSQL's log that are kept, between two checkpoints
MOST_PRIMARIES = 1000  # the limit that the documentation of Redis Cluster states

UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3))


@dataclass(frozen=True)
class Load:
    """What a service does, and what it runs on."""

    sessions: int
    """Stored at the same time."""
    requests: float
    """A second, that look at their session."""
    changes: float
    """A second, among them logins and logouts."""
    active: float = 0.1
    """The part of the sessions that is in use at the same time."""
    processes: int = 8
    """Of the application, asynchronous."""
    threads: int = 0
    """In each, if it is synchronous."""
    node_memory: float = 16e9
    """Bytes of a Redis server; it computes on one core."""
    node_cores: int = 8
    """Of a PostgreSQL server."""
    payload: int = 0
    """Bytes of a session above the 288 of fields that were measured."""

    @property
    def writes(self) -> float:
        """A second, with those that only move the expiry of a session in use."""
        reads = max(0.0, self.requests - self.changes)
        return self.changes + min(reads, self.sessions * self.active / TOUCH_INTERVAL)


@dataclass(frozen=True)
class Plan:
    """What one store needs; bytes, and bytes a second."""

    store: str
    memory: float
    disk: float
    log: float
    network: float
    connections: int
    cores: float
    nodes: int
    """Servers, replicas included; 0 if this store does not carry the load."""
    remark: str = ""


def plans(load: Load, capacity: dict[str, dict[str, float]]) -> list[Plan]:
    return [of_sqlite(load, capacity["sqlite"]), of_postgres(load, capacity), of_redis(load, capacity)]


def of_sqlite(load: Load, cost: dict[str, float]) -> Plan:
    """One machine, that of the application: no network, no connections."""
    writes = cost["changes_a_second"] / FREE
    fits = load.writes <= writes
    disk = load.sessions * (cost["disk"] + load.payload)
    remark = "" if fits else f"one file takes {writes:,.0f} writes a second"
    return Plan("SQLite", 0.0, disk, 0.0, 0.0, 0, 0.0, int(fits), remark)


def of_postgres(load: Load, capacity: dict[str, dict[str, float]]) -> Plan:
    """A primary and a standby; sessions are read and written on the primary alone."""
    cost = capacity["postgres"]
    data = load.sessions * (cost["disk"] + load.payload)
    log = load.writes * (cost["log_bytes"] + load.payload)
    connections = load.processes * (load.threads or 4)
    cores = cores_of(load, cost)
    fits = cores * FREE <= load.node_cores
    return Plan(
        "PostgreSQL",
        data + connections * cost["connection"],
        data * DEAD_ROWS + log * OWN_LOG,
        log,
        network_of(load, cost) + log,
        connections,
        cores,
        2 if fits else 0,
        "" if fits else f"one primary has {load.node_cores} cores",
    )


def of_redis(load: Load, capacity: dict[str, dict[str, float]]) -> Plan:
    """One primary, or a cluster; each primary with a replica."""
    cost = capacity["redis"]
    data = load.sessions * (cost["memory"] + load.payload)
    cores = cores_of(load, cost)
    primaries = max(
        math.ceil(data * REDIS_ROOM / load.node_memory),
        math.ceil(cores * FREE),
    )
    if primaries > 1:
        primaries = max(3, primaries)  # Redis Cluster begins there
    fits = primaries <= MOST_PRIMARIES
    log = load.writes * (cost["log_bytes"] + load.payload)
    return Plan(
        "Redis" if primaries == 1 else "Redis Cluster",
        data,
        load.sessions * (cost["disk"] + load.payload) * REDIS_ROOM,
        log,
        network_of(load, cost) + log,
        load.processes * (load.threads or 1) * primaries,
        cores,
        2 * primaries if fits else 0,
        "" if fits else f"a cluster has at most {MOST_PRIMARIES} primaries",
    )


def cores_of(load: Load, cost: dict[str, float]) -> float:
    """Return how many cores of the servers are busy."""
    return (load.requests * cost["read_us"] + load.writes * cost["change_us"]) / 1e6


def network_of(load: Load, cost: dict[str, float]) -> float:
    """Return the bytes a second between the application and the servers, both ways."""
    calls = load.requests * cost["read_bytes"] + load.writes * cost["change_bytes"]
    return calls + (load.requests + load.writes) * load.payload


# -- told ----------------------------------------------------------------------------------

WORKED = {
    "10 thousand": Load(10_000, 100, 20, processes=4),
    "1 million": Load(1_000_000, 5_000, 500, processes=16),
    "100 million": Load(100_000_000, 250_000, 25_000, processes=600),
}
COLUMNS = ("store", "nodes", "memory", "disk", "log", "network", "connections", "cores busy")


def table(load: Load, capacity: dict[str, dict[str, float]]) -> str:
    """Return the plans for *load* as a table of Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for plan in plans(load, capacity):
        if not plan.nodes:
            lines.append(f"| {plan.store} | no: {plan.remark} |" + " |" * (len(COLUMNS) - 2))
            continue
        rates = [f"{size(rate)}/s" if rate else "–" for rate in (plan.log, plan.network)]
        cells = [
            plan.store,
            f"{plan.nodes:,}",
            size(plan.memory) if plan.memory else "–",
            size(plan.disk),
            *rates,
            f"{plan.connections:,}" if plan.connections else "–",
            f"{plan.cores:.2g}" if plan.cores else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def size(number: float) -> str:
    """Return bytes as people read them."""
    unit, one = next(((unit, one) for unit, one in UNITS if number >= one), ("bytes", 1.0))
    return f"{number / one:.3g} {unit}"


def sentence(load: Load) -> str:
    return (
        f"{load.sessions:,} sessions, {load.requests:,.0f} requests a second, {load.changes:,.0f} of them"
        f" changes: {load.writes:,.0f} writes a second with the touches of {load.active:.0%} in use;"
        f" {load.processes} processes."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sessions", type=int, help="stored at the same time")
    parser.add_argument("--requests", type=float, help="a second")
    parser.add_argument("--changes", type=float, help="a second, logins and logouts among them")
    parser.add_argument("--active", type=float, default=0.1, help="part of the sessions in use (0.1)")
    parser.add_argument("--processes", type=int, default=8, help="of the application (8)")
    parser.add_argument("--threads", type=int, default=0, help="in each; 0 for asynchronous ones (0)")
    parser.add_argument("--node-memory", type=float, default=16, help="GB of a Redis server (16)")
    parser.add_argument("--node-cores", type=int, default=8, help="cores of a PostgreSQL server (8)")
    parser.add_argument("--payload", type=int, default=0, help="bytes of a session above 288 of fields (0)")
    given = vars(parser.parse_args())
    capacity = json.loads(CAPACITY.read_text(encoding="utf-8"))
    loads = list(WORKED.values())
    if any(given[name] is not None for name in ("sessions", "requests", "changes")):
        if None in (given["sessions"], given["requests"], given["changes"]):
            parser.error("--sessions, --requests and --changes go together")
        loads = [Load(**given | {"node_memory": given["node_memory"] * 1e9})]
    for load in loads:
        print(f"{sentence(load)}\n\n{table(load, capacity)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
