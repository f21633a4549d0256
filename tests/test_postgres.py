"""PostgreSQL as a store: its schema, and what becomes of a call when a connection or the server fails."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fluidauth import ConfigError, SessionEngine, StoreError
from fluidauth.errors import StoreBusy
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.postgres.statements import replace
from fluidauth.stores.urls import store_from_url
from fluidauth.testing import make_record
from harness.servers.postgres import (
    OwnPostgres,
    address_of,
    behind_a_pooler,
    new_database,
    pooler,
    postgres_url,
)
from harness.servers.proxy import Proxy
from harness.servers.redis import until

from .measures import Ticker

PATIENCE = 30  # seconds
LIMIT = 1.0  # seconds, of the stores here


def record(number: int, version: int = 1, **more: Any) -> Any:
    return make_record(
        **{"handle": f"{number:064x}", "version": version, "user_id": f"user-{number}", **more}
    )


@pytest.fixture
def url() -> str:
    """A database of this test alone, with the schema."""
    url = new_database(postgres_url())
    PostgresStore(url).create_schema()
    return url


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with closing(Proxy(address_of(url))) as proxy:
        yield proxy


@pytest.fixture
def store(url: str, proxy: Proxy) -> Iterator[PostgresStore]:
    """A store whose connections lead through the proxy."""
    with closing(
        PostgresStore(make_conninfo(url, host="127.0.0.1", port=proxy.port), timeout=LIMIT)
    ) as store:
        yield store


@pytest.fixture(params=["blocking", "asynchronous"])
def call(request: pytest.FixtureRequest, store: PostgresStore) -> Iterator[Callable[..., Any]]:
    """Make one call of the store, on either side."""
    if request.param == "blocking":
        yield lambda name, *values: getattr(store, name)(*values)
        return
    twin = store.async_twin()
    with asyncio.Runner() as runner:
        yield lambda name, *values: runner.run(getattr(twin, name)(*values))
        runner.run(twin.close())


def test_writers_behind_a_pooler_lose_nothing() -> None:
    """Fifty threads on three connections, which are lent for one transaction at a time."""
    lent = pooler().lent
    url = behind_a_pooler(postgres_url())
    with closing(PostgresStore(url, pool_size=20, prepare=False)) as store:
        engine = SessionEngine(new_secret(), store)
        handle = str(engine.create_session("ada")[1].handle)

        def write(number: int) -> None:
            with engine.edit(handle) as session:
                session[f"key-{number}"] = number
                session.add("writes")

        with ThreadPoolExecutor(50) as threads:
            list(threads.map(write, range(50)))
        session = engine.get_session(handle)

    assert session is not None
    assert dict(session) == {**{f"key-{number}": number for number in range(50)}, "writes": 50}
    assert pooler().lent > lent


def test_a_pooler_without_prepared_statements_is_told_with_the_remedy() -> None:
    """Not as what PostgreSQL says of it."""
    store = PostgresStore(behind_a_pooler(postgres_url()), pool_size=8)
    with closing(store), ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(store.get, record(number).handle) for number in range(200)]
        told = {str(error) for error in (call.exception() for call in calls) if error is not None}

    assert told and all("prepare=no" in sentence for sentence in told), told


# -- settings and schema ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:hunter2@host/db?sslmood=on", "not one; use postgresql://user@host/database"),
        ("postgresql://u:hunter2@host/db?timeout=0", "timeout must be above 0"),
        ("postgresql://u:hunter2@host/db?pool_size=0", "pool_size at least 1"),
        ("postgresql://u:hunter2@host/db?pool_size=many", "pool_size='many', which is not a number"),
        ("postgresql://u:hunter2@host/db?prepare=maybe", "must be yes or no"),
        ("postgresql://u:hunter2@host/db?namespace=a/b", "namespace"),
    ],
)
def test_wrong_settings_are_refused_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        store_from_url(url)
    assert "hunter2" not in str(caught.value)


def test_a_url_sets_what_is_ours_and_leaves_the_rest_to_the_driver() -> None:
    found = store_from_url(
        "postgresql://u:hunter2@host/db?namespace=shop&timeout=0.5&prepare=no&sslmode=require"
    )
    assert isinstance(found, PostgresStore)
    assert found.settings[1:] == ("shop", 0.5, 8, False)
    known = conninfo_to_dict(found.settings.conninfo)
    assert (known["sslmode"], known["target_session_attrs"]) == ("require", "read-write")
    assert repr(found) == "<PostgresStore host/db namespace='shop'>"


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fluidauth.stores.postgres", None)
    with pytest.raises(ConfigError, match=r"pip install 'fluidauth\[postgres\]'"):
        store_from_url("postgresql://host/db")


def test_the_schema_is_never_made_silently() -> None:
    """An engine over a database without it is not built, and a late call says what to do."""
    url = new_database(postgres_url())
    with closing(PostgresStore(url)) as store:
        with pytest.raises((ConfigError, StoreError), match="fluidauth sessions init"):
            SessionEngine(new_secret(), store)
        with pytest.raises(StoreError, match="fluidauth sessions init"):
            store.get("0" * 64)
        assert store.create_schema() is True
        assert store.create_schema() is False
        store.open()
        assert store.get("0" * 64) is None


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/db", "refused"),
        ("postgresql://u:hunter2@no-such-host.invalid/db", "no-such-host"),
    ],
)
def test_a_database_that_is_not_there_is_told_with_the_reason(place: str, reason: str) -> None:
    """When the engine is built, and without the password."""
    with pytest.raises(StoreError, match=reason) as caught:
        SessionEngine(new_secret(), PostgresStore(place))
    assert "hunter2" not in str(caught.value)


def test_a_schema_of_an_older_version_is_refused(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM fluidauth.schema_version")
    with pytest.raises(ConfigError, match=r"has version 0, not 1; .*fluidauth sessions init"):
        PostgresStore(url).open()


def test_several_may_create_the_schema_at_once() -> None:
    url = new_database(postgres_url())
    barrier = threading.Barrier(4)

    def create() -> bool:
        barrier.wait(PATIENCE)
        return PostgresStore(url).create_schema()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(each.result(PATIENCE) for each in [threads.submit(create) for _ in range(4)]) == [
            False,
            False,
            False,
            True,
        ]


# -- connections that break ----------------------------------------------------------------


def test_dead_connections_are_noticed_by_nobody(call: Callable[..., Any], proxy: Proxy) -> None:
    """A restart of the server leaves a pool of dead ones; no call fails for it."""
    call("create", record(1))
    proxy.cut_all()
    assert call("get", record(1).handle) == record(1)
    proxy.cut_all()
    assert call("update", record(1, 2)) is True


@pytest.mark.requirement("52")
@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_a_change_whose_answer_was_lost_is_done_once(
    call: Callable[..., Any], proxy: Proxy, cut: str
) -> None:
    """Whether the server had carried it out or not, the caller hears what is true."""
    call("create", record(1))
    for name, change, words in (
        ("create", (record(2),), b"user-2"),
        ("update", (record(1, 2),), b"user-1"),
        ("replace", (record(2, 2, user_id=None), record(3)), b"user-3"),
    ):
        getattr(proxy, cut)(words)
        assert call(name, *change) in (None, True)
        assert proxy._trigger == b""

    assert [(each.handle[-1], each.version) for each in call("scan")] == [("1", 2), ("2", 2), ("3", 1)]


@pytest.mark.requirement("52")
def test_a_swap_that_another_won_is_not_taken_for_ours(
    call: Callable[..., Any], proxy: Proxy, url: str
) -> None:
    """Of two requests that write the very same fields one hears that it came too late, answer lost or not."""
    call("create", record(1))
    with closing(PostgresStore(url)) as other:
        other.update(record(1, 2))
    proxy.cut_after(b"user-1")
    assert call("update", record(1, 2)) is False


@pytest.mark.requirement("23")
def test_a_renewal_under_way_escapes_no_revocation(call: Callable[..., Any], url: str) -> None:
    """It is seen under its old id, which then is nobody's, and not yet under its new one."""
    call("create", record(1))
    renewal = next(replace("fluidauth", record(1, 2, user_id=None), record(2, user_id="user-1")))

    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as watch:
        other.execute(renewal.text, renewal.values)

        def is_waited_for() -> bool:
            waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return bool(watch.execute(f"SELECT 1 {waiting}").fetchall())

        with ThreadPoolExecutor(1) as apart:
            revoked = apart.submit(call, "delete_for_user", "user-1")
            until(is_waited_for)
            other.commit()
            assert revoked.result() == 1

    assert call("get", record(2).handle) is None


