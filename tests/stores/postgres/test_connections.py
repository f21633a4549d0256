"""Connections to PostgreSQL that break amid a statement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.postgres.statements import replace
from harness.servers.postgres import (
    address_of,
)
from harness.servers.proxy import Proxy
from harness.servers.redis import until
from tests.stores.postgres.support import LIMIT, record


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
