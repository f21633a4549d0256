"""What a response leaves behind."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.keys import new_secret
from tests.handlers import fields, nothing, write
from tests.support import Browser, Protocol


def alive() -> int:
    return sum(isinstance(found, Session | Visit) for found in gc.get_objects())


@pytest.mark.parametrize(
    ("handler", "later"),
    [(nothing, None), (fields, None), (write, None), (nothing, nothing), (write, fields)],
)
def test_response_leaves_no_circle_to_the_garbage_collector(
    protocol: Protocol, handler: Any, later: Any
) -> None:
    """A request leads to its session, that to its visit, and that to the request, until its end."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore()))
    browser.request(write)
    gc.collect()
    gc.disable()
    try:
        before = alive()
        browser.request(handler, later=later)
        after = alive()
    finally:
        gc.enable()

    assert after == before
