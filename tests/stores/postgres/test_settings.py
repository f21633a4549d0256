"""URLs of PostgreSQL, and its schema."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from fluidauth import ConfigError, SessionEngine, StoreError
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.urls import store_from_url
from harness.servers.postgres import (
    new_database,
    postgres_url,
)
from tests.stores.postgres.support import PATIENCE, record
from tests.stores.remote import check_refused


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
    check_refused(url, message)


def test_a_url_sets_what_is_ours_and_leaves_the_rest_to_the_driver() -> None:
    found = store_from_url(
        "postgresql://u:hunter2@host/db?namespace=shop&timeout=0.5&prepare=no&sslmode=require"
    )
    assert isinstance(found, PostgresStore)
    assert found.settings[1:] == ("shop", 0.5, 8, False)
    known = conninfo_to_dict(found.settings.conninfo)
    assert (known["sslmode"], known["target_session_attrs"]) == ("require", "read-write")
    assert repr(found) == "<PostgresStore host/db namespace='shop'>"


@pytest.mark.parametrize(
    ("rest", "name", "value"),
    [
        ("host/db?timeout=0.5&options=-c%20statement_timeout%3D5000", "options", "-c statement_timeout=5000"),
        ("host/db?application_name=a+b%2Bc&timeout=0.5", "application_name", "a+b+c"),
        ("host/db?sslmode=verify-full&timeout=0.5", "password", "hunter#2"),
        ("host/db?timeout=0.5&sslmode=verify-full", "sslmode", "verify-full"),
    ],
)
def test_the_driver_reads_a_url_as_it_was_written(rest: str, name: str, value: str) -> None:
    """A plus is no space there, nor does a number sign end anything."""
    found = store_from_url(f"postgresql://u:hunter#2@{rest}")
    assert isinstance(found, PostgresStore)
    assert found.settings.timeout == 0.5
    assert conninfo_to_dict(found.settings.conninfo)[name] == value


@pytest.mark.parametrize(
    ("encoding", "client"), [("SQL_ASCII", ""), ("UTF8", "LATIN1"), ("EUC_JP", "SQL_ASCII")]
)
def test_users_are_the_same_whatever_the_encoding(
    encoding: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the database, as ``initdb`` makes one under the locale C, and of the client by its environment."""
    url = new_database(postgres_url(), f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    if client:
        monkeypatch.setenv("PGCLIENTENCODING", client)
    with closing(PostgresStore(url)) as store, asyncio.Runner() as runner:
        store.create_schema()
        twin = store.async_twin()
        for number, user in enumerate(("ann", "Łukasz", "葉子"), 1):
            store.create(record(number, user_id=user))
            assert store.get(record(number).handle) == record(number, user_id=user)
            assert runner.run(twin.get(record(number).handle)) == record(number, user_id=user)
            assert store.list_for_user(user) == [record(number, user_id=user)]
        runner.run(twin.close())


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


def test_schema_may_be_created_by_several_at_once() -> None:
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
