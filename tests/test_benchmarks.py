"""The figures of the benchmark suite: what is said of them, and what is refused.

The adapters need the libraries that they measure: ``python -m benchmarks.suite check`` tries
those, in an environment of its own (see ``tools/check.py``).
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import sqlite3
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.suite import __main__ as suite
from benchmarks.suite import client, compare, figures, floors, targets, trials
from benchmarks.suite.crew import Crew, WorkerFailed, selected
from benchmarks.suite.peer import FIELDS_BYTES, Peer, Place, visitors
from benchmarks.suite.peers import all_peers
from benchmarks.suite.questions import page
from benchmarks.suite.run import FULL, Run
from benchmarks.suite.selects import Selects
from benchmarks.suite.stores import LIFETIME
from benchmarks.suite.worker import HOT, WORKLOADS, Worker
from fluidauth.keys import new_secret

OURS = [name for name in all_peers() if name.startswith("fluidauth")]
TRIED = (
    *(
        "fluidauth SQLite, ASGI default",
        "fluidauth PostgreSQL, WSGI default",
        "fluidauth Redis, ASGI default",
    ),
    *("fluidauth in Flask SQLite, WSGI tuned", "fluidauth in Django SQLite, ASGI tuned"),
)
"""Each shared store, each kind of adapter. The part "benchmarks" of `make check` tries all in short."""
MEMORY = all_peers()["fluidauth memory, ASGI default"]


# -- figures -----------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_quartiles_lie_around_the_median(values: list[float]) -> None:
    lower, median, upper = figures.spread(values)
    assert lower <= median <= upper
    assert median == pytest.approx(statistics.median(values))


@pytest.mark.parametrize(("values", "noisy"), [([9, 10, 11], False), ([5, 10, 15], True), ([-5, 1, 5], True)])
def test_quartiles_far_apart_are_marked(values: list[float], noisy: bool) -> None:
    assert figures.spread(values).noisy is noisy
    assert figures.spread(values).told()["noise"] is noisy


@given(st.lists(st.floats(0.5, 2), min_size=2, max_size=30), st.floats(0.5, 0.999))
def test_an_interval_holds_the_median_of_its_figures(values: list[float], confidence: float) -> None:
    lower, upper, sure = figures.interval(values, confidence)
    assert min(values) <= lower <= statistics.median(values) <= upper <= max(values)
    assert sure >= min(confidence, 1 - 2 * 0.5 ** len(values))


def test_an_interval_is_as_sure_as_it_says() -> None:
    """Drawn many times, it misses the true median about as often as promised, not more."""
    drawn = random.Random(1)
    trials, missed = 4000, 0
    for _ in range(trials):
        lower, upper, sure = figures.interval([drawn.expovariate(1) for _ in range(10)], 0.95)
        missed += not lower <= 0.6931 <= upper
    assert sure == pytest.approx(0.978, abs=0.001)
    assert missed / trials == pytest.approx(1 - sure, abs=0.01)


# -- comparing with an earlier revision ------------------------------------------------------


@pytest.mark.parametrize(
    ("lower", "upper", "word"),
    [(1.01, 1.2, "slower"), (0.8, 0.99, "faster"), (0.99, 1.01, "no difference shown")],
)
def test_a_verdict_says_no_more_than_its_interval(lower: float, upper: float, word: str) -> None:
    assert compare.Verdict("peer", "read", 1.0, lower, upper, 0.99).word == word


def test_all_verdicts_of_a_run_are_right_as_surely_as_promised() -> None:
    """However many workloads there are: as many pairs as are made by default are enough for each."""
    generations = next(each.default for each in suite.compare.params if each.name == "generations")
    assert isinstance(generations, int)
    _, _, sure = figures.interval(range(generations), compare.CONFIDENCE)

    verdicts = len(compare.PEERS) * len(WORKLOADS)

    assert sure >= compare.CONFIDENCE
    assert verdicts * (1 - sure) <= compare.WRONG <= 0.05


def test_a_revision_is_taken_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as it was, whatever the working copy holds; another name is refused with git's words."""
    source = tmp_path / "source"
    (source / "fluidauth").mkdir(parents=True)
    (source / "fluidauth" / "__init__.py").write_text("WHEN = 'then'\n")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "then"]):
        subprocess.run(["git", "-C", str(source), *command], check=True)
    (source / "fluidauth" / "__init__.py").write_text("WHEN = 'now'\n")
    monkeypatch.setattr(compare, "ROOT", source)

    (tmp_path / "then").mkdir()
    tree = compare.checkout("HEAD", tmp_path / "then")

    assert (tree / "fluidauth" / "__init__.py").read_text() == "WHEN = 'then'\n"
    with pytest.raises(compare.NoSuchRevision, match="no-such-revision"):
        compare.checkout("no-such-revision", tmp_path)
    with pytest.raises(compare.NoSuchRevision, match="--output"):
        compare.checkout("--output=elsewhere", tmp_path)


