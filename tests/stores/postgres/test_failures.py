"""A PostgreSQL server that fails otherwise than every server does: ended backends, read-only, full."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from fluidauth import StoreError
from fluidauth.stores.postgres import PostgresStore
from harness import ROOT
from harness.servers.postgres import OwnPostgres
from tests.stores.postgres.support import LIMIT, PATIENCE, record


@contextmanager
def both_sides(url: str) -> Iterator[list[Callable[..., Any]]]:
    store = PostgresStore(url, timeout=LIMIT)
    twin = store.async_twin()
    with closing(store), asyncio.Runner() as runner:
        yield [
            lambda name, *values: getattr(store, name)(*values),
            lambda name, *values: runner.run(getattr(twin, name)(*values)),
        ]
        runner.run(twin.close())


@pytest.fixture
def own() -> Iterator[OwnPostgres]:
    """A server for harm."""
    server = OwnPostgres(None, "fsync = off")
    PostgresStore(server.url).create_schema()
    yield server
    server.stop()


def test_a_program_ends_without_being_told_to_close(url: str) -> None:
    """As a command or a job does; the pool's own end waits for threads that do not run any more."""
    program = (
        "import sys\n"
        "from fluidauth.stores.postgres import PostgresStore\n"
        "store = PostgresStore(sys.argv[1])\n"
        "print(store.get('0' * 64))\n"
    )
    command = [sys.executable, "-c", program, url]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert (done.stdout, done.stderr) == ("None\n", "")


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


def test_ended_backends_fail_no_call(url: str) -> None:
    """As an administrator, or a server that shuts down, ends them (57P01): amid a pool, and all at once."""
    with both_sides(url) as sides, psycopg.connect(url, autocommit=True) as administrator:
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
    with both_sides(url) as sides:
        for call in sides:
            with pytest.raises(StoreError):
                call("get", record(1).handle)
    with pytest.raises(StoreError, match="read-only"):
        PostgresStore(url).open()


@pytest.mark.requirement("52")
def test_connections_that_take_no_writes_any_more_are_left(own: OwnPostgres) -> None:
    """As behind a pooler or balancer after a failover: those that there are lead to what is a standby now."""
    with both_sides(own.url) as sides, psycopg.connect(own.url, autocommit=True) as administrator:
        for number, call in enumerate(sides):
            call("create", record(number))
        name = conninfo_to_dict(own.url)["dbname"]
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")  # new ones
        administrator.execute("ALTER SYSTEM SET default_transaction_read_only = on")  # those that there are
        administrator.execute("SELECT pg_reload_conf()")
        for number, call in enumerate(sides):
            assert call("update", record(number, 2)) is True
            assert call("get", record(number).handle) == record(number, 2)


def test_plans_that_a_change_of_the_schema_made_useless_are_left(url: str) -> None:
    """PostgreSQL does not make them anew where a result has another type (0A000)."""
    with both_sides(url) as sides, psycopg.connect(url, autocommit=True) as administrator:
        for number, call in enumerate(sides):
            call("create", record(number))
            assert call("get", record(number).handle) == record(number)
        administrator.execute("ALTER TABLE fluidauth.sessions ALTER COLUMN kid TYPE varchar(64)")
        for number, call in enumerate(sides):
            assert call("get", record(number).handle) == record(number)


@pytest.mark.requirement("52")
def test_a_full_disk_refuses_writes_and_quotes_nothing(url: str) -> None:
    """What is there can be read and ended; the server's words come without the values in them."""
    with both_sides(url) as sides, psycopg.connect(url, autocommit=True) as administrator:
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
