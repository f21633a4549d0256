"""The tail over HTTP: how long reads and changes wait, next to the bare server and to one fsync.

Two workers serve 32 clients, as in the suite's question ``http``. The load alternates between the server with
sessions and the one without. A process of its own times one fsync during the first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.suite.crew import Crew, Member, selected
from benchmarks.suite.questions.http import CLIENTS, SESSIONS, SHARE, get, serving

BARE_TIMES = 2  # how often the bare server's p99 fits into ours, after one fsync
WARM_UP = 0.3  # seconds
SLOW_FSYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slowly(const char *name, int fd) {
    int (*found)(int) = dlsym(RTLD_NEXT, name);
    usleep(MICROSECONDS);
    return found(fd);
}
int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
"""
TIME_FSYNC = """
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
while True:
    os.write(file, os.urandom(4096))
    start = time.perf_counter()
    os.fsync(file)
    print(time.perf_counter() - start, flush=True)
    time.sleep(0.01)
"""
Waits = dict[str, list[float]]


async def load(port: int, cookies: Sequence[str], seconds: float) -> Waits:
    """Let clients ask one request after another; return how long each took, by its kind."""
    loop = asyncio.get_running_loop()
    waits: Waits = defaultdict(list)
    end = loop.time() + seconds

    async def client() -> None:
        while (start := loop.time()) < end:
            is_change = random.random() < SHARE
            path = f"/change?{random.getrandbits(40)}" if is_change else "/read"
            answer = await get(port, path, random.choice(cookies))
            if b" 200 " not in answer[:16]:
                raise RuntimeError(f"{path} was answered with {answer[:300]!r}")
            for kind in ("all", "changes" if is_change else "reads"):
                waits[kind].append(loop.time() - start)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return waits


@contextmanager
def timing_fsync(path: Path, found: list[float]) -> Iterator[None]:
    """Time one fsync after another on the file *path* during the block."""
    command = [sys.executable, "-c", TIME_FSYNC, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.terminate()
            lines = process.communicate()[0].splitlines()
    found += map(float, lines[:-1])  # the last one may be cut off


@contextmanager
def slow_disk(milliseconds: float, folder: Path) -> Iterator[None]:
    """Let each fsync of processes that begin in the block take so much longer."""
    before = dict(os.environ)
    if milliseconds:
        library = folder / "slow_fsync.so"
        command = f"cc -x c - -shared -fPIC -ldl -DMICROSECONDS={milliseconds * 1000:.0f} -o {library}"
        subprocess.run(command.split(), input=SLOW_FSYNC, text=True, check=True)
        os.environ["LD_PRELOAD"] = str(library)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(member: Member, folder: Path, rounds: int, seconds: float, slow: float) -> dict[str, Waits]:
    """Return the waits with sessions and without, and those for one fsync."""
    cookies = member.do("sample", count=SESSIONS)
    member.stop()
    found: dict[str, Waits] = {kind: defaultdict(list) for kind in ("sessions", "bare", "fsync")}
    with ExitStack() as stack:
        ports = {"bare": stack.enter_context(serving(member, "bare"))}
        with slow_disk(slow, folder):
            ports["sessions"] = stack.enter_context(serving(member, "sessions"))
            for port in ports.values():
                asyncio.run(load(port, cookies, WARM_UP))
            for kind in [kind for _ in range(rounds) for kind in random.sample(list(ports), 2)]:
                with ExitStack() as meanwhile:
                    if kind == "sessions":
                        meanwhile.enter_context(timing_fsync(folder / "probe", found["fsync"]["all"]))
                    for part, waits in asyncio.run(load(ports[kind], cookies, seconds)).items():
                        found[kind][part] += waits
    return found


def show(found: dict[str, Waits]) -> bool:
    """Print medians and tails in ms; return whether the tail is as short as it should be."""
    print(f"{'':20}{'p50':>8}{'p95':>8}{'p99':>8}{'longest':>9}   (ms)")
    tails = {}
    for kind, parts in found.items():
        for part, waits in parts.items():
            cuts = statistics.quantiles(waits, n=100, method="inclusive")
            tails[kind, part] = cuts[98]
            figures = "".join(f"{cuts[place] * 1e3:8.1f}" for place in (49, 94, 98))
            print(f"{f'{kind}, {part}':20}{figures}{max(waits) * 1e3:9.1f}")
    reached, limit = tails["sessions", "all"], BARE_TIMES * tails["bare", "all"] + tails["fsync", "all"]
    word = "ok" if reached <= limit else "MISSED"
    print(f"p99 {reached * 1e3:.1f} ms, at most {BARE_TIMES} times the bare one and an fsync: ", end="")
    print(f"{limit * 1e3:.1f} [{word}]")
    return reached <= limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer", default="fluidauth SQLite, ASGI default", help="as in the suite (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=8, help="of each server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each round (%(default)s)")
    parser.add_argument("--slow", type=float, default=0.0, help="ms added to each fsync; needs a C compiler")
    parser.add_argument("--check", action="store_true", help="end with 1 if the target is missed")
    options = parser.parse_args()
    [peer] = selected([options.peer])
    with Crew() as crew, tempfile.TemporaryDirectory() as name, crew.member(peer) as member:
        member.do("populate", count=SESSIONS)
        found = measure(member, Path(name), options.rounds, options.seconds, options.slow)
    return int(not show(found) and options.check)


if __name__ == "__main__":
    sys.exit(main())
