"""What a session costs in its real life: pages of many requests, which several processes answer."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from rich.table import Table

from ..crew import Member
from ..peer import Peer
from ..run import Row, Run, Tell, peer_of
from ..sheets import Peers, Sheet, is_ours, panels_of

REQUESTS = 20  # of a page; one of them changes a key
PROCESSES = 4
RATE = 5.0  # pages a second
TAKES = 0.25  # seconds from the first request of a page to its last: six at a time, 70 ms for each
ACTIVE = 200  # sessions that ask for pages
WARM, COUNTED = 0.5, 2.0  # seconds before the pages that are timed, and after them
TOGETHER = 9  # peers
BARE = 3  # one page in so many has a twin that is asked of the bare application
TITLE = (
    f"A session through its real life: {REQUESTS} requests a page, {PROCESSES} processes,"
    f" {RATE:g} pages a second, one change a page; ms a page"
)
CAPTION = (
    "all requests of a page together; no SELECT: part of the reads for which SQLite was asked nothing;"
    " sessions in the memory of one process are left out"
)


class Visit(NamedTuple):
    """One request of a page."""

    at: float
    """Seconds after the first page may come."""
    page: int
    bare: bool
    process: int
    path: str
    session: int


class Plan(NamedTuple):
    """The same pages for each peer."""

    visits: list[Visit]
    timed: set[int]
    counted: set[int]
    """Pages whose SELECTs are counted. They are not timed, because counting takes time."""
    count_from: float


def plan(seconds: float) -> Plan:
    """Return pages that come whether or not those before are answered, *seconds* of them timed.

    As many come each second, at random moments. Some have a twin for the bare application, which takes
    the same at any time.
    """
    count_from = WARM + seconds
    visits: list[Visit] = []
    timed, counted = set(), set()
    for page in range(int((count_from + COUNTED) * RATE)):
        at = (page + random.random()) / RATE
        session, change = random.randrange(ACTIVE), random.randrange(REQUESTS)
        for bare in (False, True) if page % BARE == 0 else (False,):
            times = [at, *(at + random.uniform(0, TAKES) for _ in range(REQUESTS - 1))]
            visits += [
                Visit(when, page, bare, random.randrange(PROCESSES), path, session)
                for number, when in enumerate(times)
                for path in ("change" if number == change else "read",)
            ]
        if WARM <= at < count_from - TAKES:
            timed.add(page)
        elif at >= count_from:
            counted.add(page)
    return Plan(sorted(visits), timed, counted, count_from)


class Service:
    """The processes of one peer, and what their requests have taken."""

    def __init__(self, run: Run, member: Member, processes: list[Member]) -> None:
        self.peer = peer_of(member)
        self.processes = processes
        self._run = run
        self._cookies: list[str] = member.do("sample", count=ACTIVE)
        self._took: dict[tuple[bool, int], float] = defaultdict(float)
        self._reads: list[bool] = []
        """Of each read that was counted, whether it did without a SELECT."""
        self._late: list[float] = []

    def arrive(self) -> None:
        """Read each active session once. A first read after minutes may be one that writes."""
        for cookie in self._cookies:
            asked = {"path": "read", "query": "", "cookie": cookie, "bare": False}
            self._run.ask(random.choice(self.processes), "serve", **asked)

    def count_selects(self) -> None:
        for each in self.processes:
            self._run.ask(each, "count_selects")

    def serve(self, visit: Visit, is_counted: bool, late: float) -> None:
        query = str(random.getrandbits(40))  # no value is set twice
        cookie = self._cookies[visit.session % len(self._cookies)]
        asked = {"path": visit.path, "query": query, "cookie": cookie, "bare": visit.bare}
        found = self._run.ask(self.processes[visit.process], "serve", **asked)
        if found is None:
            return
        took, selects = found
        self._took[visit.bare, visit.page] += took
        self._late.append(late)
        if is_counted and visit.path == "read" and not visit.bare:
            self._reads.append(not selects)

    def row(self, timed: set[int]) -> Row:
        """Return times in ms, and the part of the reads without a SELECT, None where there is no SQLite."""
        found: Row = {"peer": self.peer.name, "pages": len(timed)}
        for kind, bare in (("page", False), ("bare", True)):
            took = [
                each * 1e3
                for (is_bare, page), each in self._took.items()
                if is_bare is bare and page in timed
            ]
            found[kind] = {"median": statistics.median(took), "p95": p95(took)}
        has_selects = self.peer.traits.data == "SQLite"
        found["without_select"] = statistics.mean(self._reads) if has_selects and self._reads else None
        found["late"] = p95(self._late) * 1e3
        return found


def p95(figures: list[float]) -> float:
    """Return what 19 in 20 of *figures* do not exceed; of a single one, that one."""
    if len(figures) == 1:
        return figures[0]
    return statistics.quantiles(figures, n=20, method="inclusive")[-1]


def ask(run: Run, fleet: list[Member]) -> list[Row]:
    """Let some peers at a time serve the same pages, each by processes of its own; return medians.

    One request is under way at a time. So none of them waits for a core, whatever the peers are.
    """
    members = [member for member in fleet if (peer := peer_of(member)) in run.leading and peer.shares]
    pages = plan(run.budget.page_seconds)
    rows: list[Row] = []
    mixed = random.sample(members, len(members))
    with run.stage("page", len(members)) as tell:
        for start in range(0, len(mixed), TOGETHER):
            with serving(run, mixed[start : start + TOGETHER], tell) as services:
                live(services, pages)
                rows += [each.row(pages.timed) for each in services if each.peer.name not in run.failed]
            tell("next ones", len(services))
    order = [member.name for member in members]
    return sorted(rows, key=lambda row: order.index(row["peer"]))


@contextmanager
def serving(run: Run, members: list[Member], tell: Tell) -> Iterator[list[Service]]:
    """Start the processes over what *members* have stored; they have ended with the block."""
    started: list[Member] = []

    def start(member: Member) -> Member | None:
        tell(f"{member.name} starts")
        with run.forgiving(member.name):
            started.append(run.crew.sibling(member))
            return started[-1]
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            wanted = [member for member in members for _ in range(PROCESSES)]
            processes = list(pool.map(start, wanted))
            tell("pages come and go")
            own = [
                [each for each in processes[number * PROCESSES :][:PROCESSES] if each]
                for number in range(len(members))
            ]
            yield [
                Service(run, member, found)
                for member, found in zip(members, own, strict=True)
                if len(found) == PROCESSES
            ]
        finally:
            list(pool.map(Member.stop, started))


def live(services: list[Service], pages: Plan) -> None:
    """Send each request at its time, or as soon as what was due before it is answered."""
    for service in services:
        service.arrive()
    shifts = {service: random.uniform(0, 1 / RATE) for service in services}  # so that they do not meet
    due: list[tuple[float, Service, Visit | None]] = [
        (shift + visit.at, service, visit) for service, shift in shifts.items() for visit in pages.visits
    ]
    due += [(shift + pages.count_from, service, None) for service, shift in shifts.items()]
    start = time.monotonic()
    for at, service, visit in sorted(due, key=lambda each: each[0]):
        wait = start + at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        if visit is None:
            service.count_selects()
        else:
            service.serve(visit, visit.page in pages.counted, max(-wait, 0))


def table(rows: list[Row], peers: list[Peer]) -> Table:
    late = max((row["late"] for row in rows), default=0)
    found = Table(title=TITLE, title_justify="left", caption=f"{CAPTION}; requests came {late:.0f} ms late")
    for head in ("peer", "pages", "median", "p95", "bare median", "bare p95", "no SELECT"):
        found.add_column(head, justify="left" if head == "peer" else "right")
    for row in rows:
        times = [f"{row[kind][part]:.1f}" for kind in ("page", "bare") for part in ("median", "p95")]
        share = row["without_select"]
        found.add_row(row["peer"], str(row["pages"]), *times, "–" if share is None else f"{share:.0%}")
    return found


def draw(rows: list[Row], peers: Peers) -> Sheet:
    """Show what a page takes over the bare application, and how many reads SQLite had nothing to do with."""
    values = {
        row["peer"]: tuple(row["page"][part] - row["bare"]["median"] for part in ("median", "p95"))
        for row in rows
    }
    shares = [row["without_select"] for row in rows if is_ours(row["peer"])]
    known = [share for share in shares if share is not None]
    notes = [
        f"Milliseconds of {REQUESTS} requests, over the bare application.",
        f"{PROCESSES} processes, {RATE:g} pages a second, one change a page.",
    ]
    if known:
        low, high = f"{min(known):.0%}", f"{max(known):.0%}"
        part = low if low == high else f"{low} to {high}"
        notes.append(f"fluidauth read {part} without a SELECT.")
    return Sheet(
        "What a session costs a page",
        tuple(notes),
        ("median", "p95"),
        panels_of(values, peers),
        lambda value: f"{value:,.1f}",
    )
