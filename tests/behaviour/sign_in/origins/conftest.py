"""An engine that blocks requests of other origins, and who they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluidauth import MemoryStore, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.handlers import log_in
from tests.support import Browser

HOST = {"Host": "app.shop.test"}
OURS = "https://app.shop.test"
SIBLING = "https://blog.shop.test"
EVIL = "https://evil.test"


@pytest.fixture
def engine(events: list[SessionEvent]) -> Iterator[SessionEngine]:
    engine = SessionEngine(
        new_secret(),
        MemoryStore(),
        on_event=events.append,
        cross_origin="block",
        trusted_origins=(
            "https://part_ner.test",
            "https://partner.test",
            "https://Port.test:8443",
            "https://default.test:443",
        ),
        cross_origin_exempt=("/saml/acs", "/hooks/*"),
        client_tokens=True,
    )
    yield engine
    engine.close()


@pytest.fixture
def user(browser: Browser) -> Browser:
    browser.request(log_in)
    return browser
