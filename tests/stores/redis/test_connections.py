"""Connections to Redis that break amid a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.scripts import TOUCH, UPDATE
from fluidauth.stores.urls import store_from_url
from fluidauth.testing.proxy import Proxy
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


@pytest.mark.requirement("27")
def test_answer_cut_in_the_middle_is_not_used(call: Call, proxy: Proxy) -> None:
    """Neither in part nor as the answer to the next question."""
    for number in (1, 2):
        call("create", record(number, payload=bytes([number]) * 3000))
    for _ in range(3):
        proxy.cut_amid(b"GET")
        assert call("get", record(1).handle) == record(1, payload=b"\x01" * 3000)
        assert call("get", record(2).handle) == record(2, payload=b"\x02" * 3000)


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