# -- targets ------------------------------------------------------------------------------------


def results(factor: float) -> dict[str, Any]:
    """Return a run in which fluidauth costs *factor* times what it may, and serves so many times less."""
    beside = {"SQLite read": 8.0, "SQLite write": 20.0}
    rows: list[dict[str, Any]] = []
    for target in targets.TARGETS:
        best = 1000.0 if target.is_rate else 10.0
        worse = best / 9.9 if target.is_rate else best * 9.9
        others = (worse,) * (len(target.peers) - 1) + (best,)
        asked = {"workload": target.workload}
        rows += [{"peer": peer, **asked, "median": of} for peer, of in zip(target.peers, others, strict=True)]
        other = sum(beside[name] for name in target.beside) or best
        ours = target.limit * other * (1 / factor if target.is_rate else factor)
        rows.append({"peer": target.peer, **asked, "median": ours})
    rates = [row for row in rows if row["workload"] == targets.THREADS]
    cold = [{"peer": row["peer"], "rate": 1.0, "bare": False} for row in rates]  # says nothing of hot ones
    return {
        "cost": [row for row in rows if row not in rates],
        "throughput": [*({"peer": row["peer"], "hot": True, "rate": row["median"]} for row in rates), *cold],
        "floors": [{"floor": name, "median": median} for name, median in beside.items()],
    }


@pytest.mark.parametrize(("factor", "missed"), [(0.99, 0), (1.01, len(targets.TARGETS))])
def test_a_target_is_a_ratio_in_one_run(factor: float, missed: int) -> None:
    written = io.StringIO()
    assert targets.show(results(factor), Console(file=written, width=200)) == missed
    assert written.getvalue().count("MISSED") == missed


def test_a_goal_is_said_and_a_run_that_cannot_tell_is_not_judged() -> None:
    """What is better still is named next to the limit. Older results have none of the newer figures."""
    new = results(0.9)
    old = {**new, "cost": [row for row in new["cost"] if row["workload"] != "read again"]}
    del old["throughput"]
    newer = [target for target in targets.TARGETS if target.workload in ("read again", targets.THREADS)]

    said = {}
    for name, found in {"new": new, "old": old}.items():
        written = io.StringIO()
        targets.show(found, Console(file=written, width=200))
        said[name] = written.getvalue().splitlines()

    assert len(said["new"]) == len(said["old"]) + len(newer) == len(targets.TARGETS)
    memory = "fluidauth memory, ASGI default, read again: 0.675 of Starlette cookie, ASGI default"
    assert f"{memory} (at most 0.75, goal 0.5) ok" in said["new"]
    threads = "fluidauth SQLite, WSGI tuned, requests a second, hot: 0.556 of fluidauth memory, WSGI default"
    assert f"{threads} (at least 0.5) ok" in said["new"]


def test_targets_and_floors_speak_of_peers_that_there_are() -> None:
    named = {name for target in targets.TARGETS for name in (target.peer, *target.peers)}
    assert named <= set(all_peers())
    known = {*floors.primitives(), "SQLite read", "SQLite write", "SQLite write, fsync"}
    assert {name for parts in floors.SUMS.values() for name in parts} <= known


