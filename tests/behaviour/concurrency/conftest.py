"""Each kind of concurrency, with each protocol and store that it is of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluidauth.events import SessionEvent
from fluidauth.testing import FakeClock
from tests.behaviour.concurrency.tabs import WORLDS, Processes, Tabs, Tasks, Threads
from tests.support import (
    Browser,
    Protocol,
    opened,
)


@pytest.fixture(params=WORLDS, ids="-".join)
def world(request: pytest.FixtureRequest) -> tuple[Protocol, str, str]:
    """The protocol, the store and what the two tabs run in."""
    return request.param  # type: ignore[no-any-return]  # pytest does not type it


@pytest.fixture
def protocol(world: tuple[Protocol, str, str]) -> Protocol:
    return world[0]


@pytest.fixture
def store(world: tuple[Protocol, str, str], tmp_path: Path) -> Iterator[Any]:
    with opened(world[1], tmp_path) as store:
        yield store


@pytest.fixture
def tabs(
    world: tuple[Protocol, str, str], browser: Browser, clock: FakeClock, events: list[SessionEvent]
) -> Tabs:
    kinds = {"nested": Tabs, "threads": Threads, "tasks": Tasks, "processes": Processes}
    return kinds[world[2]](browser, clock, events)
