"""Fixtures of pytest: ``pytest_plugins = ["fluidauth.testing.fixtures"]`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluidauth.engine import SessionEngine

from .clients import memory_engine
from .clock import FakeClock


@pytest.fixture
def session_clock() -> FakeClock:
    """The time of :func:`session_engine`. It stands still until a test moves it."""
    return FakeClock()


@pytest.fixture
def session_engine(session_clock: FakeClock) -> Iterator[SessionEngine]:
    """An engine in memory, closed when the test has ended."""
    engine = memory_engine(clock=session_clock)
    yield engine
    engine.close()
