"""Engines on a store that can do everything."""

from __future__ import annotations

import pytest

from fluidauth import MemoryStore, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.engine.calls import Calls


@pytest.fixture(params=[False, True], ids=["blocking", "awaited"])
def calls(request: pytest.FixtureRequest, engine: SessionEngine) -> Calls:
    return Calls(engine, request.param)


@pytest.fixture
def full(clock: FakeClock, events: list[SessionEvent]) -> SessionEngine:
    """An engine on a store with every capability."""
    return SessionEngine(secret=new_secret(), store=MemoryStore(), clock=clock, on_event=events.append)
