"""Redis as a store: its settings, and what becomes of a call when a connection or a server fails."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import ConfigError, SessionEngine, SessionRecord, StoreError
from fluidauth.errors import StoreBusy
from fluidauth.keys import new_secret
from fluidauth.records import MAX_LIFETIME
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.routing import FRESH, _slot_of
from fluidauth.stores.redis.scripts import TOUCH, UPDATE, decoded, encoded
from fluidauth.stores.redis.url import Place
from fluidauth.stores.urls import store_from_url
from fluidauth.testing import make_record
from harness.servers.ports import free_port
from harness.servers.proxy import Proxy
from harness.servers.redis import (
    DURABLE,
    NewRedis,
    OwnRedis,
    empty_redis,
    redis_url,
    shared_cluster,
    until,
)

from .measures import Ticker
from .support import ON_THE_CLUSTER, Browser, Protocol

PATIENCE = 30  # seconds
LIMIT = 1.0  # seconds, of the stores here
Call = Callable[..., Any]


def client_of(url: str) -> Any:
    """Return Redis's own client, which knows nothing of ours."""
    return redis.Redis.from_url(url)


def record(number: int, version: int = 1, **more: Any) -> Any:
    return make_record(
        **{"handle": f"{number:064x}", "version": version, "user_id": f"user-{number}", **more}
    )


