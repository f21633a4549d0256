"""What a rotation by the keyring file does to sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fluidauth import Keyring, Session, SessionEngine, StoreError
from fluidauth.events import SessionEvent
from fluidauth.formats import tokens
from fluidauth.keys import Key
from fluidauth.keys import file as keyfile
from fluidauth.keys.document import KeyDocument
from fluidauth.keys.key import kid_of
from fluidauth.testing import FakeClock
from tests.keys.documents import FIRST, NOW, SECOND, THIRD, write
from tests.support import Browser, state_of


@pytest.fixture
def engine(
    path: Path, ring_clock: FakeClock, store: Any, clock: FakeClock, events: list[SessionEvent]
) -> Iterator[SessionEngine]:
    """An engine on every kind of store that follows the keyring file."""
    keyring = Keyring.from_file(path, clock=ring_clock)
    engine = SessionEngine(keyring, store, clock=clock, on_event=events.append, encrypted_fields=("email",))
    yield engine
    engine.close()


def kids_of(browser: Browser) -> tuple[str, str, str]:
    """Return the keys of the browser's cookie, of its row as the column says, and of the seal."""

    def look(session: Session) -> tuple[str, str]:
        record = state_of(session).record
        assert record is not None
        return record.kid, record.payload[1:7].decode()

    cookie = (browser.cookie or "")[2:8]
    return cookie, *browser.twin().get(look)


def test_rotation_in_four_steps_keeps_the_session(
    browser: Browser, path: Path, ring_clock: FakeClock
) -> None:
    """Add, promote, use, revoke: the session goes on, its cookie and row move at its first use."""
    old, new = kid_of(FIRST), kid_of(SECOND)
    browser.request(lambda session: session.login("ada", {"email": "ada@example.com"}))
    before = browser.cookie or ""

    def step(edit: Callable[[KeyDocument], KeyDocument]) -> tuple[str, str, str]:
        keyfile.change(path, edit)
        ring_clock.advance(5)
        assert browser.get(dict) == {"email": "ada@example.com"}
        return kids_of(browser)

    added = step(lambda ring: ring.added(SECOND, NOW))
    promoted = step(lambda ring: ring.promoted(new, NOW))
    revoked = step(lambda ring: ring.revoked(old, NOW))

    assert (added, promoted, revoked) == ((old,) * 3, (new,) * 3, (new,) * 3)
    assert (browser.cookie or "")[9:41] == before[9:41]  # the same id


@pytest.mark.requirement("36")
def test_a_cookie_under_a_revoked_key_opens_nothing(
    browser: Browser, path: Path, ring_clock: FakeClock, events: list[SessionEvent]
) -> None:
    """From one interval after the revocation on; others' sessions go on."""
    browser.request(lambda session: session.login("ada"))
    left_behind = browser.twin()
    keyfile.change(path, lambda ring: ring.added(SECOND, NOW).promoted(kid_of(SECOND), NOW))
    ring_clock.advance(5)
    browser.get(lambda session: session.user_id)
    still_good = left_behind.twin().get(lambda session: session.user_id)
    keyfile.change(path, lambda ring: ring.revoked(kid_of(FIRST), NOW))
    ring_clock.advance(5)
    events.clear()

    assert still_good == "ada"
    assert left_behind.get(lambda session: session.user_id) is None
    assert [(event.name, event.reason) for event in events if event.name == "cookie_rejected"] == [
        ("cookie_rejected", "revoked_key")
    ]
    assert browser.get(lambda session: session.user_id) == "ada"