# -- a server that fails -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> Iterator[OwnPostgres]:
    """A server for harm."""
    server = OwnPostgres()
    PostgresStore(server.url).create_schema()
    yield server
    server.stop()


@contextmanager
def both_sides(url: str, namespace: str) -> Iterator[list[Callable[..., Any]]]:
    store = PostgresStore(url, timeout=LIMIT, namespace=namespace)
    twin = store.async_twin()
    with closing(store), asyncio.Runner() as runner:
        yield [
            lambda name, *values: getattr(store, name)(*values),
            lambda name, *values: runner.run(getattr(twin, name)(*values)),
        ]
        runner.run(twin.close())


@pytest.mark.requirement("53")
def test_a_frozen_server_is_an_error_within_the_time_limit(own: OwnPostgres) -> None:
    """And what it says when it wakes up reaches nobody."""
    with both_sides(own.url, "frozen") as sides:
        sides[0]("create", record(1))
        for call in sides:
            assert call("get", record(1).handle) == record(1)
            own.freeze()
            try:
                with Ticker() as ticker, pytest.raises(StoreError):
                    call("get", record(1).handle)
            finally:
                own.thaw()
            assert ticker.seconds < 2 * LIMIT + 1
            assert call("get", record(2).handle) is None
            assert call("get", record(1).handle) == record(1)