@contextmanager
def both_sides(url: str, **options: Any) -> Iterator[list[Call]]:
    """Give what makes one call of a store at *url*, blocking and on an event loop."""
    store = RedisStore(url, **{"timeout": LIMIT, **options})
    twin = store.async_twin()
    with closing(store), asyncio.Runner() as runner:
        yield [
            lambda name, *values: getattr(store, name)(*values),
            lambda name, *values: runner.run(getattr(twin, name)(*values)),
        ]
        runner.run(twin.close())


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server of all tests, with nothing stored there."""
    place = store_from_url(empty_redis()).settings.places[0]  # type: ignore[attr-defined]
    with closing(Proxy(place.host if not place.port else place)) as proxy:
        yield proxy


@pytest.fixture(params=[0, 1], ids=["blocking", "asynchronous"])
def call(request: pytest.FixtureRequest, proxy: Proxy) -> Iterator[Call]:
    """Make one call of a store whose connections lead through the proxy, on either side."""
    with both_sides(f"redis://127.0.0.1:{proxy.port}") as sides:
        yield sides[request.param]


@pytest.fixture
def own(new_redis: NewRedis) -> OwnRedis:
    """A server for harm, which stores each change before it answers."""
    return new_redis(*DURABLE)


# -- settings ------------------------------------------------------------------------------


@pytest.mark.requirement("12")
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://u:hunter2@host?timeout=0", "timeout must be above 0"),
        ("redis://u:hunter2@host?pool_size=0", "pool_size at least 1"),
        ("redis://u:hunter2@host?wait_replicas=-1", "wait_replicas 0 or more"),
        ("redis://u:hunter2@host?pool_size=many", "pool_size='many', which is not a number"),
        ("redis://u:hunter2@host?colour=red", "unknown option 'colour'"),
        ("redis://u:hunter2@host:port", "a port that is no number"),
        ("redis://u:hunter2@host/zero", "a database that is no number"),
        ("redis://u:hunter2@one,two", "several hosts are sentinels or a cluster"),
        ("redis+sentinel://u:hunter2@one,two", "names no service"),
        ("redis+cluster://u:hunter2@one,two/3", "one database, 0"),
        ("redis+galaxy://u:hunter2@one", "use redis://"),
        ("redis://u:hunter2@host?namespace=a:b", "namespace"),
        ("rediss://u:hunter2@host?ssl_ca_certs=/nowhere", "certificates .* cannot be used"),
        ("redis://u:hunter2@host?ssl_ca_certs=/nowhere", "ssl_ca_certs is for TLS"),
        ("redis+sentinel://u:hunter2@host/main?ssl_certfile=/nowhere", "ssl_certfile is for TLS"),
        ("unix:///u:hunter2?ssl_keyfile=/nowhere", "ssl_keyfile is for TLS"),
        ("rediss://u:hunter2@host?ssl_keyfile=/nowhere", "give ssl_certfile as well"),
    ],
)
def test_wrong_settings_are_refused_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        store_from_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "places", "rest"),
    [
        ("redis://host", [("host", 6379)], ("", "", 0)),
        ("valkey://:hunter2@host:1/5", [("host", 1)], ("", "hunter2", 5)),
        ("redis://us%40er:p%2Fw@[::1]:7/2", [("::1", 7)], ("us@er", "p/w", 2)),
        ("unix:///run/redis.sock?db=3", [("/run/redis.sock", 0)], ("", "", 3)),
        ("redis+cluster://one,two:2", [("one", 6379), ("two", 2)], ("", "", 0)),
        ("redis+sentinel://u:p@one,two:2/main/4", [("one", 26379), ("two", 2)], ("u", "p", 4)),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, places: list[Any], rest: Any) -> None:
    settings = store_from_url(url).settings  # type: ignore[attr-defined]
    assert list(settings.places) == places
    assert tuple(settings.login) == rest
    assert settings.service == ("main" if "sentinel" in url else "")


def test_a_url_sets_what_is_ours() -> None:
    found = store_from_url("redis://u:hunter2@host?namespace=shop&timeout=0.5&pool_size=3&wait_replicas=1")
    assert isinstance(found, RedisStore)
    assert found.settings[6:] == ("shop", 0.5, 3, 1)
    assert repr(found) == "<RedisStore host:6379 namespace='shop'>"
    assert "hunter2" not in repr(found.settings)


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fluidauth.stores.redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'fluidauth\[redis\]'"):
        store_from_url("redis://host")


@pytest.mark.parametrize(
    ("place", "reason"),
    [("u:hunter2@127.0.0.1:1", "refused"), ("u:hunter2@no-such-host.invalid", "no-such-host")],
)
def test_a_server_that_is_not_there_is_told_with_the_reason(place: str, reason: str) -> None:
    """When the engine is built, and without the password."""
    with pytest.raises(StoreError, match=reason) as caught:
        SessionEngine(new_secret(), f"redis://{place}")
    assert "hunter2" not in str(caught.value)


def test_a_password_is_asked_for_and_taken(new_redis: NewRedis) -> None:
    """Of the default user and of one with a name; a wrong one, or none, is told."""
    server = new_redis("--requirepass", "hunter2", "--user", "app", "on", ">s3cret", "~*", "+@all")
    for login in (":hunter2", "app:s3cret"):
        with both_sides(f"redis://{login}@127.0.0.1:{server.port}/1") as sides:
            sides[0]("create", record(1))
            assert sides[1]("get", record(1).handle) == record(1)
            sides[0]("delete", record(1).handle)
    for login, words in (("", "NOAUTH"), (":wrong@", "WRONGPASS")):
        with both_sides(f"redis://{login}127.0.0.1:{server.port}") as sides:
            for call in sides:
                with pytest.raises(StoreError, match=words):
                    call("get", record(1).handle)


def test_a_socket_serves_as_well(new_redis: NewRedis) -> None:
    server = new_redis()
    with both_sides(f"unix://{server.folder}/s?db=2") as sides:
        sides[0]("create", record(1))
        assert sides[1]("get", record(1).handle) == record(1)
        assert client_of(f"{server.url}/2").dbsize() == 2  # the record and the user's handles


def test_tls_is_spoken_and_names_are_checked(tmp_path: Path) -> None:
    """To a server behind TLS, with its own authority; one of another name is refused."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    for name in ("localhost", "elsewhere"):
        subprocess.run(
            [*make, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName=DNS:{name}"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
    plain = store_from_url(redis_url()).settings.places[0]  # type: ignore[attr-defined]
    for name in ("localhost", "elsewhere"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        with closing(Proxy(tuple(plain), tls=context)) as proxy:
            url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={tmp_path}/{name}.pem&namespace={name}"
            with both_sides(url) as sides:
                for number, call in enumerate(sides):
                    if name == "localhost":
                        call("create", record(number, payload=os.urandom(200_000)))
                        assert call("delete", record(number).handle) is True
                    else:
                        with pytest.raises(StoreError, match="certificate verify failed"):
                            call("get", record(1).handle)


def test_settings_under_which_sessions_get_lost_are_warned_of(
    caplog: pytest.LogCaptureFixture, new_redis: NewRedis
) -> None:
    """When the engine is built; a server that keeps what it is given is not spoken of."""
    risky = new_redis("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
    with caplog.at_level(logging.WARNING, "fluidauth"):
        SessionEngine(new_secret(), RedisStore(new_redis(*DURABLE).url)).close()
        assert caplog.messages == []
        SessionEngine(new_secret(), RedisStore(risky.url)).close()
    assert len(caplog.messages) == 2
    assert "maxmemory-policy volatile-lru" in caplog.messages[0]
    assert "no append-only file" in caplog.messages[1]


# -- what lies in Redis --------------------------------------------------------------------


@given(
    st.builds(
        SessionRecord,
        st.just("0" * 64),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255),
        st.integers(0, 2**53),
        st.integers(0, 2**53),
        st.integers(1, 2**53),
        st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=6, max_size=6),
        st.binary(),
    )
)  # fmt: skip
def test_a_record_comes_back_from_its_bytes(given_record: SessionRecord) -> None:
    assert decoded(given_record.handle, encoded(given_record)) == given_record


@given(st.binary(max_size=100))
def test_other_bytes_are_no_record(value: bytes) -> None:
    """An error of the store, or a record that no seal will fit; nothing else."""
    with suppress(StoreError):
        assert decoded("0" * 64, value).handle == "0" * 64


def test_a_key_that_holds_something_else_is_an_error() -> None:
    with both_sides(empty_redis()) as sides:
        sides[0]("create", record(1))
        client = client_of(redis_url())
        [key] = client.keys("fluidauth:{*")
        client.delete(key)
        client.rpush(key, "x")
        for call in sides:
            with pytest.raises(StoreError, match="WRONGTYPE"):
                call("get", record(1).handle)


def test_redis_removes_what_has_expired() -> None:
    """A minute after its expiry, by its own clock; a touch moves that on. Clocks may differ by as much."""
    with both_sides(empty_redis()) as sides:
        client, now = client_of(redis_url()), int(time.time())
        for number, call in enumerate(sides):
            call("create", record(number, expires_at=now + 100, user_id=None))
            [key] = client.keys("*")
            assert 150 < client.ttl(key) <= 160
            call("touch", record(number).handle, now + 200)
            assert 250 < client.ttl(key) <= 260
            call("update", record(number, 2, expires_at=now + 300, user_id=None))
            assert 350 < client.ttl(key) <= 360
            call("replace", record(number, 3, expires_at=now - 50, user_id=None), record(99, user_id=None))
            assert 0 < client.ttl(key) <= 10
            client.flushdb()
            call("create", record(number, expires_at=now - 61, user_id=None))
            assert client.keys("*") == []


def test_handles_of_a_user_that_are_gone_are_forgotten() -> None:
    """At the next login; what lives longer than its entry said is kept."""
    with both_sides(empty_redis()) as sides:
        client, now = client_of(redis_url()), int(time.time())
        for call in sides:
            for number, expires_at in ((2, now - 30), (3, now + 50)):
                call("create", record(number, user_id="zoë", expires_at=expires_at))
            gone, longer = bytes.fromhex(record(1).handle), bytes.fromhex(record(3).handle)
            client.zadd("fluidauth:u:zoë", {gone: now - 90, longer: now - 90})
            call("create", record(4, user_id="zoë", expires_at=now + 100))
            left = client.zrange("fluidauth:u:zoë", 0, -1, withscores=True)
            assert sorted((each[0].hex()[-1], each[1] - now) for each in left) == [
                ("2", -30),
                ("3", 50),
                ("4", 100),
            ]
            assert 0 < client.ttl("fluidauth:u:zoë") <= MAX_LIFETIME + 60
            client.flushdb()


def test_a_logout_leaves_nothing_of_a_user() -> None:
    with both_sides(empty_redis()) as sides:
        for call in sides:
            call("create", record(1))
            call("replace", record(1, 2, user_id=None), record(2, user_id="user-1"))
            assert call("delete", record(2).handle)
            client = client_of(redis_url())
            assert client.keys("fluidauth:u:*") == []
            client.flushdb()


def test_a_record_given_to_another_user_is_found_there() -> None:
    """No session escapes from whoever revokes its user."""
    with both_sides(empty_redis()) as sides:
        for call in sides:
            call("create", record(1))
            assert call("update", record(1, 2, user_id="new"))
            assert [each.version for each in call("list_for_user", "new")] == [2]
            assert call("list_for_user", "user-1") == []
            assert call("delete_for_user", "user-1") == 0
            assert call("delete_for_user", "new") == 1


@pytest.mark.check
@ON_THE_CLUSTER
def test_slots_are_those_of_redis() -> None:
    """Ours for each key is the one that a cluster says, braces or not."""
    node = shared_cluster().nodes[0].client
    for key in (b"a", b"fluidauth:{ab}\x00{}", b"{}x", b"a{b", b"}{", b"u:{{x}}", os.urandom(40)):
        assert node.execute_command("CLUSTER KEYSLOT", key) == _slot_of(key)


def test_both_records_of_a_renewal_share_a_slot(protocol: Protocol) -> None:
    """An engine on a cluster draws ids until they do; a store that is asked for anything else says so."""
    shared_cluster().clear()
    with closing(RedisStore(shared_cluster().url)) as store:
        browser = Browser(protocol, SessionEngine(new_secret(), store))
        for _ in range(3):
            browser.get(lambda session: session.login("zoë"))
            before = browser.get(lambda session: session.handle)
            browser.get(lambda session: session.regenerate())
            after = browser.get(lambda session: session.handle)
            assert after != before
            assert after[:2] == before[:2]
        with pytest.raises(StoreError, match="same 2 digits"):
            store.replace(record(1, 2), record(0, handle="f" * 64))


@pytest.mark.check
@ON_THE_CLUSTER
def test_a_walk_over_all_records_is_in_order_and_whole() -> None:
    """Page by page, also when others begin and end meanwhile, and over all servers of a cluster."""
    shared_cluster().clear()
    for url in (empty_redis(), shared_cluster().url):
        with both_sides(url) as sides:
            for number in range(700):
                sides[0]("create", make_record(str(number), user_id=None))
            for call in sides:
                seen: list[str] = []
                while page := call("scan", seen[-1] if seen else None, 64):
                    seen += [each.handle for each in page]
                    call("delete", page[0].handle)
                    call("create", make_record(page[0].handle, handle=page[0].handle, user_id=None))
                assert seen == sorted({make_record(str(number)).handle for number in range(700)})
                assert call("count_by_kid") == {"abcdef": 700}


# -- connections that break ------------------------------------------------------------------


def test_dead_connections_are_noticed_by_nobody(call: Call, proxy: Proxy) -> None:
    """A restart of the server leaves dead ones; no call fails for it."""
    call("create", record(1))
    proxy.cut_all()
    assert call("get", record(1).handle) == record(1)
    proxy.cut_all()
    assert call("update", record(1, 2)) is True


@pytest.mark.requirement("52")
@pytest.mark.parametrize("cut", ["cut_before", "cut_after", "cut_amid"])
def test_a_change_whose_answer_was_lost_is_done_once(call: Call, proxy: Proxy, cut: str) -> None:
    """Whether the server had carried it out or not, the caller hears what is true."""
    call("create", record(1))
    for name, change, words in (
        ("create", (record(2),), b"EVALSHA"),
        ("update", (record(1, 2),), b"EVALSHA"),
        ("replace", (record(2, 2, user_id=None), record(3)), b"EVALSHA"),
    ):
        getattr(proxy, cut)(words)
        assert call(name, *change) in (None, True)
        assert proxy._trigger == b""

    assert [(each.handle[-1], each.version) for each in call("scan")] == [("1", 2), ("2", 2), ("3", 1)]


@pytest.mark.requirement("23", "65")
@pytest.mark.parametrize("name", ["update", "touch"])
def test_a_users_list_is_healed_where_the_answer_was_lost(call: Call, proxy: Proxy, name: str) -> None:
    """A failover took the list away; that the session lives longer is in it again."""
    call("create", record(1))
    later = record(1).expires_at + 100
    with closing(client_of(redis_url())) as client:
        [key] = client.keys("*:u:*")
        proxy.cut_after((UPDATE if name == "update" else TOUCH).sha, lambda: client.delete(key))

        if name == "update":
            assert call("update", record(1, 2, expires_at=later)) is True
        else:
            assert call("touch", record(1).handle, later) is True

    assert [each.handle for each in call("list_for_user", record(1).user_id)] == [record(1).handle]


@pytest.mark.requirement("52")
def test_a_swap_that_another_won_is_not_taken_for_ours(call: Call, proxy: Proxy) -> None:
    """Of two requests that write the very same bytes one hears that it came too late, answer lost or not."""
    call("create", record(1))
    with closing(RedisStore(redis_url())) as other:
        other.update(record(1, 2))
    proxy.cut_after(b"EVALSHA")
    assert call("update", record(1, 2)) is False


@pytest.mark.requirement("27")
def test_an_answer_cut_in_the_middle_reaches_nobody(call: Call, proxy: Proxy) -> None:
    """Neither in part nor as the answer to the next question."""
    for number in (1, 2):
        call("create", record(number, payload=bytes([number]) * 3000))
    for _ in range(3):
        proxy.cut_amid(b"GET")
        assert call("get", record(1).handle) == record(1, payload=b"\x01" * 3000)
        assert call("get", record(2).handle) == record(2, payload=b"\x02" * 3000)


@pytest.mark.requirement("27")
def test_cancelled_reads_hand_nobody_the_record_of_another() -> None:
    """The answer to a request that went away is nobody's."""
    store = RedisStore(empty_redis())
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
    store.close()


@pytest.mark.requirement("27")
def test_an_interrupted_thread_leaves_no_answer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, or a worker's time limit, between question and answer."""
    with closing(RedisStore(empty_redis())) as store:
        for number in (1, 2):
            store.create(record(number))
        [pool] = store._pools.values()
        [link] = pool._idle
        reader = link._reader

        class Interrupting:
            def gets(self) -> Any:
                raise KeyboardInterrupt

            feed = reader.feed

        link._reader = Interrupting()  # type: ignore[assignment]  # as much of it as is used
        with pytest.raises(KeyboardInterrupt):
            store.get(record(1).handle)
        assert store.get(record(2).handle) == record(2)


# -- servers that fail -----------------------------------------------------------------------------


@pytest.mark.requirement("53")
def test_a_frozen_server_is_an_error_within_the_time_limit(own: OwnRedis) -> None:
    """Only the first wait for it, others hear so at once. What it says when it wakes reaches nobody."""
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
            finally:
                own.thaw()
            assert first.seconds < 2 * LIMIT
            assert second.seconds < LIMIT / 2
            with Ticker() as back:
                until(lambda call=call: answers(call, record(2).handle))  # type: ignore[misc]
            assert back.seconds < 2
            assert call("get", record(1).handle) == record(1)


def answers(call: Call, handle: str) -> bool:
    try:
        return call("get", handle) is None
    except StoreError:
        return False


@pytest.mark.requirement("52")
def test_what_was_acknowledged_outlives_a_killed_server(own: OwnRedis) -> None:
    """And calls work again by themselves as soon as it is back; forgotten scripts are given to it anew."""
    with both_sides(own.url, namespace="killed") as sides:
        for number, call in enumerate(sides):
            call("create", record(number))
        own.kill()
        for call in sides:
            with pytest.raises(StoreError, match="refused"):
                call("create", record(9))
        own.start()
        for number, call in enumerate(sides):
            with Ticker() as ticker:
                assert call("get", record(number).handle) == record(number)
            assert ticker.seconds < 2
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
    primary = new_redis()
    replica = new_redis("--replicaof", "127.0.0.1", str(primary.port))
    until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    with both_sides(replica.url) as sides:
        for call in sides:
            with pytest.raises(StoreError, match="it is a replica"):
                call("create", record(1))


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


# -- replicas, Sentinel ----------------------------------------------------------------------------


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
def test_what_a_sentinel_names_must_be_a_primary(new_redis: NewRedis) -> None:
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
def test_who_is_cut_off_with_an_old_primary_reads_nothing_there(new_redis: NewRedis) -> None:
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
def test_sentinels_that_do_not_answer_stop_nobody(new_redis: NewRedis) -> None:
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


# -- concurrency -----------------------------------------------------------------------------------


def test_an_exhausted_pool_is_busy_within_the_time_limit() -> None:
    with closing(RedisStore(empty_redis(), pool_size=1, timeout=0.2)) as store:
        store.create(record(1))
        [pool] = store._pools.values()
        assert pool._leave.acquire()
        with pytest.raises(StoreBusy, match="all connections to Redis were in use"):
            store.get(record(1).handle)
        pool._leave.release()
        assert store.get(record(1).handle) == record(1)


def test_threads_that_want_connections_share_a_few() -> None:
    with closing(RedisStore(empty_redis(), pool_size=3)) as store, ThreadPoolExecutor(16) as threads:
        store.create(record(1))
        for version in range(2, 30):
            done = [threads.submit(store.update, record(1, version)) for _ in range(16)]
            assert sum(each.result(PATIENCE) for each in done) == 1
        assert len(store._pools[next(iter(store._pools))]._idle) <= 3


@pytest.mark.check
@ON_THE_CLUSTER
def test_no_session_of_a_revoked_user_is_missed(protocol: Protocol) -> None:
    """However often its id is renewed meanwhile, what was there when a revocation began is gone after it."""
    for url in (empty_redis(), shared_cluster().url):
        with closing(RedisStore(url)) as store:
            engine = SessionEngine(new_secret(), store)
            for _ in range(10):
                browser, ready = Browser(protocol, engine), threading.Barrier(2)
                browser.get(lambda session: session.login("zoë"))

                def renew(browser: Browser = browser, ready: threading.Barrier = ready) -> None:
                    ready.wait(PATIENCE)
                    while browser.get(renewed):
                        pass

                thread = threading.Thread(target=renew)
                thread.start()
                ready.wait(PATIENCE)
                assert engine.revoke_user("zoë") >= 1
                assert engine.list_sessions("zoë") == []
                thread.join(PATIENCE)
                assert not thread.is_alive()


def renewed(session: Any) -> bool:
    session.regenerate()
    return bool(session.is_authenticated)


@pytest.mark.requirement("55")
def test_a_forked_process_has_connections_of_its_own() -> None:
    """Parent and children read at once, and the end of a child harms nobody."""
    store = RedisStore(empty_redis())
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
    store.close()


def test_trio_uses_the_blocking_side() -> None:
    import trio

    with closing(RedisStore(empty_redis())) as store:
        store.create(record(1))
        assert trio.run(store.async_twin().get, record(1).handle) == record(1)


def test_each_event_loop_has_connections_of_its_own() -> None:
    """Two that run at once, and one after the other; each closes its own when it ends."""
    with closing(RedisStore(empty_redis())) as store, ExitStack() as stack:
        store.create(record(1))
        twin = store.async_twin()
        client = client_of(redis_url())
        before = len(client.client_list())
        runners = [stack.enter_context(asyncio.Runner()) for _ in range(2)]
        for runner in [*runners, *runners]:
            assert runner.run(twin.get(record(1).handle)) == record(1)
        assert len(client.client_list()) == before + 2
        stack.close()
        until(lambda: len(client.client_list()) == before)


def test_a_place_is_shown_as_it_is_written() -> None:
    assert [str(Place("host", 1)), str(Place("/run/redis", 0))] == ["host:1", "/run/redis"]
