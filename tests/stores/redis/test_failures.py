"""Redis servers that fail: frozen, killed, loading, full, evicting."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis

from fluidauth import StoreError
from fluidauth.errors import StoreBusy
from fluidauth.testing.proxy import Proxy
from fluidauth.testing.ticker import Ticker
from harness.servers.redis import (
    DURABLE,
    NewRedis,
    OwnRedis,
    empty_redis,
    redis_url,
    until,
)
from tests.stores.redis.support import LIMIT, Call, both_sides, client_of, record


@pytest.fixture
def own(new_redis: NewRedis) -> OwnRedis:
    """A server for harm, which stores each change before it answers."""
    return new_redis(*DURABLE)


@pytest.mark.requirement("53")
def test_frozen_server_is_waited_for_on_an_old_connection_and_a_new_one(own: OwnRedis) -> None:
    """The old one may be forgotten on the way. Then others hear so at once, and nobody what it says."""
    with both_sides(own.url, namespace="frozen") as sides:
        sides[0]("create", record(1))
        for call in sides:
            assert call("get", record(1).handle) == record(1)
            own.freeze()
            try:
                start = time.monotonic()
                with Ticker() as first, pytest.raises(StoreError, match="does not answer"):
                    call("get", record(1).handle)
                assert time.monotonic() - start >= LIMIT
                with Ticker() as second, pytest.raises(StoreError, match="does not answer"):
                    call("get", record(1).handle)
                with Ticker() as third, pytest.raises(StoreError, match="does not answer"):
                    call("get", record(1).handle)
            finally:
                own.thaw()
            assert first.seconds < 2 * LIMIT
            assert second.seconds < 2 * LIMIT
            assert third.seconds < LIMIT / 2
            with Ticker() as back:
                until(lambda call=call: answers(call, record(2).handle))  # type: ignore[misc]
            assert back.seconds < 2
            assert call("get", record(1).handle) == record(1)


def answers(call: Call, handle: str) -> bool:
    try:
        return call("get", handle) is None
    except StoreError:
        return False


def test_a_server_with_too_many_clients_says_so(new_redis: NewRedis) -> None:
    """Not only that it closed the connection; as soon as there is room, all goes on."""
    server = new_redis("--maxclients", "1")
    with both_sides(server.url, namespace="full") as sides:
        for call in sides:
            with closing(server.client) as other:
                until(lambda other=other: takes_the_only_place(other))  # type: ignore[misc]
                with pytest.raises(StoreError, match="max number of clients reached"):
                    call("get", record(1).handle)
        until(lambda: answers(sides[0], record(1).handle))


def takes_the_only_place(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_forgotten_scripts_are_given_to_the_server_anew(own: OwnRedis) -> None:
    with both_sides(own.url) as sides:
        for number, call in enumerate(sides):
            call("create", record(number))
        own.client.script_flush()
        for number, call in enumerate(sides):
            assert call("update", record(number, 2)) is True


@pytest.mark.check
@pytest.mark.requirement("53")
def test_a_server_that_loads_is_waited_for_but_not_for_long(new_redis: NewRedis) -> None:
    """LOADING is no empty store: who asks waits a while, and then hears an error."""
    server = new_redis("--rdbcompression", "no", "--key-load-delay", "100000")  # microseconds
    with both_sides(server.url) as sides:
        sides[0]("create", record(1))
        for number in range(40):  # it looks at its connections every two megabytes
            server.client.set(f"other-{number}", bytes(1_000_000))
        server.client.save()
        server.kill()
        server.start()  # until it answers anything
        for call in sides:
            with pytest.raises(StoreBusy, match="LOADING"):
                call("get", record(1).handle)
        until(lambda: server.client.info("persistence")["loading"] == 0)
        for call in sides:
            assert call("get", record(1).handle) == record(1)


@pytest.mark.requirement("52")
def test_a_full_memory_refuses_new_sessions_and_keeps_the_old(new_redis: NewRedis) -> None:
    server = new_redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with both_sides(server.url) as sides:
        sides[0]("create", record(1))
        server.client.config_set("maxmemory", "1")
        for call in sides:
            assert call("get", record(1).handle) == record(1)
            with pytest.raises(StoreError, match="out of memory"):
                call("create", record(2))
            assert call("get", record(2).handle) is None
        assert sides[0]("delete", record(1).handle) is True  # a logout needs no memory


@pytest.mark.requirement("52")
def test_a_replica_is_told_from_a_primary(new_redis: NewRedis) -> None:
    """It is asked once more, over a new connection, and then refused at once."""
    primary = new_redis()
    replica = new_redis("--replicaof", "127.0.0.1", str(primary.port))
    until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    with both_sides(replica.url) as sides:
        for call in sides:
            before = connections_to(replica)
            with pytest.raises(StoreError, match="it is a replica; give the primary"):
                call("create", record(1))
            assert connections_to(replica) - before == 3  # two of ours, and that which looks


@pytest.mark.requirement("53")
def test_a_dead_address_of_a_name_leaves_time_for_the_next(own: OwnRedis, monkeypatch: Any) -> None:
    """As IPv6 without a route: what is sent there is lost, and the other address of the name serves."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, full_queue_of(silent):
        there = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", silent.getsockname())]
        there.append((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", own.port)))
        known = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *rest, **more: there if host == "two" else known(host, *rest, **more),
        )
        with both_sides("redis://two") as sides:
            for number, call in enumerate(sides):
                call("create", record(number))
                assert call("get", record(number).handle) == record(number)


@contextmanager
def full_queue_of(listener: socket.socket) -> Iterator[None]:
    """Have *listener* neither take nor refuse who comes next."""
    waiting = []
    try:
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        yield
    finally:
        for each in waiting:
            each.close()


def connections_to(server: OwnRedis) -> int:
    """Return how many there were since it began."""
    return int(server.client.info("stats")["total_connections_received"])


@pytest.mark.requirement("52")
@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_primary_that_became_a_replica_is_left(new_redis: NewRedis, kind: str) -> None:
    """Its name leads to another one by now, while the connections to it stay; no session hears of that."""
    old, new = new_redis(kind=kind), new_redis(kind=kind)
    new.client.replicaof("127.0.0.1", old.port)
    until(lambda: new.client.info("replication")["master_link_status"] == "up")
    proxy = Proxy(("127.0.0.1", old.port))
    with closing(proxy), both_sides(f"redis://127.0.0.1:{proxy.port}") as sides:
        for number, call in enumerate(sides):
            call("create", record(number))
        until(lambda: new.client.dbsize() == old.client.dbsize())

        new.client.replicaof("NO", "ONE")
        proxy.lead_to(("127.0.0.1", new.port))
        old.client.replicaof("127.0.0.1", new.port)
        until(lambda: old.client.info("replication")["master_link_status"] == "up")

        for number, call in enumerate(sides):
            assert call("update", record(number, 2))
            assert call("get", record(number).handle) == record(number, 2)


def test_evicted_sessions_are_gone_and_nothing_else() -> None:
    """Who had one is anonymous and may begin anew."""
    with both_sides(empty_redis()) as sides:
        for call in sides:
            call("create", record(1))
            client_of(redis_url()).flushdb()
            assert call("get", record(1).handle) is None
            assert call("update", record(1, 2)) is False
            assert call("touch", record(1).handle, record(1).expires_at + 1) is False
            assert call("delete", record(1).handle) is False
            assert call("list_for_user", "user-1") == []
