"""What every store on a server promises, of Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from fluidauth.stores.redis import RedisStore
from fluidauth.testing import AsyncRemoteStoreContract
from harness.servers.redis import DURABLE, NewRedis
from tests.stores.remote import (
    CANCELLED,
    CUT_SHORT,
    FORGOTTEN,
    FORKED,
    FROZEN,
    KILLED,
    LOST_ANSWERS,
    LOST_TOGETHER,
    OwnRemoteContract,
    OwnServer,
)
from tests.support import inherited_requirement


class OnRedis(OwnServer):
    """A server of the test alone, which stores each change before it answers."""

    words: ClassVar = {
        "frozen": "does not answer",
        "down": "refused",
        "busy": "all connections to Redis were in use",
    }

    @pytest.fixture(autouse=True)
    def _on(self, new_redis: NewRedis) -> None:
        self.server = new_redis(*DURABLE)
        self.address = ("127.0.0.1", self.server.port)

    def make_store(self, port: int | None, **options: Any) -> RedisStore:
        return RedisStore(f"redis://127.0.0.1:{port or self.server.port}", **options)

    def idle_links(self, store: Any) -> list[Any]:
        if isinstance(store, RedisStore):
            return [link for pool in store._pools.values() for link in pool._idle]
        return [link for links in store._links.values() for link in links._open.values()]

    def descriptor_of(self, link: Any) -> int:
        number: int = (getattr(link, "_socket", None) or link._transport.get_extra_info("socket")).fileno()
        return number


@inherited_requirement("65", LOST_TOGETHER)
@inherited_requirement("52", *LOST_ANSWERS, CUT_SHORT, KILLED)
@inherited_requirement("53", FROZEN, FORGOTTEN)
@inherited_requirement("55", *FORKED)
class TestRedisStore(OnRedis, OwnRemoteContract):
    extra = "redis"
    url = "redis://host"

    @contextmanager
    def take_connections(self, store: Any) -> Iterator[None]:
        [pool] = store._pools.values()
        assert pool._leave.acquire()
        yield
        pool._leave.release()


@inherited_requirement("65", LOST_TOGETHER)
@inherited_requirement("52", *LOST_ANSWERS, CUT_SHORT, KILLED)
@inherited_requirement("53", FROZEN, FORGOTTEN)
@inherited_requirement("27", CANCELLED)
class TestAsyncRedisStore(OnRedis, AsyncRemoteStoreContract):
    pass
