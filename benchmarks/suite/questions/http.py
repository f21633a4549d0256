"""How many requests a second two worker processes answer over HTTP, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from rich.table import Table

from ..crew import ROOT, Member, free_port
from ..peer import Peer
from ..run import Row, Run, peer_of
from ..sheets import Peers, Sheet, panels_of, upside_down

TITLE = "Over HTTP, two worker processes, 32 clients (four requests in five read a key, one changes one)"
SESSIONS = 2_000
CLIENTS = 32
SHARE = 0.2  # of the requests change a key
START_TIMEOUT = 30  # seconds
COMMANDS = {
    "ASGI": "uvicorn --host 127.0.0.1 --port {port} --workers 2 --no-access-log --log-level error",
    "WSGI": "gunicorn --bind 127.0.0.1:{port} --workers 2 --log-level error",
}


def ask(run: Run) -> list[Row]:
    """Return requests a second and waits, with sessions and without, of peers that processes share."""
    budget = run.budget
    peers = [peer for peer in run.leading if peer.shares]
    rows = []
    with run.stage("over HTTP", len(peers)) as tell:
        for peer in random.sample(peers, len(peers)):
            tell(peer.name)
            with run.forgiving(peer.name), run.crew.member(peer) as member:
                member.do("populate", count=SESSIONS)
                cookies = member.do("sample", count=SESSIONS)
                member.stop()
                rows += over_http(member, cookies, budget.http_seconds, budget.http_rounds)
            tell(peer.name, 1)
    order = [peer.name for peer in peers]
    return sorted(rows, key=lambda row: order.index(row["peer"]))


def over_http(member: Member, cookies: list[str], seconds: float, rounds: int) -> list[Row]:
    """Load the server of one peer, with sessions and without in turns; return medians."""
    figures: dict[str, list[dict[str, float]]] = defaultdict(list)
    with serving(member, "sessions") as sessions, serving(member, "bare") as bare:
        ports = {"sessions": sessions, "bare": bare}
        for port in ports.values():
            asyncio.run(load(port, cookies, 0.3))  # warms up
        for _ in range(rounds):
            for kind in random.sample(list(ports), 2):
                figures[kind].append(asyncio.run(load(ports[kind], cookies, seconds)))
    found: Row = {"peer": member.name, "server": COMMANDS[peer_of(member).protocol].split()[0]}
    for kind, measured in figures.items():
        found[kind] = {part: statistics.median(each[part] for each in measured) for part in measured[0]}
    return [found]


@contextmanager
def serving(member: Member, kind: str) -> Iterator[int]:
    """Run a server with two workers over what *member* stored; give its port."""
    peer, port = peer_of(member), free_port()
    place = {"folder": str(member.folder), "secrets": member.secrets, **member.servers}
    environ = {
        "BENCHMARK_PEER": peer.name,
        "BENCHMARK_KIND": kind,
        "BENCHMARK_PLACE": json.dumps(place),
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(member.folder),  # gunicorn puts a socket there
    }
    command = [
        sys.executable,
        "-m",
        *COMMANDS[peer.protocol].format(port=port).split(),
        "benchmarks.suite.serve:app",
    ]
    with (member.folder / f"{kind}.log").open("w+") as log:
        process = subprocess.Popen(
            command, env=os.environ | environ, stdout=log, stderr=log, cwd=member.folder
        )
        try:
            end = time.monotonic() + START_TIMEOUT
            while not asyncio.run(_answers(port)):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"the server of {peer.name} does not start: {log.read()[-2000:]}")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def load(port: int, cookies: list[str], seconds: float) -> dict[str, float]:
    """Let clients ask one after another, each request on a connection of its own.

    gunicorn's workers close connections in any case; so all are compared alike.
    """
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    start = loop.time()
    end = start + seconds

    async def client() -> None:
        while (now := loop.time()) < end:
            is_change = random.random() < SHARE
            path = f"/change?{random.getrandbits(40)}" if is_change else "/read"
            answer = await get(port, path, random.choice(cookies))
            if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
                raise RuntimeError(f"{path} was answered with {answer[:300]!r}")
            waits.append(loop.time() - now)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    cuts = statistics.quantiles(waits, n=100, method="inclusive")
    return {"rate": len(waits) / (loop.time() - start), "p50": cuts[49], "p99": cuts[98]}


async def get(port: int, path: str, cookie: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # Cookies are for https alone; both servers believe a proxy on loopback that says so.
    head = (
        f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n"
    )
    writer.write(f"{head}Cookie: {cookie}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def _answers(port: int) -> bool:
    try:
        return b" 200 " in await get(port, "/untouched", "none=none")
    except OSError:
        return False


def table(rows: list[Row], peers: list[Peer]) -> Table:
    found = Table(
        title=TITLE, title_justify="left", caption="p50 and p99 in ms; bare: the same server without sessions"
    )
    for head in ("peer", "server", "requests/s", "of bare", "p50", "p99", "bare p50", "bare p99"):
        found.add_column(head, justify="left" if head in ("peer", "server") else "right")
    for row in rows:
        ours, bare = row["sessions"], row["bare"]
        waits = [f"{each[part] * 1e3:.1f}" for each in (ours, bare) for part in ("p50", "p99")]
        share = f"{ours['rate'] / bare['rate']:.0%}"
        found.add_row(row["peer"], row["server"], f"{ours['rate']:,.0f}", share, *waits)
    return found


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show how much is left of the requests a second of the bare application."""
    shares = {row["peer"]: (row["sessions"]["rate"] / row["bare"]["rate"] * 100,) for row in rows}
    return Sheet(
        "Requests a second over HTTP",
        ("In % of the same server without sessions; longer is", "better. WSGI on gunicorn, ASGI on uvicorn."),
        ("",),
        upside_down(panels_of(shares, peers)),
        lambda share: f"{share:.0f} %",
        full=100,
    )
