"""Histories of many clients on real servers, killed and not; and of stores that break each promise."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fluidauth import MemoryStore, SessionEngine, SessionRecord
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore

from .history import Answer, History, OverHTTP, problems_in, run_lives
from .servers.operations import step
from .servers.postgres import OwnPostgres, new_database, postgres_url
from .servers.processes import Server, serving
from .servers.redis import DURABLE, OwnCluster, OwnRedis, empty_redis, shared_cluster, until
from .support import Browser, Protocol

KILLS = 50
DATABASE_KILLS = 4
INTERVAL = (0.05, 0.4)  # seconds from a start to the next kill


# -- sound servers ---------------------------------------------------------------------


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn-workers"])
def test_four_workers_keep_every_promise(server: str, tmp_path: Path) -> None:
    """Of all that four processes on one file acknowledged nothing is lost, and nothing revives."""
    database = tmp_path / "sessions.db"
    with serving(server, database, new_secret()) as url:
        history = run_lives(OverHTTP(url), range(12))

    assert problems_in(history) == []
    assert refused(history) == 0  # "database is locked" reaches nobody
    assert acknowledged(history) > 400
    assert integrity(database) == "ok"


def test_both_kinds_of_worker_at_once(tmp_path: Path) -> None:
    """Four gunicorn workers and four uvicorn workers serve the same sessions."""
    database, secret = tmp_path / "sessions.db", new_secret()
    with serving("gunicorn", database, secret) as wsgi, serving("uvicorn-workers", database, secret) as asgi:
        history = run_lives(Alternating(OverHTTP(wsgi), OverHTTP(asgi)), range(12))

    assert problems_in(history) == []
    assert refused(history) == 0
    assert acknowledged(history) > 400


class Alternating:
    """Two servers on one file, asked in turn."""

    def __init__(self, *targets: OverHTTP) -> None:
        self._targets = targets

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        return random.choice(self._targets).ask(kind, key, value, cookie)


@pytest.mark.parametrize(("server", "kills"), [("uvicorn", KILLS // 2), ("gunicorn", KILLS // 2)])
def test_killed_servers_keep_every_promise(server: str, kills: int, tmp_path: Path) -> None:
    """What was acknowledged before each of fifty kills is there after it, and the file is sound."""
    database = tmp_path / "sessions.db"
    running = Server(server, database, new_secret())
    running.start()
    killed = threading.Event()
    outcome: list[History] = []

    def lives() -> Iterator[int]:
        number = 0
        while not killed.is_set():
            yield number
            number += 1

    worker = threading.Thread(
        target=lambda: outcome.append(run_lives(OverHTTP(running.url), lives(), at_once=3, steps=8))
    )
    worker.start()
    try:
        moments = random.Random(kills)
        for _ in range(kills):
            time.sleep(moments.uniform(*INTERVAL))  # the moment of a kill; nothing waits for it
            running.kill()
            assert integrity(database) == "ok"
            running.start()
    finally:
        killed.set()
        worker.join()
        running.stop()

    assert problems_in(outcome[0]) == []
    assert any(operation.answer is None for operation in outcome[0].operations)  # the kills were felt
    assert acknowledged(outcome[0]) > 100
    assert integrity(database) == "ok"


# -- databases that several machines share ------------------------------------------------


def new_postgres() -> str:
    url = new_database(postgres_url())
    PostgresStore(url).create_schema()
    return url


def new_cluster() -> str:
    shared_cluster().clear()
    return shared_cluster().url


@pytest.mark.parametrize("place", [new_postgres, empty_redis, new_cluster])
def test_both_kinds_of_worker_share_a_database(place: Callable[[], str], tmp_path: Path) -> None:
    """Eight processes of two kinds on one database keep every promise."""
    secret, there = new_secret(), {"FLUIDAUTH_DATABASE": place()}
    unused = tmp_path / "unused.db"
    with (
        serving("gunicorn", unused, secret, environ=there) as wsgi,
        serving("uvicorn-workers", unused, secret, environ=there) as asgi,
    ):
        history = run_lives(Alternating(OverHTTP(wsgi), OverHTTP(asgi)), range(12))

    assert problems_in(history) == []
    assert refused(history) == 0
    assert acknowledged(history) > 400
    assert not unused.exists()


def durable_postgres() -> OwnPostgres:
    server = OwnPostgres()
    PostgresStore(server.url).create_schema()
    return server


def durable_redis() -> OwnRedis:
    return OwnRedis(*DURABLE)


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn-workers"])
@pytest.mark.parametrize("make", [durable_postgres, durable_redis])
def test_a_killed_database_loses_nothing_that_was_acknowledged(
    make: Callable[[], Any], server: str, tmp_path: Path
) -> None:
    """Killed and started again under load: no change is lost, no logout undone, and service resumes."""
    database = make()
    with under_load(server, tmp_path, database.url) as history:
        for _ in range(DATABASE_KILLS):
            time.sleep(1)  # of load, between a start and the next kill
            database.kill()
            database.start()
        time.sleep(1)
    database.stop()

    assert problems_in(history()) == []
    assert 0 < refused(history()) < acknowledged(history())  # the kills were felt, and service resumed
    assert acknowledged(history()) > 100


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn-workers"])
def test_a_cluster_fails_over_under_load(server: str, tmp_path: Path) -> None:
    """Primaries are killed: no logout that a replica confirmed is undone, nobody sees another's session.

    Redis may lose what it acknowledged at that moment and had sent to no replica yet; nothing else is lost.
    """
    cluster = OwnCluster()
    with under_load(server, tmp_path, f"{cluster.url}?wait_replicas=1") as history:
        for node in cluster.nodes[:2]:
            time.sleep(1)  # of load
            node.kill()
            until(lambda: cluster.is_served())
            time.sleep(1)
            node.start()
            until(cluster.is_whole)
        time.sleep(1)
    cluster.stop()

    found = problems_in(history())
    assert [each for each in found if "alive after its logout" in each or "was shown" in each] == []
    assert len({sentence.partition(":")[0] for sentence in found}) <= 3  # lives, as many as are led at once
    assert 0 < refused(history()) < acknowledged(history())
    assert acknowledged(history()) > 100


@contextmanager
def under_load(server: str, folder: Path, database: str) -> Iterator[Callable[[], History]]:
    """Have clients use *server* on *database*; what they saw is there to ask for at the end."""
    over, outcome = threading.Event(), list[History]()
    with serving(server, folder / "unused.db", new_secret(), environ={"FLUIDAUTH_DATABASE": database}) as url:
        numbers = iter(lambda: None if over.is_set() else 1, None)
        lives = (number for number, _ in enumerate(numbers))
        worker = threading.Thread(
            target=lambda: outcome.append(run_lives(OverHTTP(url), lives, at_once=3, steps=8))
        )
        worker.start()
        try:
            yield lambda: outcome[0]
        finally:
            over.set()
            worker.join()


def acknowledged(history: History) -> int:
    return sum(operation.acknowledged for operation in history.operations)


def refused(history: History) -> int:
    return sum(o.answer is None or o.answer.status != 200 for o in history.operations)


def integrity(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


# -- stores that break a promise ---------------------------------------------------------


class LastWriteWins(MemoryStore):
    """Writes over what another request stored meanwhile."""

    def update(self, record: SessionRecord) -> bool:
        if self.get(record.handle) is None:
            return False
        self._records[record.handle] = record
        return True


class Forgetful(MemoryStore):
    """Says that it stored what it did not, now and then."""

    def update(self, record: SessionRecord) -> bool:
        return random.random() < 0.2 or super().update(record)


class Reviving(MemoryStore):
    """Inserts on update, so that a slow request brings a session back."""

    def update(self, record: SessionRecord) -> bool:
        if self.get(record.handle) is None:
            super().create(record)
            return True
        return super().update(record)


class Undead(MemoryStore):
    """Says that it deleted a record, and keeps it."""

    def delete(self, handle: str, version: int | None = None) -> bool:
        return True


class Losing(MemoryStore):
    """Forgets a session that nobody ended, now and then."""

    def get(self, handle: str) -> SessionRecord | None:
        return super().get(handle) if random.random() < 0.98 else None


class Mixing(MemoryStore):
    """Answers with another session's record, now and then."""

    def get(self, handle: str) -> SessionRecord | None:
        found = super().get(handle)
        others = list(self._records.values())
        return random.choice(others)._replace(handle=handle) if found and random.random() < 0.1 else found


