"""Two requests of one session of which one ends it."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Session
from tests.behaviour.concurrency.tabs import Tabs, fields, log_in

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.mark.requirement("4")
@pytest.mark.parametrize(
    "meanwhile",
    ["changed_others", "changed_same", "regenerated", "logged_in", "logged_out", "revoked", "expired"],
)
def test_a_logout_is_final(tabs: Tabs, meanwhile: str) -> None:
    """Whatever happened meanwhile, no session is left, not even under a new id."""
    tabs.overtaken(Session.logout, getattr(tabs, meanwhile))

    assert tabs.other.get(lambda s: (s.user_id, dict(s))) == (None, {})
    assert tabs.rows() == 0


@pytest.mark.requirement("4")
def test_a_slow_logout_follows_a_chain_of_new_ids(tabs: Tabs) -> None:
    """Even after the tombstones' minute a logout finds what the session became."""

    def meanwhile() -> None:
        tabs.regenerated()
        tabs.regenerated()
        tabs.clock.advance(90)

    tabs.overtaken(Session.logout, meanwhile)

    assert tabs.other.get(fields) == {}


@pytest.mark.requirement("4")
@pytest.mark.parametrize("renew", [Session.regenerate, log_in], ids=["regenerate", "login"])
def test_a_logout_under_the_old_id_ends_the_new_one(tabs: Tabs, renew: Any) -> None:
    """A tab that has not heard of the new id still logs out."""
    tabs.mine.request(renew)

    tabs.other.request(Session.logout)

    assert tabs.mine.get(lambda s: (s.user_id, dict(s))) == (None, {})
