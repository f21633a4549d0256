"""Somebody who comes with a cookie of a former system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fluidauth import SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import OldSystem
from tests.support import Browser, Protocol


@pytest.fixture
def old() -> OldSystem:
    return OldSystem()


@pytest.fixture
def browser(
    store: Any, protocol: Protocol, clock: FakeClock, events: list[SessionEvent], old: OldSystem
) -> Iterator[Browser]:
    engine = SessionEngine(new_secret(), store, adopt=[old], clock=clock, on_event=events.append)
    yield Browser(protocol, engine)
    engine.close()