# -- peers and their workers ----------------------------------------------------------------------


def test_every_library_has_both_a_default_and_one_that_quick_runs_take() -> None:
    by_library: dict[str, list[Peer]] = {}
    for peer in all_peers().values():
        by_library.setdefault(peer.library, []).append(peer)
    assert len(by_library) == 10
    for peers in by_library.values():
        assert any(peer.setup == "default" for peer in peers)
        assert any(peer.quick for peer in peers)
        assert all(bool(peer.tuning) == (peer.setup == "tuned") for peer in peers)


def test_a_name_in_part_selects_and_an_unknown_one_is_refused() -> None:
    assert [peer.name for peer in selected(["FLUIDAUTH sqlite, wsgi"])] == [
        "fluidauth SQLite, WSGI default",
        "fluidauth SQLite, WSGI tuned",
    ]
    assert len(selected([])) == len(all_peers())
    with pytest.raises(ValueError, match="no peer is called express"):
        selected(["express"])


@given(st.integers(0, 10**7), st.sampled_from([FIELDS_BYTES, 1_000, 10_000, 60_000]))
def test_visitors_have_as_many_bytes_as_asked(skip: int, size: int) -> None:
    found = list(visitors(3, size, encrypted=["card"]))
    assert {len(json.dumps(fields)) for fields in found} == {size}
    assert len({json.dumps(fields) for fields in found}) == 3


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.check if name in TRIED else pytest.mark.matrix) for name in OURS],
)
def test_the_adapter_of_fluidauth_does_what_it_says(name: str) -> None:
    """In a worker of its own, as in a run: complaints, 50 writers, two kinds of logout, times."""
    with Crew() as crew, crew.member(all_peers()[name]) as member:
        assert member.do("check") == []
        stored = member.do("populate", count=200)
        took = member.do("visit", workload="read", scale=0.1)
        assert member.do("survivors", count=50) == 50
        logouts = member.do("logouts")
        storms = [
            member.do("storm", concurrent=8, seconds=0.05, busy=False, bare=False, hot=hot)
            for hot in (False, True)
        ]

    assert logouts == {"a copied cookie is refused": True, "a slower request brings it back": False}
    assert stored["cookie"] < 100
    assert 0 < took["bare"] < 1
    assert 0 < took["app"] < 1
    if all_peers()[name].library == "fluidauth":  # a framework's own time varies by more than a session costs
        assert took["bare"] < took["app"]
    for storm in storms:
        assert storm["p50"] <= storm["p99"]
        assert storm["rate"] > 1


# -- pages --------------------------------------------------------------------------------------


def test_a_page_is_twenty_requests_of_one_session() -> None:
    """One of them changes a key, all come within the time of a page, and any process may answer."""
    made = page.plan(4.0)

    own: dict[tuple[int, bool], list[page.Visit]] = {}
    for visit in made.visits:
        own.setdefault((visit.page, visit.bare), []).append(visit)
    for visits in own.values():
        assert sorted(visit.path for visit in visits) == ["change", *["read"] * (page.REQUESTS - 1)]
        assert len({visit.session for visit in visits}) == 1
        assert visits[-1].at - visits[0].at <= page.TAKES
    assert {visit.process for visit in made.visits} == set(range(page.PROCESSES))
    assert made.visits == sorted(made.visits)


def test_pages_come_at_their_rate_and_are_timed_or_counted() -> None:
    """In each second as many begin; none is timed while SELECTs are counted. Some have a bare twin."""
    made = page.plan(4.0)
    began = {visit.page: visit.at for visit in reversed(made.visits) if not visit.bare}
    ended = {visit.page: visit.at for visit in made.visits}

    seconds = [int(at) for at in began.values()]
    assert {seconds.count(second) for second in range(int(made.count_from))} == {page.RATE}
    assert made.timed
    assert made.counted
    assert all(page.WARM <= began[each] <= ended[each] <= made.count_from for each in made.timed)
    assert all(began[each] >= made.count_from for each in made.counted)
    assert {visit.page for visit in made.visits if visit.bare} & made.timed


