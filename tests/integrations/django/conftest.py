"""Django's settings, as they were before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from fluidauth import MemoryStore
from tests.integrations.django.sites import AsyncSite, Site


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with override_settings(FLUIDAUTH={"store": MemoryStore()}):
        yield


@pytest.fixture(params=[Site, AsyncSite], ids=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.param()  # type: ignore[no-any-return]  # pytest does not type it
