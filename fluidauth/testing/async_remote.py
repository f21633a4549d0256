"""The suite of ``remote`` for an asynchronous store, on one event loop."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Any

from fluidauth.stores.base import AsyncSessionStore

from .contract import Awaited
from .remote import POOL_SIZE, READS, RemoteContract, numbered


class AsyncRemoteStoreContract(RemoteContract):
    """The same promises of an :class:`~fluidauth.stores.AsyncSessionStore`, on one event loop.

    Override :meth:`make_async_store`, and what :class:`RemoteServer` asks for.
    """

    def make_async_store(self, port: int | None, *, timeout: float, pool_size: int) -> AsyncSessionStore:
        """Return a store on the server. With a *port*, use the proxy to it at that port of 127.0.0.1."""
        raise NotImplementedError

    @cached_property
    def runner(self) -> asyncio.Runner:
        return asyncio.Runner()

    def opened(self, port: int | None) -> Any:
        store = self.make_async_store(port, timeout=self.limit, pool_size=POOL_SIZE)
        return Awaited(store, self.runner)

    def teardown_method(self) -> None:
        super().teardown_method()
        self.runner.close()

    def read_at_once(self, handle: str) -> None:
        async def read() -> None:
            await asyncio.gather(*(self.store.awaited.get(handle) for _ in range(READS)))

        self.runner.run(read())

    def test_cancelled_reads_mix_up_no_records(self) -> None:
        """The answer to a cancelled request reaches no other one."""
        records = [numbered(number) for number in range(50)]
        for record in records:
            self.direct.create(record)

        async def wrong_answers() -> int:
            read, wrong = self.direct.awaited.get, 0
            for number in range(300):
                given_up = asyncio.ensure_future(read(records[number % 50].handle))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                given_up.cancel()
                following = records[(number + 1) % 50]
                wrong += await read(following.handle) != following
            return wrong

        assert self.runner.run(wrong_answers()) == 0