@pytest.mark.parametrize("opener", [sqlite3, sqlite3.dbapi2], ids=lambda module: module.__name__)
def test_selects_are_counted_whoever_asks_for_them(tmp_path: Path, opener: Any) -> None:
    """From when they are to be, on connections of before and after; statements of other kinds are not."""
    selects = Selects()
    selects.watch()
    try:
        with closing(opener.connect(tmp_path / "a.db", isolation_level=None)) as early:
            opener.connect(":memory:").close()
            early.execute("CREATE TABLE t (n INTEGER)")
            early.execute("SELECT n FROM t")
            selects.begin()
            uncounted = selects.count
            early.cursor().execute(" select n from t")
            early.execute("INSERT INTO t SELECT 1 RETURNING n")
            with closing(opener.connect(tmp_path / "a.db")) as late:
                late.execute("SELECT n FROM t").fetchall()
                late.execute("SELECT n FROM t").fetchall()
                late.execute("PRAGMA data_version")
    finally:
        selects.leave()

    assert (uncounted, selects.count) == (0, 3)
    assert "Selects" not in repr(sqlite3.connect)


def test_a_request_of_a_page_that_is_answered_with_an_error_is_one() -> None:
    apps = MEMORY.build(Place(Path(), [new_secret()]))

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        async def refusing(message: Any) -> None:
            await send(message | {"status": 503} if "status" in message else message)

        await apps.sessions(scope, receive, refusing)

    request = client.Request("untouched")
    assert asyncio.run(trials.one("ASGI", apps.sessions, request)) > 0
    with pytest.raises(RuntimeError, match=r"/untouched was answered with \[200, 503\]"):
        asyncio.run(trials.one("ASGI", broken, request))


@pytest.mark.check
def test_pages_are_asked_of_peers_that_processes_share() -> None:
    """A memory of one process is left out; what is counted on SQLite is a part of the reads."""
    names = ["fluidauth SQLite, WSGI tuned", "fluidauth SQLite, ASGI default", MEMORY.name]
    budget = replace(FULL, sessions=300, page_seconds=1)
    with Crew() as crew:
        run = Run(crew, [all_peers()[name] for name in names], budget, Console(file=io.StringIO()))
        with run.fleet() as fleet:
            rows = page.ask(run, fleet)
            sibling = crew.sibling(fleet[0])
            try:
                (cookie,) = fleet[0].do("sample", count=1)
                sibling.do("count_selects")
                asked = {"path": "read", "query": "1", "cookie": cookie}
                selects = [sibling.do("serve", **asked, bare=bare)[1] for bare in (True, False)]
            finally:
                sibling.stop()

    assert run.failed == {}
    assert [row["peer"] for row in rows] == names[:2]
    for row in rows:
        assert 0 <= row["without_select"] <= 1
        assert 0 < row["bare"]["median"] < row["page"]["median"] <= row["page"]["p95"]
    assert selects[0] == 0
    assert selects[1] > 0  # what a process has never seen is in no cache of it


# -- more about workers ---------------------------------------------------------------------------


@pytest.mark.parametrize(("workload", "asked"), [("read again", HOT), ("read", HOT + 500)])
def test_what_is_read_again_is_one_of_few(tmp_path: Path, workload: str, asked: int) -> None:
    """Each visit asks for the same ones; a read that is not said to be of those is of any session."""

    async def cookies() -> set[bytes]:
        worker = Worker()
        await worker.start(MEMORY.name, str(tmp_path), secrets=[new_secret()])
        await worker.populate(HOT + 500)
        visits = [worker.requests(workload, 20_000) for _ in range(2)]
        assert {scope["path"] for visit in visits for scope in visit} == {"/read"}
        return {dict(scope["headers"])[b"cookie"] for visit in visits for scope in visit}

    assert len(asyncio.run(cookies())) == asked