@pytest.mark.requirement("53")
def test_an_event_loop_ends_while_connections_are_made() -> None:
    """As at a restart of the service during an outage: it must not need to be killed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?sslmode=disable"
        twin = PostgresStore(url, timeout=0.1).async_twin()

        async def main() -> str:
            with pytest.raises(StoreError):
                await twin.get(record(1).handle)
            return "ended"

        assert asyncio.run(main()) == "ended"


def test_what_was_acknowledged_outlives_a_killed_server(own: OwnPostgres) -> None:
    """And calls work again by themselves as soon as it is back."""
    with both_sides(own.url, "killed") as sides:
        for number, call in enumerate(sides):
            call("create", record(number))
        own.kill()
        for call in sides:
            with pytest.raises(StoreError):
                call("create", record(9))
        own.start()
        for number, call in enumerate(sides):
            with Ticker() as ticker:
                assert call("get", record(number).handle) == record(number)
            assert ticker.seconds < 2


def test_ended_backends_are_noticed_by_nobody(url: str) -> None:
    """As an administrator, or a server that shuts down, ends them (57P01): amid a pool, and all at once."""
    with both_sides(url, "fluidauth") as sides, psycopg.connect(url, autocommit=True) as administrator:
        for number, call in enumerate(sides):
            call("create", record(number))
            for version in (2, 3):
                administrator.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                assert call("update", record(number, version)) is True
                assert call("get", record(number).handle) == record(number, version)


def test_a_server_that_takes_no_writes_is_not_used(url: str) -> None:
    """As a standby says of itself: a session that has ended may live there."""
    with psycopg.connect(url, autocommit=True) as administrator:
        name = conninfo_to_dict(url)["dbname"]
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with both_sides(url, "fluidauth") as sides:
        for call in sides:
            with pytest.raises(StoreError):
                call("get", record(1).handle)
    with pytest.raises(StoreError, match="read-only"):
        PostgresStore(url).open()


@pytest.mark.requirement("52")
def test_a_full_disk_refuses_writes_and_quotes_nothing(url: str) -> None:
    """What is there can be read and ended; the server's words come without the values in them."""
    with both_sides(url, "fluidauth") as sides, psycopg.connect(url, autocommit=True) as administrator:
        sides[0]("create", record(1))
        sides[0]("create", record(2))
        administrator.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100', DETAIL = NEW.user_id;"
            " END $$"
        )
        administrator.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON fluidauth.sessions"
            " FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        for number, call in enumerate(sides, 1):
            for name, change in (("create", record(9)), ("update", record(number, 2))):
                with pytest.raises(StoreError, match="DiskFull: could not extend file") as refusal:
                    call(name, change)
                assert "user-" not in str(refusal.value)
            assert call("get", record(number).handle) == record(number)
            assert call("delete", record(number).handle) is True


# -- concurrency -----------------------------------------------------------------------------------


def test_an_exhausted_pool_is_busy_within_the_time_limit(url: str) -> None:
    with closing(PostgresStore(url, pool_size=1, timeout=0.2)) as store:
        store.create(record(1))
        assert store._pool is not None
        link = store._pool.getconn()
        with pytest.raises(StoreBusy, match="no PostgreSQL connection could be had in time"):
            store.get(record(1).handle)
        store._pool.putconn(link)
        assert store.get(record(1).handle) == record(1)


