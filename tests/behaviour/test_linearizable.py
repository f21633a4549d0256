"""Histories of many clients on real servers, killed and not; and of stores that break each promise."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from harness.history import (
    ENDINGS,
    EVERYBODY,
    Answer,
    History,
    OverHTTP,
    cookies_of_starlette,
    load_on,
    problems_in,
    run_lives,
)
from harness.servers.postgres import OwnPostgres, new_database, postgres_url
from harness.servers.processes import Server, serving
from harness.servers.redis import (
    DURABLE,
    OwnCluster,
    OwnRedis,
    empty_redis,
    shared_cluster,
    until,
)
from harness.visitor import Visitor
from tests.support import ON_THE_CLUSTER

KILLS = 50
DATABASE_KILLS = 4


# -- sound servers ---------------------------------------------------------------------


@pytest.mark.parametrize("server", ["gunicorn", "gunicorn-threads", "uvicorn-workers"])
def test_four_workers_keep_every_promise(server: str, tmp_path: Path) -> None:
    """Of all that four processes on one file acknowledged nothing is lost, and nothing revives."""
    database, former = tmp_path / "sessions.db", new_secret()
    endings = (*ENDINGS, "socket") if server == "uvicorn-workers" else ENDINGS
    with serving(server, database, new_secret(), environ={"TEST_FORMER_SECRET": former}) as url:
        history = run_lives(OverHTTP(url), range(12), endings=endings, former=cookies_of_starlette(former))

    assert problems_in(history) == []
    assert history.count("refused") == 0  # "database is locked" reaches nobody
    assert history.count("acknowledged") > 400
    assert integrity(database) == "ok"
    assert {o.kind for o in history.operations} >= {*endings, "read"} - {"logouts"}


@pytest.mark.check
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn-workers"])
def test_revoke_all_under_load_ends_every_session(server: str, tmp_path: Path) -> None:
    """revoke_all() ends what had begun before it, and nothing that begins later."""
    with serving(server, tmp_path / "sessions.db", new_secret()) as url:
        target = OverHTTP(url)
        with load_on(target) as history:
            for _ in range(4):
                history.await_more(60)
                answer = history.ask(target, EVERYBODY, "revoke_all", "")
                assert answer is not None
                assert answer.status == 200

    assert problems_in(history) == []
    assert history.count("acknowledged") > 240


@pytest.mark.check
def test_wsgi_and_asgi_workers_keep_every_promise_on_one_file(tmp_path: Path) -> None:
    """Four gunicorn workers and four uvicorn workers serve the same sessions."""
    database, secret = tmp_path / "sessions.db", new_secret()
    with serving("gunicorn", database, secret) as wsgi, serving("uvicorn-workers", database, secret) as asgi:
        history = run_lives(Alternating(OverHTTP(wsgi), OverHTTP(asgi)), range(12))

    assert problems_in(history) == []
    assert history.count("refused") == 0
    assert history.count("acknowledged") > 400


class Alternating:
    """Two servers on one file, asked in turn."""

    def __init__(self, *targets: OverHTTP) -> None:
        self._targets = targets

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        return random.choice(self._targets).ask(kind, key, value, cookie)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "server",
    [pytest.param("uvicorn", marks=pytest.mark.matrix), pytest.param("gunicorn", marks=pytest.mark.check)],
)
def test_killed_servers_keep_every_promise(server: str, tmp_path: Path) -> None:
    """What was acknowledged before each of fifty kills is there after it, and the file is sound."""
    database = tmp_path / "sessions.db"
    running = Server(server, database, new_secret())
    running.start()
    moments = random.Random(server)
    try:
        with load_on(OverHTTP(running.url)) as history:
            for _ in range(KILLS // 2):
                history.await_more(moments.randint(1, 20))
                running.kill()
                assert integrity(database) == "ok"
                history.await_more(1, "refused")  # it was felt
                running.start()
    finally:
        running.stop()

    assert problems_in(history) == []
    assert history.count("acknowledged") > 100
    assert integrity(database) == "ok"


# -- databases that several machines share ------------------------------------------------


def new_postgres() -> str:
    url = new_database(postgres_url())
    PostgresStore(url).create_schema()
    return url


def new_cluster() -> str:
    shared_cluster().clear()
    return shared_cluster().url


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(new_postgres, marks=pytest.mark.matrix),
        pytest.param(empty_redis, marks=pytest.mark.matrix),
        pytest.param(new_cluster, marks=[ON_THE_CLUSTER, pytest.mark.check]),
    ],
)
def test_wsgi_and_asgi_workers_keep_every_promise_on_one_database(
    place: Callable[[], str], tmp_path: Path
) -> None:
    """Eight processes of two kinds on one database keep every promise."""
    secret, there = new_secret(), {"FLUIDAUTH_DATABASE": place()}
    unused = tmp_path / "unused.db"
    with (
        serving("gunicorn", unused, secret, environ=there) as wsgi,
        serving("uvicorn-workers", unused, secret, environ=there) as asgi,
    ):
        history = run_lives(Alternating(OverHTTP(wsgi), OverHTTP(asgi)), range(12))

    assert problems_in(history) == []
    assert history.count("refused") == 0
    assert history.count("acknowledged") > 400
    assert not unused.exists()


@contextmanager
def durable_postgres() -> Iterator[OwnPostgres]:
    server = OwnPostgres()
    PostgresStore(server.url).create_schema()
    yield server
    server.stop()


def durable_redis() -> AbstractContextManager[OwnRedis]:
    return closing(OwnRedis(*DURABLE))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("make", "server"),
    [
        pytest.param(durable_postgres, "gunicorn", marks=pytest.mark.check),
        pytest.param(durable_redis, "uvicorn-workers", marks=pytest.mark.check),
        pytest.param(durable_postgres, "uvicorn-workers", marks=pytest.mark.matrix),
        pytest.param(durable_redis, "gunicorn", marks=pytest.mark.matrix),
    ],
)
def test_a_killed_database_loses_nothing_that_was_acknowledged(
    make: Callable[[], AbstractContextManager[Any]], server: str, tmp_path: Path
) -> None:
    """Killed and started again under load: no change is lost, no logout undone, and service resumes."""
    secret, unused = new_secret(), tmp_path / "unused.db"
    with make() as database:
        there = {"FLUIDAUTH_DATABASE": database.url}
        with serving(server, unused, secret, environ=there) as url, load_on(OverHTTP(url)) as history:
            target = OverHTTP(url)
            for _ in range(DATABASE_KILLS):
                history.await_more(40)
                database.kill()
                history.await_more(1, "refused")  # it was felt
                database.start()
                revoke_all(target, history)
            history.await_more(40)

    assert problems_in(history) == []
    assert not unused.exists()


def revoke_all(target: OverHTTP, history: History) -> None:
    """Log everybody out, however often that has to be asked for."""

    def is_done() -> bool:
        answer = history.ask(target, EVERYBODY, "revoke_all", "")
        return answer is not None and answer.status == 200

    until(is_done)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "server",
    [
        pytest.param("uvicorn-workers", marks=pytest.mark.check),
        pytest.param("gunicorn", marks=pytest.mark.matrix),
    ],
)
def test_a_cluster_fails_over(server: str, tmp_path: Path, visitor: Visitor) -> None:
    """Two primaries are killed: no logout that a replica confirmed is undone, nobody is mixed up."""
    with closing(OwnCluster()) as cluster, ExitStack() as stack:
        there = {"FLUIDAUTH_DATABASE": f"{cluster.url}?wait_replicas=1"}
        url = stack.enter_context(serving(server, tmp_path / "unused.db", new_secret(), environ=there))
        staying = {f"staying-{n}": Visitor(visitor.http) for n in range(20)}  # some on each primary
        leaving = {f"leaving-{n}": Visitor(visitor.http) for n in range(6)}
        revoked = {f"revoked-{n}": Visitor(visitor.http) for n in range(6)}
        for name, person in (staying | leaving | revoked).items():
            person.ask(f"{url}/login?user={name}")
        copies = [Visitor(visitor.http, person.token) for person in (leaving | revoked).values()]
        ends = [(person, f"{url}/logout") for person in leaving.values()]
        ends += [(visitor, f"{url}/step?kind=revoke_user&value={name}") for name in revoked]

        replicas = cluster.replicas
        for replica in replicas:
            replica.freeze()
        unconfirmed = {person.status_of(place) for person, place in ends}
        for replica in replicas:
            replica.thaw()
        until(cluster.is_whole)
        for person, place in ends:
            until(lambda person=person, place=place: person.status_of(place) == 200)  # type: ignore[misc]
        until(cluster.is_level)

        for node in cluster.nodes[:2]:
            node.kill()
            meanwhile = {person.status_of(f"{url}/whoami") for person in staying.values()}
            until(cluster.is_served)
            until(lambda: all(person.status_of(f"{url}/whoami") == 200 for person in staying.values()))
            assert {name: person.ask(f"{url}/whoami") for name, person in staying.items()} == {
                name: name for name in staying
            }
            assert [person.ask(f"{url}/whoami") for person in copies] == [None] * len(copies)
            assert meanwhile <= {200, 503}
            node.start()
            until(cluster.is_whole)

        assert unconfirmed == {503}
        for replica in (replicas := cluster.replicas):
            replica.freeze()
        for_all = f"{url}/step?kind=revoke_all"
        assert visitor.status_of(for_all) == 503
        for replica in replicas:
            replica.thaw()
        until(lambda: visitor.status_of(for_all) == 200)
        cluster.nodes[2].kill()
        until(cluster.is_served)
        until(lambda: all(person.status_of(f"{url}/whoami") == 200 for person in staying.values()))
        assert [person.ask(f"{url}/whoami") for person in staying.values()] == [None] * len(staying)


def integrity(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