class InProcess:
    """An engine of this process in the place of a server; each handler lets others pass."""

    def __init__(self, protocol: Protocol, store: MemoryStore) -> None:
        engine = SessionEngine(new_secret(), store)
        self._browser = Browser(protocol, engine)

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        tab = self._browser.with_cookie(cookie)

        def handler(session: Any) -> Any:
            _ = session.user_id  # loads it
            time.sleep(0.001)  # gives way to the other clients; nothing relies on it
            step(session, {"kind": kind, "key": key, "value": value})
            return session.user_id, dict(session)

        response = tab.request(handler)
        if response.status != 200:
            return Answer(response.status)
        user, fields = response.value
        return Answer(200, user, fields, tab.cookie if response.set_cookies else None)


def test_a_sound_store_has_no_problems(protocol: Protocol) -> None:
    """The checker accuses nobody of what did not happen."""
    assert problems_in(run_lives(InProcess(protocol, MemoryStore()), range(8))) == []


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        (LastWriteWins, "lost"),
        (Forgetful, "lost"),
        (Reviving, "alive after its logout"),
        (Undead, "alive after its logout"),
        (Losing, "was not found"),
    ],
)
def test_the_checker_catches_a_broken_store(
    protocol: Protocol, store: type[MemoryStore], problem: str
) -> None:
    """Each broken promise is found."""
    found = problems_in(run_lives(InProcess(protocol, store()), range(30), clients=8))

    assert any(problem in sentence for sentence in found), found


def test_the_checker_catches_mixed_up_sessions(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of another session is found, where the record's MAC does not stop it first."""
    sound = problems_in(run_lives(InProcess(protocol, Mixing()), range(8)))
    monkeypatch.setattr("fluidauth.sealing.hmac.compare_digest", lambda ours, theirs: True)
    mixed = problems_in(run_lives(InProcess(protocol, Mixing()), range(8)))

    assert not any("was shown" in sentence for sentence in sound)
    assert any("was shown" in sentence for sentence in mixed)
