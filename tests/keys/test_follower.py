"""A server follows its keyring file: when it looks, and what it takes over."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluidauth import ConfigError, Keyring, MemoryStore, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.formats import tokens
from fluidauth.keys import Key
from fluidauth.keys import file as keyfile
from fluidauth.keys.document import KeyDocument
from fluidauth.keys.key import kid_of
from fluidauth.testing import FakeClock
from tests.keys.documents import FIRST, MALFORMED, NOW, SECOND, Told, write
from tests.support import Browser, Protocol

# -- what the file may say ---------------------------------------------------------------------


@pytest.mark.requirement("35", "36")
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_changes_nothing_while_serving(path: Path, kind: str, protocol: Protocol) -> None:
    """Sessions go on under the old ring, each look reports it once, and a good file is taken up."""
    events: list[SessionEvent] = []
    clock = FakeClock(0)
    engine = SessionEngine(Keyring.from_file(path, clock=clock), MemoryStore(), on_event=events.append)
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("ada"))
    events.clear()

    write(path, MALFORMED[kind][0])
    clock.advance(5)
    answers = [browser.get(lambda session: session.user_id) for _ in range(3)]
    told = [event.name for event in events]
    reason = "it has no signing key" if kind == "none signs" else MALFORMED[kind][1]
    assert reason in (events[0].reason or "")
    write(path, KeyDocument(9).added(FIRST, NOW).added(SECOND, NOW))
    clock.advance(5)
    browser.get(lambda session: session.user_id)

    assert answers == ["ada"] * 3
    assert told == ["keyring_rejected"]
    assert [event.name for event in events[1:]] == ["keyring_reloaded"]
    assert engine.policy.keyring.state_of(kid_of(SECOND)) == "pending"


# -- who may touch the file --------------------------------------------------------------------


@pytest.mark.requirement("34")
def test_a_mounted_secret_is_followed(path: Path) -> None:
    """Kubernetes swaps a symbolic link to a folder; the file in it may be readable by all."""
    mount = path.parent
    for name, content in (("one", KeyDocument().added(FIRST, NOW)), ("two", None)):
        folder = mount / name
        folder.mkdir()
        content = content or KeyDocument(1).added(FIRST, NOW).added(SECOND, NOW)
        (folder / "keyring.json").write_bytes(content.render())
        (folder / "keyring.json").chmod(0o444)
    path.unlink()
    (mount / "..data").symlink_to("one")
    path.symlink_to("..data/keyring.json")
    clock = FakeClock(0)
    ring = Keyring.from_file(path, trust_mount=True, clock=clock)

    (mount / "next").symlink_to("two")
    (mount / "next").rename(mount / "..data")
    clock.advance(5)
    ring.refresh()

    assert ring.state_of(kid_of(SECOND)) == "pending"


# -- following it ------------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, path: Path) -> Iterator[list[str]]:
    """Every ``stat`` of the keyring file by its path."""
    found: list[str] = []
    real = os.stat

    def counting(target: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(target) == str(path):
            found.append(str(target))
        return real(target, *arguments, **options)

    monkeypatch.setattr(os, "stat", counting)
    yield found


def settled(path: Path) -> None:
    """Wait until the file was written a while ago, as most were: its time of change cannot be set."""
    while time.time_ns() - os.lstat(path).st_ctime_ns < 60_000_000:
        pass


@pytest.mark.requirement("35")
def test_file_is_looked_at_once_per_interval(path: Path, looks: list[str]) -> None:
    """However many requests: no ``stat`` until the interval has passed, and then one."""
    settled(path)
    clock = FakeClock(0)
    ring = Keyring.from_file(path, clock=clock)
    counts = []
    for _ in range(3):
        for _ in range(100):
            ring.refresh()
        counts.append(len(looks))
        clock.advance(4)
        ring.refresh()
        counts.append(len(looks))
        clock.advance(1)

    assert counts == [0, 0, 1, 1, 2, 2]


@pytest.mark.requirement("35")
def test_an_unknown_key_asks_for_one_early_look_a_second(path: Path, looks: list[str]) -> None:
    """A token under a key added a moment ago verifies; a flood of forged ones costs a look a second."""
    settled(path)
    clock = FakeClock(0)
    ring = Keyring.from_file(path, clock=clock)
    keyfile.change(path, lambda old: old.added(SECOND, NOW))
    looks.clear()
    token = tokens.sign(Key(SECOND), tokens.new_session_id())

    genuine = tokens.verify(ring, token)[1]
    after_one = len(looks)
    forged = {tokens.verify(ring, f"1.{kid}{token[8:]}") for kid in ("aaaaaa", "bbbbbb") for _ in range(100)}
    within = len(looks)
    clock.advance(1)
    tokens.verify(ring, f"1.aaaaaa{token[8:]}")

    assert genuine == kid_of(SECOND)
    assert forged == {"unknown_key"}
    assert (after_one, within, len(looks)) == (1, 1, 2)


@pytest.mark.requirement("36")
def test_a_revoked_key_needs_no_early_look(path: Path, looks: list[str]) -> None:
    """Its cookies are refused with their own reason, without a look at the file."""
    kid = kid_of(SECOND)
    keyfile.change(path, lambda old: old.added(SECOND, NOW).revoked(kid, NOW))
    ring = Keyring.from_file(path, clock=FakeClock(0))
    looks.clear()

    verdict = tokens.verify(ring, tokens.sign(Key(SECOND), tokens.new_session_id()))

    assert verdict == "revoked_key"
    assert looks == []


def test_a_file_replaced_within_one_tick_of_its_clock_is_noticed(path: Path) -> None:
    """A file read a moment after it was written is read again, since its times may not show a change."""
    clock = FakeClock(0)
    keyfile.change(path, lambda old: old.added(SECOND, NOW))
    ring = Keyring.from_file(path, clock=clock)
    found = path.stat()
    content = path.read_bytes().replace(b'"pending"', b'"revoked"')
    content = json.dumps(
        {
            **json.loads(content),
            "serial": 5,
            "keys": [_without_secret(k) for k in json.loads(content)["keys"]],
        }
    ).encode()
    with path.open("r+b") as file:  # the same inode, the same time
        file.truncate()
        file.write(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    clock.advance(5)
    ring.refresh()

    assert ring.state_of(kid_of(SECOND)) == "revoked"


def _without_secret(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "secret" or found["state"] != "revoked"}


@pytest.mark.requirement("35")
def test_a_rolled_back_file_is_refused(path: Path) -> None:
    """A backup that is put back does not bring back a key that was revoked meanwhile."""
    clock = FakeClock(0)
    backup = path.read_bytes()
    keyfile.change(path, lambda old: old.added(SECOND, NOW))
    ring = Keyring.from_file(path, clock=clock)
    told = Told()
    ring.report_to(told)

    write(path, backup)
    clock.advance(5)
    ring.refresh()

    assert ring.state_of(kid_of(SECOND)) == "pending"
    assert told.events == [
        (
            "keyring_rejected",
            f"keyring file {path}: serial 1 is lower than 2, which was in force: is it an old copy?",
        )
    ]


def test_a_key_pruned_away_does_not_come_back(path: Path) -> None:
    """What was revoked once is remembered, also when the file has forgotten it."""
    clock = FakeClock(0)
    kid = kid_of(SECOND)
    keyfile.change(path, lambda old: old.added(SECOND, NOW).revoked(kid, NOW))
    ring = Keyring.from_file(path, clock=clock)
    for edit in (lambda old: old.pruned(NOW + 1), lambda old: old.added(SECOND, NOW)):
        keyfile.change(path, edit)
        clock.advance(5)
        ring.refresh()

    assert ring.find(kid) is None


@pytest.mark.requirement("35")
def test_another_deployments_file_is_refused(path: Path) -> None:
    """A file with none of the keys in force was put there by mistake."""
    clock = FakeClock(0)
    ring = Keyring.from_file(path, clock=clock)
    told = Told()
    ring.report_to(told)

    write(path, KeyDocument(9).added(SECOND, NOW))
    clock.advance(5)
    ring.refresh()

    assert ring.signing.kid == kid_of(FIRST)
    assert "it has none of the keys in force: another deployment's?" in told.events[0][1]


@pytest.mark.requirement("36")
def test_a_key_taken_out_by_hand_is_gone(path: Path) -> None:
    """Also from a file whose serial was not raised."""
    clock = FakeClock(0)
    keyfile.change(path, lambda old: old.added(SECOND, NOW))
    ring = Keyring.from_file(path, clock=clock)

    write(path, KeyDocument(2, keyfile.read(path)[0].entries[1:]))
    clock.advance(5)
    ring.refresh()

    assert (ring.find(kid_of(SECOND)), ring.kids) == (None, (kid_of(FIRST),))


def test_event_handler_may_look_up_keys(path: Path) -> None:
    """An event handler that looks a key up while the file is being read again is not stuck."""
    clock = FakeClock(0)
    ring = Keyring.from_file(path, clock=clock)
    found: list[object] = []

    class Curious:
        def keyring_event(self, name: str, reason: str) -> None:
            clock.advance(10)
            found.append(ring.find("aaaaaa"))

    listener = Curious()
    ring.report_to(listener)
    keyfile.change(path, lambda old: old.added(SECOND, NOW))
    clock.advance(5)
    ring.refresh()

    assert found == [None]


@pytest.mark.requirement("35")
def test_a_forked_child_follows_the_file(path: Path) -> None:
    """Even if another thread of the parent was amid a look when it forked."""
    clock = FakeClock(0)
    ring = Keyring.from_file(path, clock=clock)
    keyfile.change(path, lambda old: old.added(SECOND, NOW))
    clock.advance(5)
    assert ring._file is not None

    with ring._file.lock:  # as that thread would hold it
        child = multiprocessing.get_context("fork").Process(target=_refresh_and_tell, args=(ring,))
        child.start()
        child.join(10)

    assert child.exitcode == 0


def _refresh_and_tell(ring: Keyring) -> None:
    ring.refresh()
    os._exit(0 if ring.state_of(kid_of(SECOND)) == "pending" else 1)


@pytest.mark.requirement("35")
def test_a_file_replaced_all_the_time_fails_no_request(path: Path, protocol: Protocol) -> None:
    """Hundreds of replacements, some halfway, beside requests of a process that looks at each chance."""
    engine = SessionEngine(Keyring.from_file(path, interval=0.000_001), MemoryStore())
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("ada"))
    done = threading.Event()

    def replace() -> None:
        for number in range(300):
            if number % 3:
                write(path, KeyDocument(number).added(FIRST, NOW))
            else:
                write(path, b'{"format": 1, "ser')
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    answers = set()
    while not done.is_set():
        answers.add(browser.get(lambda session: session.user_id))
    writer.join()

    assert answers == {"ada"}


# -- what a rotation does to sessions ----------------------------------------------------------


@pytest.mark.requirement("59")
def test_a_ring_from_a_file_shows_no_secret(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither its representation nor that of what it is made of, nor the log."""
    caplog.set_level(logging.DEBUG)
    content = keyfile.read(path)[0]
    ring = Keyring.from_file(path)

    shown = "".join([repr(ring), repr(content), str(content.entries), repr(ring._file), caplog.text])

    assert FIRST[6:] not in shown


@pytest.mark.parametrize("interval", [0, -1, 3601, "5", True, None])
def test_a_bad_interval_is_refused(path: Path, interval: Any) -> None:
    """Seconds, above 0 and at most an hour."""
    with pytest.raises(ConfigError, match=r"interval=.* must be above 0 and at most 3600 seconds"):
        Keyring.from_file(path, interval=interval)
