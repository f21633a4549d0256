"""Somebody who is signed in on a store that can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluidauth import SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.support import Browser, FlakyStore, Protocol


@pytest.fixture
def outage() -> FlakyStore:
    return FlakyStore()


@pytest.fixture
def alice(protocol: Protocol, outage: FlakyStore, events: list[SessionEvent]) -> Iterator[Browser]:
    """Signed in, on a store that can be broken."""
    engine = SessionEngine(new_secret(), outage, on_event=events.append)
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("alice"))
    yield browser
    engine.close()
