"""What every store on a server promises, of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from fluidauth.stores.postgres import PostgresStore
from fluidauth.testing import AsyncRemoteStoreContract
from fluidauth.testing.remote import PATIENCE
from harness.servers.postgres import OwnPostgres, address_of
from harness.servers.redis import until
from tests.stores.remote import (
    FORGOTTEN,
    FORKED,
    FROZEN,
    LOST_ANSWERS,
    LOST_TOGETHER,
    OwnRemoteContract,
    OwnServer,
)
from tests.support import inherited_requirement


@pytest.fixture(scope="module")
def own() -> Iterator[OwnPostgres]:
    """A server for harm."""
    server = OwnPostgres()
    PostgresStore(server.url).create_schema()
    yield server
    server.stop()


def is_settled(pool: Any) -> bool:
    return bool(len(pool._pool) == pool._nconns)


async def settle(pool: Any) -> None:
    while not is_settled(pool):
        await asyncio.sleep(0)


class OnPostgres(OwnServer):
    """A server of this module, and a namespace of the test alone."""

    words: ClassVar = {"busy": "no PostgreSQL connection was free in time"}
    recovery = 0.0

    @pytest.fixture(autouse=True)
    def _on(self, own: OwnPostgres) -> None:
        self.server = own
        self.address = address_of(own.url)
        self.namespace = f"test-{uuid4().hex}"

    def make_store(self, port: int | None, **options: Any) -> PostgresStore:
        own = self.server.url
        url = make_conninfo(own, host="127.0.0.1", port=port) if port else own
        return PostgresStore(url, namespace=self.namespace, **options)

    def idle_links(self, store: Any) -> list[Any]:
        pools: Any = [store._pool] if isinstance(store, PostgresStore) else store._pools.values()
        for pool in pools:  # one may be opened still
            if isinstance(store, PostgresStore):
                until(partial(is_settled, pool))
            else:
                self.runner.run(asyncio.wait_for(settle(pool), PATIENCE))  # type: ignore[attr-defined]
        return [link for pool in pools for link in pool._pool]

    def descriptor_of(self, link: Any) -> int:
        number: int = link.pgconn.socket
        return number


@inherited_requirement("65", LOST_TOGETHER)
@inherited_requirement("52", *LOST_ANSWERS)
@inherited_requirement("53", FROZEN, FORGOTTEN)
@inherited_requirement("55", *FORKED)
class TestPostgresStore(OnPostgres, OwnRemoteContract):
    extra = "postgres"
    url = "postgresql://host/db"

    @contextmanager
    def take_connections(self, store: Any) -> Iterator[None]:
        link = store._pool.getconn()
        yield
        store._pool.putconn(link)


@inherited_requirement("65", LOST_TOGETHER)
@inherited_requirement("52", *LOST_ANSWERS)
class TestAsyncPostgresStore(OnPostgres, AsyncRemoteStoreContract):
    pass