def test_cancelled_reads_hand_nobody_the_row_of_another(url: str) -> None:
    """A connection whose answer nobody waited for is never used again."""
    store = PostgresStore(url, pool_size=4)
    for number in range(50):
        store.create(record(number))
    twin = store.async_twin()

    async def main() -> int:
        async def read(number: int) -> bool:
            return await twin.get(record(number).handle) == record(number)  # type: ignore[no-any-return]

        wrong = 0
        for number in range(300):
            task = asyncio.create_task(read(number % 50))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            wrong += not await read((number + 1) % 50)
        await twin.close()
        return wrong

    assert asyncio.run(main()) == 0


@pytest.mark.requirement("55")
def test_who_is_cancelled_while_a_connection_goes_back_keeps_none(url: str) -> None:
    """Another task holds the pool's lock at that moment, as it takes a connection or gives one back."""
    twin = PostgresStore(url, pool_size=1, timeout=LIMIT).async_twin()

    async def main() -> list[Any]:
        await twin.create(record(1))
        [pool] = twin._pools.values()  # type: ignore[attr-defined]
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute("LOCK TABLE fluidauth.sessions")
            task = asyncio.create_task(twin.get(record(1).handle))
            while pool.get_stats()["pool_available"]:
                await asyncio.sleep(0)
            async with pool._lock:
                await other.commit()
                while not pool._lock._waiters:
                    await asyncio.sleep(0.001)
                task.cancel()
                given_up = await asyncio.gather(task, return_exceptions=True)
        found = [*given_up, await twin.get(record(1).handle)]
        await twin.close()
        return found

    given_up, found = asyncio.run(main())

    assert isinstance(given_up, asyncio.CancelledError)
    assert found == record(1)


@pytest.mark.requirement("55")
def test_an_event_loop_ends_while_a_connection_goes_back(url: str) -> None:
    """It ends at once, and what it cancels gives its connection back first."""
    twin = PostgresStore(url, pool_size=1, timeout=LIMIT).async_twin()

    async def hold(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.sleep(PATIENCE)

    async def main() -> Any:
        await twin.get(record(1).handle)
        [pool] = twin._pools.values()  # type: ignore[attr-defined]
        links.extend(pool._pool)
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute("LOCK TABLE fluidauth.sessions")
            tasks.append(asyncio.create_task(twin.get(record(1).handle)))
            while pool.get_stats()["pool_available"]:
                await asyncio.sleep(0)
            tasks.append(asyncio.create_task(hold(pool._lock)))
            while not pool._lock.locked():
                await asyncio.sleep(0)
        while not pool._lock._waiters:
            await asyncio.sleep(0.001)
        return pool

    tasks: list[Any] = []
    links: list[Any] = []
    with Ticker() as ticker:
        pool = asyncio.run(main())

    assert ticker.seconds < PATIENCE / 2
    assert [task.cancelled() for task in tasks] == [True, True]
    assert list(pool._pool) == links


def test_transactions_that_must_be_ordered_are_tried_again(url: str) -> None:
    """Where the database is set to serializable, which is not the default, concurrent writes still end."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = conninfo_to_dict(url)["dbname"]
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with closing(PostgresStore(url)) as store, ThreadPoolExecutor(8) as threads:
        store.create(record(1))
        for version in range(2, 12):
            done = [threads.submit(store.update, record(1, version)) for _ in range(8)]
            assert sum(each.result(PATIENCE) for each in done) == 1


@pytest.mark.requirement("55")
def test_a_forked_process_has_connections_of_its_own(url: str) -> None:
    """Parent and children read at once, and the end of a child harms nobody."""
    store = PostgresStore(url)
    store.create(record(1))

    def read() -> None:
        os._exit(0 if store.get(record(1).handle) == record(1) else 1)

    children = [multiprocessing.get_context("fork").Process(target=read) for _ in range(3)]
    for child in children:
        child.start()
    for _ in range(20):
        assert store.get(record(1).handle) == record(1)
    for child in children:
        child.join(PATIENCE)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert store.get(record(1).handle) == record(1)
    store.close()


def test_trio_uses_the_blocking_side(url: str) -> None:
    import trio

    store = PostgresStore(url)
    store.create(record(1))
    assert trio.run(store.async_twin().get, record(1).handle) == record(1)
    store.close()
