"""Connections to Redis that break amid a command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.scripts import TOUCH, UPDATE
from fluidauth.stores.urls import store_from_url
from harness.servers.proxy import Proxy
from harness.servers.redis import (
    empty_redis,
    redis_url,
)
from tests.stores.redis.support import Call, both_sides, client_of, record


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
