"""Who depends on a key, counted exactly."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from fluidauth import Keyring, Session, SessionEngine
from fluidauth.formats.payloads import sealed_by
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.maintenance.census import KeyUse
from fluidauth.rules.verdicts import inspect
from fluidauth.testing import FakeClock
from tests.stored import NEW, OLD, carry_through, reseal_as, stored
from tests.support import Browser


def test_the_use_of_a_key_is_counted_exactly(full_store: Any, clock: FakeClock) -> None:
    """Cookies and payloads of live sessions, who ends, and when the last expires by itself."""

    def engine(*secrets: str) -> SessionEngine:
        return SessionEngine(list(secrets), full_store, clock=clock)

    old, both = engine(OLD), engine(NEW, OLD)
    used = Browser("wsgi", old)
    used.request(lambda session: session.login("ada"))
    renewed = Browser("wsgi", old)
    renewed.request(lambda session: session.login("eve"))
    renewed.request(Session.regenerate)  # leaves a tombstone
    old.create_session("idle")
    expired = old.create_session("late")[1].handle
    record = full_store.get(expired)
    full_store.delete(expired)
    full_store.create(record._replace(expires_at=int(clock())))
    clock.advance(60)
    other = Browser("wsgi", both)
    other.cookie = used.cookie
    other.get(lambda session: session.user_id)  # cookie and row move to the new key

    use = KeyUse()
    use.count(both.policy, kid_of(OLD), stored(full_store), int(clock()))

    assert (use.sessions, use.cookies, use.payloads, use.fields) == (2, 2, 2, 0)
    assert use.until == int(clock()) - 60 + 3600
    carry_through(both, full_store)
    use = KeyUse()
    use.count(both.policy, kid_of(OLD), stored(full_store), int(clock()))
    assert (use.sessions, use.cookies, use.payloads) == (2, 2, 0)


@pytest.mark.parametrize("secrets", [[OLD], [NEW, OLD]])
def test_inspection_tells_records_apart(full_store: Any, clock: FakeClock, secrets: list[str]) -> None:
    """Live, expired, renewed, foreign, tampered with, and from the future."""
    engine = SessionEngine(OLD, full_store, clock=clock)
    policy = SessionEngine(secrets, full_store, clock=clock).policy
    live = full_store.get(engine.create_session("ada")[1].handle)
    now = int(clock())
    browser = Browser("wsgi", engine)
    browser.request(lambda session: session.update(a=1))
    grave = browser.get(lambda session: session.handle)
    browser.request(Session.regenerate)
    foreign = reseal_as(SessionEngine(new_secret(), full_store), engine, live)

    verdicts = [
        inspect(policy, record, at).verdict
        for record, at in [
            (live, now),
            (live, now + 3600),
            (live, now - 3600),
            (full_store.get(grave), now),
            (foreign, now),
            (live._replace(user_id="eve"), now),
            (live._replace(payload=b""), now),
            (live._replace(expires_at="soon"), now),
        ]
    ]

    assert verdicts == ["live", "ended", "ended", "ended", "foreign", "tampered", "tampered", "tampered"]


def test_a_session_whose_cookie_is_under_a_revoked_key_is_dead(full_store: Any, tmp_path: Path) -> None:
    """Also if its row was moved in time: nobody can come in with it."""
    engine = SessionEngine(OLD, full_store)
    handle = engine.create_session("ada")[1].handle
    carry_through(SessionEngine([NEW, OLD], full_store), full_store)
    path = tmp_path / "keyring.json"
    keyfile.change(
        path, lambda r: r.added(OLD, 1).added(NEW, 1).promoted(kid_of(NEW), 1).revoked(kid_of(OLD), 1)
    )
    policy = SessionEngine(Keyring.from_file(path), full_store).policy

    found = inspect(policy, full_store.get(handle), int(time.time()))

    assert (found.verdict, sealed_by(full_store.get(handle))) == ("revoked", kid_of(NEW))
