"""Expired records are removed at times, after responses."""

from __future__ import annotations

import pytest

from fluidauth.testing import FakeClock
from tests.handlers import broken, fields
from tests.support import Browser


@pytest.mark.requirement("56")
def test_cleaning_follows_responses_at_times(flaky: Browser, clock: FakeClock) -> None:
    """Once a minute a request that used its session is followed by a small cleaning."""
    store = broken(flaky)
    calls = []
    for seconds in (0, 59, 1, 1):
        clock.advance(seconds)
        store.calls.clear()
        flaky.request(fields)
        calls.append(store.calls.count("clean"))

    assert calls == [0, 0, 1, 0]


@pytest.mark.requirement("56")
def test_cleaning_spares_what_expired_within_the_hour(flaky: Browser, clock: FakeClock) -> None:
    """A clock that jumps half an hour ahead removes nothing."""
    store = broken(flaky)
    visitor = flaky.with_cookie(None)
    clock.advance(3_600 + 1_800)
    visitor.request(fields)
    early = len(store.scan())
    clock.advance(1_800)
    visitor.request(fields)

    assert (early, len(store.scan())) == (1, 0)


def test_failed_cleaning_fails_no_request(flaky: Browser, clock: FakeClock) -> None:
    """Cleaning is never the enforcement, and its failure nobody's problem."""
    broken(flaky, "clean")
    clock.advance(120)

    response = flaky.request(fields)

    assert response.status == 200
