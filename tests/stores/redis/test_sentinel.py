"""Replicas, and Sentinels that lead to the primary."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import closing
from typing import Any

import pytest

from fluidauth import StoreError
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.routing import FRESH
from fluidauth.stores.redis.url import Place
from fluidauth.testing.ticker import Ticker
from harness.servers.ports import free_port
from harness.servers.redis import (
    DURABLE,
    NewRedis,
    OwnRedis,
    until,
)
from tests.stores.redis.support import LIMIT, Call, both_sides, client_of, record


def test_a_logout_waits_for_replicas(new_redis: NewRedis) -> None:
    """With ``wait_replicas`` it succeeds when they have it, and is an error when they do not answer."""
    primary = new_redis()
    replica = new_redis("--replicaof", "127.0.0.1", str(primary.port))
    until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    with both_sides(primary.url, wait_replicas=1) as sides:
        for number, call in enumerate(sides):
            call("create", record(number))
            assert call("delete", record(number).handle) is True
            assert replica.client.keys("fluidauth:{*") == []
        for number, _ in enumerate(sides):
            sides[0]("create", record(5 + number))
        replica.freeze()
        try:
            for number, call in enumerate(sides):
                with Ticker() as ticker, pytest.raises(StoreError, match="reached 0 of 1 replicas"):
                    call("delete", record(5 + number).handle)
                assert ticker.seconds < LIMIT
        finally:
            replica.thaw()


@pytest.mark.check
def test_sentinel_leads_to_the_primary_and_to_the_next_one(new_redis: NewRedis) -> None:
    """A failover is waited for; the sentinels have a password of their own."""
    primary = new_redis(*DURABLE)
    replica = new_redis(*DURABLE, "--replicaof", "127.0.0.1", str(primary.port))
    until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    sentinels = [sentinel_of(primary, new_redis) for _ in range(3)]
    hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
    watch = client_of(f"redis://:watch@127.0.0.1:{sentinels[0].port}")
    until(lambda: watch.sentinel_master("main")["num-other-sentinels"] == 2)
    until(lambda: watch.sentinel_master("main")["num-slaves"] == 1)
    url = f"redis+sentinel://{hosts}/main?sentinel_password=watch"
    with both_sides(url, timeout=2.0) as sides:
        for number, call in enumerate(sides):
            call("create", record(number))
        until(
            lambda: replica.client.dbsize() == primary.client.dbsize()
        )  # what it lacks is lost with the primary
        primary.kill()
        until(lambda: watch.sentinel_get_master_addr_by_name("main")[1] == replica.port)
        for number, call in enumerate(sides):
            with Ticker() as ticker:
                assert call("update", record(number, 2)) is True
            assert ticker.seconds < 2
            assert call("get", record(number).handle) == record(number, 2)


@pytest.mark.requirement("53")
def test_sentinels_without_a_password_are_asked(new_redis: NewRedis) -> None:
    """To whom there is nothing to say first."""
    primary = new_redis()
    sentinel = sentinel_of(primary, new_redis, password="")
    with both_sides(f"redis+sentinel://127.0.0.1:{sentinel.port}/main") as sides:
        sides[0]("create", record(1))
        assert [call("get", record(1).handle) for call in sides] == [record(1)] * 2


def name_instead(sentinel: OwnRedis, primary: OwnRedis) -> None:
    """Have *sentinel* name another primary, as after a failover."""
    sentinel.client.sentinel_remove("main")
    sentinel.client.sentinel_monitor("main", "127.0.0.1", primary.port, 1)


@pytest.mark.requirement("4")
def test_a_connection_that_ended_unused_leads_to_a_sentinel(new_redis: NewRedis) -> None:
    """Not to the old server again, which closed it at a failover and still has what ended since."""
    old, new = new_redis(), new_redis()
    sentinel = sentinel_of(old, new_redis, password="")
    store = RedisStore(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", timeout=LIMIT)
    twin = store.async_twin()

    async def main() -> list[Any]:
        await twin.create(record(1))
        before = [store.get(record(1).handle), await twin.get(record(1).handle)]
        [links] = twin._links.values()  # type: ignore[attr-defined]
        link, learnt_at = links._open[Place("127.0.0.1", old.port), False], time.monotonic()
        name_instead(sentinel, new)
        old.client.client_kill_filter(_type="normal")
        while not link.closed or time.monotonic() - learnt_at <= FRESH:
            await asyncio.sleep(0.01)
        after = [store.get(record(1).handle), await twin.get(record(1).handle)]
        await twin.close()
        return before + after

    assert asyncio.run(main()) == [record(1), record(1), None, None]


@pytest.mark.requirement("4")
def test_server_that_a_sentinel_names_must_be_a_primary(new_redis: NewRedis) -> None:
    """A replica that it takes for one yet is not read from."""
    primary = new_redis()
    replica = new_redis("--replicaof", "127.0.0.1", str(primary.port))
    sentinel = sentinel_of(replica, new_redis, password="")
    with both_sides(f"redis+sentinel://127.0.0.1:{sentinel.port}/main") as sides:
        for call in sides:
            with pytest.raises(StoreError, match="it is a replica"):
                call("get", record(1).handle)
        replica.client.replicaof("no", "one")
        assert [call("get", record(1).handle) for call in sides] == [None, None]


@pytest.mark.requirement("4")
def test_a_primary_whose_replicas_do_not_answer_is_doubted(new_redis: NewRedis) -> None:
    """Others may have taken its place: who could not end a session there asks a sentinel again."""
    for side in (0, 1):
        old, new = new_redis(), new_redis()
        sentinel = sentinel_of(old, new_redis, password="", quorum=1)
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        with both_sides(url, wait_replicas=1) as sides:
            sides[side]("create", record(1, user_id=None))
            assert sides[side]("get", record(1).handle) is not None
            name_instead(sentinel, new)
            with pytest.raises(StoreError, match="reached 0 of 1 replicas"):
                sides[side]("delete", record(2).handle)
            assert sides[side]("get", record(1).handle) is None


@pytest.mark.requirement("53")
def test_replicas_that_are_waited_for_in_vain_stop_no_reads(new_redis: NewRedis) -> None:
    """Nor does one connection on which several tasks wait for them for longer than the time limit."""
    twin = RedisStore(new_redis().url, timeout=0.4, wait_replicas=1).async_twin()

    async def main() -> tuple[list[Any], Any]:
        deletions = [twin.delete(record(number).handle) for number in range(4)]
        failures = await asyncio.gather(*deletions, return_exceptions=True)
        found = await twin.get(record(1).handle)
        await twin.close()
        return failures, found

    failures, found = asyncio.run(main())

    assert any("no answer within" in str(failure) for failure in failures)
    assert found is None


@pytest.mark.requirement("53")
def test_a_silent_sentinel_is_passed_over(new_redis: NewRedis) -> None:
    """Long before the time limit, on either side."""
    sentinel = sentinel_of(new_redis(), new_redis)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{sentinel.port}"
        url = f"redis+sentinel://{hosts}/main?sentinel_password=watch"
        with both_sides(url, timeout=5.0) as sides:
            for call in sides:
                with Ticker() as ticker:
                    assert call("get", record(1).handle) is None
                assert ticker.seconds < 3


class Watched:
    """A primary with a replica, and three sentinels, of which a store knows the first."""

    def __init__(self, new_redis: NewRedis) -> None:
        primary = new_redis()
        self.replica = new_redis(
            "--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0"
        )
        self.sentinels = [sentinel_of(primary, new_redis) for _ in range(3)]
        watch = client_of(f"redis://:watch@127.0.0.1:{self.sentinels[0].port}")
        until(lambda: watch.sentinel_master("main")["num-other-sentinels"] == 2)
        until(lambda: self.replica.client.info("replication")["master_link_status"] == "up")
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinels[0].port}/main?sentinel_password=watch"


def is_refused(call: Call) -> bool:
    try:
        return bool(call("get", record(1).handle))
    except StoreError:
        return True


@pytest.mark.check
@pytest.mark.requirement("4")
def test_old_primary_behind_a_partition_is_not_read(new_redis: NewRedis) -> None:
    """Some seconds later, where replicas are waited for: the sentinel on the same side has no quorum."""
    watched = Watched(new_redis)
    others = (*watched.sentinels[1:], watched.replica)
    with both_sides(f"{watched.url}&wait_replicas=1") as sides:
        assert [is_refused(call) for call in sides] == [False, False]
        for other in others:
            other.freeze()
        for call in sides:
            until(lambda call=call: is_refused(call))  # type: ignore[misc]
        for other in others:
            other.thaw()
        for call in sides:
            until(lambda call=call: not is_refused(call))  # type: ignore[misc]


@pytest.mark.check
@pytest.mark.requirement("53")
def test_silent_sentinels_stop_no_calls_without_wait_replicas(new_redis: NewRedis) -> None:
    """Where no replica is waited for: the primary that was known is gone on with."""
    watched = Watched(new_redis)
    with closing(RedisStore(watched.url)) as store:
        store.get(record(1).handle)
        learnt_at = store._routes._learnt_at
        for sentinel in watched.sentinels:
            sentinel.freeze()

        def is_asked_again() -> bool:
            assert store.get(record(1).handle) is None
            return store._routes._learnt_at > learnt_at

        until(is_asked_again)
        assert store.get(record(1).handle) is None
        for sentinel in watched.sentinels:
            sentinel.thaw()


def sentinel_of(primary: OwnRedis, new_redis: NewRedis, password: str = "watch", quorum: int = 2) -> OwnRedis:
    port = free_port()
    folder = primary.folder / str(port)
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"sentinel monitor main 127.0.0.1 {primary.port} {quorum}\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        + (f"requirepass {password}\n" if password else "")
    )
    return new_redis(port=port, config=folder / "sentinel.conf")