def test_a_hot_storm_asks_for_what_was_read_before(tmp_path: Path) -> None:
    """Each of the hot sessions is read once before; then one request in ten changes one of them."""

    async def asked() -> list[tuple[str, bytes]]:
        worker = Worker()
        await worker.start(MEMORY.name, str(tmp_path), secrets=[new_secret()])
        await worker.populate(HOT + 500)
        seen, app = [], worker.apps.sessions

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            seen.append((scope["path"], dict(scope["headers"])[b"cookie"]))
            await app(scope, receive, send)

        worker.apps = worker.apps._replace(sessions=watched)
        await worker.storm(concurrent=4, seconds=0.2, busy=False, bare=False, hot=True)
        return seen

    seen = asyncio.run(asked())

    before, storm = seen[:HOT], seen[HOT:]
    assert len({cookie for _, cookie in before}) == HOT
    assert {path for path, _ in before} == {"/read"}
    assert {cookie for _, cookie in storm} <= {cookie for _, cookie in before}
    assert 0 < sum(path == "/change" for path, _ in storm) < len(storm) / 5


@pytest.mark.check
def test_sessions_for_django_live_as_long_as_django_makes_them() -> None:
    """They have no idle timeout. With one, a read some minutes later would be one that writes."""
    with Crew() as crew, crew.member(all_peers()["fluidauth in Django SQLite, WSGI tuned"]) as member:
        member.do("populate", count=3)
        with closing(sqlite3.connect(member.folder / "sessions.db")) as connection:
            lives = connection.execute("SELECT expires_at - created_at FROM fluidauth_sessions").fetchall()

    assert lives == [(LIFETIME,)] * 3


@pytest.mark.check
def test_workers_that_start_at_once_share_a_server() -> None:
    """Each has a database of its own in it."""
    peer = all_peers()["fluidauth PostgreSQL, WSGI default"]

    with Crew() as crew, ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        members = list(pool.map(lambda _: stack.enter_context(crew.member(peer)), range(2)))
        servers = [urlsplit(member.servers["postgres"]) for member in members]

    assert len({server.path for server in servers}) == 2
    assert len({server.query for server in servers}) == 1


def test_a_worker_that_fails_says_why_and_goes_on() -> None:
    with Crew() as crew, crew.member(MEMORY) as member:
        with pytest.raises(WorkerFailed, match=r"(?s)fluidauth memory.*juggle.*AttributeError"):
            member.do("juggle")
        assert member.do("check") == []


def test_a_wrong_adapter_is_found() -> None:
    """One whose sessions forget, and one that is not as it is described."""
    place = Place(Path(), [new_secret()])
    apps = MEMORY.build(place)
    lying = apps._replace(populate=lambda fields: apps.populate({**each, "theme": "?"} for each in fields))
    costly = Peer(
        **{**vars(MEMORY), "traits": MEMORY.traits.__class__("memory", "nothing", cookie_on_read=True)}
    )

    assert asyncio.run(trials.complaints(MEMORY, place, apps)) == []
    assert any("stored" in each for each in asyncio.run(trials.complaints(MEMORY, place, lying)))
    assert any(
        "cookie with each read" in each for each in asyncio.run(trials.complaints(costly, place, apps))
    )


def test_set_cookie_is_read_as_a_browser_does() -> None:
    lines = ["a=1; Path=/", "b=; Max-Age=0", "c=x; expires=Thu, 01 Jan 1970 00:00:00 GMT", 'd="null"']
    assert client.Answer(200, "", lines).cookies == {"a": "a=1", "b": "", "c": "", "d": 'd="null"'}


def test_tuned_set_up_leads_for_each_store() -> None:
    """And all of fluidauth's, which differ in what a change survives."""
    with Crew() as crew:
        leading = [p.name for p in Run(crew, list(all_peers().values()), FULL, Console()).leading]
    assert {peer.name for peer in all_peers().values() if peer.library == "fluidauth"} < set(leading)
    assert "Django SQLite, WSGI tuned" in leading
    assert "Django SQLite, WSGI default" not in leading
    assert "Flask cookie, WSGI default" in leading