@pytest.mark.requirement("36")
@pytest.mark.parametrize("use", ["read", "write", "regenerate", "save"])
def test_a_request_under_way_does_not_carry_a_revoked_session_over(
    browser: Browser, path: Path, ring_clock: FakeClock, use: str
) -> None:
    """A slow request that began before the revocation gets no cookie under the new key, and saves nothing."""
    browser.request(lambda session: session.login("ada"))
    keyfile.change(path, lambda ring: ring.added(SECOND, NOW).promoted(kid_of(SECOND), NOW))
    ring_clock.advance(5)

    def slow(session: Session) -> None:
        assert session.user_id == "ada"
        keyfile.change(path, lambda ring: ring.revoked(kid_of(FIRST), NOW))
        ring_clock.advance(5)
        if use in ("write", "save"):
            session["late"] = True
        if use == "regenerate":
            session.regenerate()

    answer = browser.request(slow)

    assert answer.status == 200
    assert answer.set_cookies == []
    assert browser.get(lambda session: session.user_id) is None


def test_a_pending_key_that_signs_elsewhere_is_not_taken_back(
    browser: Browser, path: Path, ring_clock: FakeClock
) -> None:
    """Another process promoted the key already: this one verifies, and re-signs nothing under the old one."""
    keyfile.change(path, lambda ring: ring.added(SECOND, NOW))
    ring_clock.advance(5)
    browser.request(lambda session: session.login("ada"))
    keyring = browser.engine.policy.keyring
    ahead = tokens.sign(Key(SECOND), (browser.cookie or "")[9:41])

    answer = browser.with_cookie(ahead).request(lambda session: session.user_id)

    assert keyring.state_of(kid_of(SECOND)) == "pending"
    assert (answer.value, answer.set_cookies) == ("ada", [])


def test_a_key_promoted_in_haste_is_met_by_an_early_look(
    browser: Browser, path: Path, ring_clock: FakeClock
) -> None:
    """A cookie and a row under a key that this process has not heard of are good at once."""
    browser.request(lambda session: session.login("ada", {"email": "ada@example.com"}))
    keyfile.change(path, lambda ring: ring.added(SECOND, NOW).promoted(kid_of(SECOND), NOW))
    elsewhere = SessionEngine(
        Keyring.from_file(path), browser.engine.requests.store, clock=browser.engine.requests.clock
    )
    other = Browser(browser.protocol, elsewhere)
    other.cookie = browser.cookie
    other.get(lambda session: session.user_id)  # re-signs the cookie and re-seals the row

    assert kids_of(other)[0] == kid_of(SECOND)
    assert browser.with_cookie(other.cookie).get(dict) == {"email": "ada@example.com"}


def test_reads_go_on_without_a_signing_key(
    browser: Browser, path: Path, ring_clock: FakeClock, events: list[SessionEvent]
) -> None:
    """The only signing key was revoked by hand: sessions under other keys are read, nothing is written."""
    browser.request(lambda session: session.login("ada"))
    keyfile.change(path, lambda ring: ring.added(SECOND, NOW).promoted(kid_of(SECOND), NOW))
    ring = keyfile.read(path)[0]
    entries = tuple(
        entry.moved("revoked", NOW) if entry.state == "signing" else entry for entry in ring.entries
    )
    ring_clock.advance(5)
    write(path, KeyDocument(ring.serial + 1, entries))
    ring_clock.advance(5)

    read = browser.request(lambda session: session.user_id)
    change = browser.request(lambda session: session.update(x=1))
    login = browser.with_cookie(None).request(lambda session: session.login("bob"))

    assert (read.status, read.value, read.set_cookies) == (200, "ada", [])
    assert (change.status, login.status, login.set_cookies) == (503, 503, [])
    assert [event.name for event in events if event.name.startswith("keyring")] == ["keyring_reloaded"]
    with pytest.raises(StoreError, match="no key signs"):
        browser.engine.create_session("carol")
    keyfile.change(path, lambda ring: ring.added(THIRD, NOW))
    ring_clock.advance(5)
    browser.request(lambda session: session.user_id)
    assert browser.engine.policy.keyring.state_of(kid_of(THIRD)) == "pending"
    keyfile.change(path, lambda ring: ring.promoted(kid_of(THIRD), NOW))
    ring_clock.advance(5)
    assert browser.request(lambda session: session.update(x=1)).status == 200
