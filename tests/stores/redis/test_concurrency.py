"""Threads, processes and event loops that share a Redis store."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from fluidauth import SessionEngine
from fluidauth.keys import new_secret
from fluidauth.stores.redis import RedisStore
from harness.servers.redis import (
    empty_redis,
    redis_url,
    shared_cluster,
    until,
)
from tests.stores.redis.support import client_of, record
from tests.support import ON_THE_CLUSTER, Browser, Protocol

PATIENCE = 30  # seconds


def test_threads_that_want_connections_share_a_few() -> None:
    with closing(RedisStore(empty_redis(), pool_size=3)) as store, ThreadPoolExecutor(16) as threads:
        store.create(record(1))
        for version in range(2, 30):
            done = [threads.submit(store.update, record(1, version)) for _ in range(16)]
            assert sum(each.result(PATIENCE) for each in done) == 1
        assert len(store._pools[next(iter(store._pools))]._idle) <= 3


@pytest.mark.check
@ON_THE_CLUSTER
def test_revoking_a_user_misses_no_session_that_is_renewed(protocol: Protocol) -> None:
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
