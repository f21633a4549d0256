"""Redis stores for tests, blocking and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import redis

from fluidauth.stores.redis import RedisStore
from fluidauth.testing import make_record

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
