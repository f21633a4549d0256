"""Rekey moves every record to the signing key, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.formats.payloads import sealed_by
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.maintenance.rekey import rekey
from fluidauth.records import Body, Tombstone
from tests.stored import NEW, OLD, VALUES, carry_through, reseal_as, stored
from tests.support import Browser


def test_rekey_moves_every_record_and_changes_nothing_else(full_store: Any) -> None:
    """Fields, encrypted or not, user, times and the key of the cookie stay; tombstones move as well."""
    before = SessionEngine(OLD, full_store, encrypted_fields=("text", "map"))
    for number in range(10):
        before.create_session(f"user-{number}", dict(VALUES))
    browser = Browser("wsgi", before)
    browser.request(lambda session: session.update(VALUES))
    browser.request(Session.regenerate)
    earlier = stored(full_store)
    engine = SessionEngine([NEW, OLD], full_store)

    totals = carry_through(engine, full_store)

    later = stored(full_store)
    assert (totals.seen, totals.done, totals.skipped, totals.failed) == (12, 12, 0, [])
    assert {sealed_by(record) for record in later} == {kid_of(NEW)}
    assert [r._replace(version=0, payload=b"") for r in later] == [
        r._replace(version=0, payload=b"") for r in earlier
    ]
    contents = [SessionEngine(NEW, full_store).policy.sealer.unseal(record) for record in later]
    assert [b.fields for b in contents if isinstance(b, Body)] == [VALUES] * 11
    assert [set(b.locked) for b in contents if isinstance(b, Body)] == [{"text", "map"}] * 11
    assert sum(isinstance(found, Tombstone) for found in contents) == 1


def test_rekey_goes_on_where_it_stopped(full_store: Any) -> None:
    """What an interrupted run did is skipped by the next one."""
    before = SessionEngine(OLD, full_store)
    for number in range(10):
        before.create_session(f"user-{number}")
    engine = SessionEngine([NEW, OLD], full_store)

    first = next(rekey(engine.policy.sealer, full_store, 4)).done
    totals = carry_through(engine, full_store)

    assert (first, totals.done, totals.skipped) == (4, 6, 4)


def test_rekey_leaves_alone_what_it_cannot_open(full_store: Any) -> None:
    """Tampered and foreign records are named with their reason and stay as they are."""
    before = SessionEngine(OLD, full_store)
    foreign, tampered, good = (before.create_session("ada")[1].handle for _ in range(3))
    other = SessionEngine(new_secret(), full_store)
    full_store.update(reseal_as(other, before, full_store.get(foreign)))
    record = full_store.get(tampered)
    full_store.update(record._replace(version=2, user_id="mallory"))
    left = {handle: full_store.get(handle) for handle in (foreign, tampered)}

    totals = carry_through(SessionEngine([NEW, OLD], full_store), full_store)

    assert (totals.done, totals.skipped) == (1, 0)
    assert {handle: reason.partition(" ")[0] for handle, reason in totals.failed} == {
        foreign: "sealed",
        tampered: "changed,",
    }
    assert {handle: full_store.get(handle) for handle in left} == left
    assert sealed_by(full_store.get(good)) == kid_of(NEW)


class RacingStore(MemoryStore):
    """Lets a request in between each read of a page and the update that follows."""

    def __init__(self, race: Callable[[], object]) -> None:
        super().__init__()
        self.race = race
        self.left = 0

    def update_many(self, records: Any) -> list[bool]:
        if self.left:
            self.left -= 1
            self.race()
        return super().update_many(records)


@pytest.mark.parametrize(("races", "failures"), [(1, 0), (4, 0), (5, 1)])
def test_rekey_loses_no_change_of_a_request(races: int, failures: int) -> None:
    """A request that wins the race keeps its change; the record is read again, five times at most."""
    store = RacingStore(lambda: browser.request(lambda session: session.add("visits")))
    browser = Browser("wsgi", SessionEngine(OLD, store))
    browser.request(lambda session: session.login("ada", {"visits": 0}))
    store.left = races

    totals = carry_through(SessionEngine([NEW, OLD], store), store)

    assert browser.with_cookie(browser.cookie).get(lambda s: s.user_id) in ("ada", None)
    both = Browser("wsgi", SessionEngine([NEW, OLD], store))
    both.cookie = browser.cookie
    assert both.get(lambda session: session["visits"]) == races
    assert [reason for _, reason in totals.failed] == ["requests kept changing it"] * failures


def test_rekey_does_not_bring_back_what_was_logged_out() -> None:
    """A logout between the read and the update is final, and no failure."""
    store = RacingStore(lambda: browser.request(Session.logout))
    browser = Browser("wsgi", SessionEngine(OLD, store))
    browser.request(lambda session: session.login("ada"))
    store.left = 1

    totals = carry_through(SessionEngine([NEW, OLD], store), store)

    assert stored(store) == []
    assert (totals.done, totals.skipped, totals.failed) == (0, 1, [])


def test_rekey_may_pass_the_payload_limit(full_store: Any) -> None:
    """A record that fitted under a higher limit is not refused for it."""
    engine = SessionEngine(OLD, full_store, max_payload=10_000_000)
    engine.create_session("ada", {"text": "x" * 1_000_000})

    assert carry_through(SessionEngine([NEW, OLD], full_store), full_store).done == 1
