"""What a GET costs through each client of Redis for Python, with one request at a time and with 32.

The connections of ``fluidauth.stores.redis.connection`` beside redis-py, and beside coredis and Valkey
GLIDE where they are installed (``pip install coredis valkey-glide``; the second is another package,
``valkey-glide-sync``, for blocking code). Clients take turns in one process, on one real server;
the figures are medians in microseconds a request.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from benchmarks.suite.crew import redis_server
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.async_connection import AsyncLink
from fluidauth.stores.redis.connection import Greeting, Link, Script
from fluidauth.stores.redis.url import Place, Settings

KEY, VALUE = "session", os.urandom(400)
VISIT = 640  # requests in a row
ROUNDS = 11
AT_ONCE = 32

Get = Callable[[], Any]
AsyncGet = Callable[[], Awaitable[Any]]


def main() -> None:
    figures: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sessions-") as folder, redis_server(Path(folder)) as url:
        with redis.Redis.from_url(url) as client:
            client.set(KEY, VALUE)
        blocking(url, figures)
        asyncio.run(awaited(url, figures))
    for name, times in figures.items():
        print(f"{name:42} {statistics.median(times):6.1f} µs")


def blocking(url: str, figures: dict[str, list[float]]) -> None:
    with clients(url) as gets:
        for _ in range(ROUNDS):
            for name, get in gets.items():
                start = time.perf_counter()
                for _ in range(VISIT):
                    get()
                figures[f"blocking, {name}"].append((time.perf_counter() - start) / VISIT * 1e6)


@contextmanager
def clients(url: str) -> Iterator[dict[str, Get]]:
    settings, place, greeting = whereabouts(url)
    link = Link(settings, place, greeting, settings.timeout)
    peer = redis.Redis.from_url(url)
    gets: dict[str, Get] = {
        "fluidauth": lambda: link.ask([("GET", KEY)], alone=True)[0],
        "redis-py": lambda: peer.get(KEY),
    }
    glide = installed("glide_sync")
    if glide:
        there = glide.GlideClient.create(glide.GlideClientConfiguration([glide.NodeAddress(*place)]))
        gets["Valkey GLIDE"] = lambda: there.get(KEY)
    check({name: get() for name, get in gets.items()})
    yield gets
    link.close()
    peer.close()


async def awaited(url: str, figures: dict[str, list[float]]) -> None:
    async with async_clients(url) as gets:
        for _ in range(ROUNDS):
            for name, get in gets.items():
                start = time.perf_counter()
                for _ in range(VISIT):
                    await get()
                figures[f"asynchronous, {name}"].append((time.perf_counter() - start) / VISIT * 1e6)
                start = time.perf_counter()
                for _ in range(VISIT // AT_ONCE):
                    await asyncio.gather(*(get() for _ in range(AT_ONCE)))
                took = (time.perf_counter() - start) / VISIT * 1e6
                figures[f"asynchronous, {name}, {AT_ONCE} at once"].append(took)


@asynccontextmanager
async def async_clients(url: str) -> AsyncIterator[dict[str, AsyncGet]]:
    settings, place, greeting = whereabouts(url)
    link = await AsyncLink.opened(settings, place, greeting, settings.timeout)
    peer = redis.asyncio.Redis.from_url(url)

    async def get() -> Any:
        return (await link.ask([("GET", KEY)]))[0]

    gets: dict[str, AsyncGet] = {"fluidauth": get, "redis-py": lambda: peer.get(KEY)}
    glide, coredis = installed("glide"), installed("coredis")
    if glide:
        addresses = [glide.NodeAddress(*place)]
        there = await glide.GlideClient.create(glide.GlideClientConfiguration(addresses))
        gets["Valkey GLIDE"] = lambda: there.get(KEY)
    if coredis:
        core = coredis.Redis(host=place.host, port=place.port)
        await core.__aenter__()
        gets["coredis"] = lambda: core.get(KEY)
    check({name: await get() for name, get in gets.items()})
    yield gets
    link.close()
    await peer.aclose()
    if coredis:
        await core.__aexit__(None, None, None)


def whereabouts(url: str) -> tuple[Settings, Place, Greeting]:
    settings = RedisStore(url).settings
    return settings, settings.places[0], Greeting(settings.login, [Script("return 1")])


def installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def check(answers: dict[str, Any]) -> None:
    """Raise ``AssertionError`` unless all got what is stored."""
    assert set(map(bytes, answers.values())) == {VALUE}, answers.keys()


if __name__ == "__main__":
    main()
