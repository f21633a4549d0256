"""The keyring file: what it may say, who may touch it, and how processes follow it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import stat
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import ConfigError, Keyring, MemoryStore, Session, SessionEngine, StoreError
from fluidauth.events import SessionEvent
from fluidauth.formats import tokens
from fluidauth.keys import Key, new_secret
from fluidauth.keys import file as keyfile
from fluidauth.keys.document import STATES, KeyDocument, KeyEntry, KeyState, parse
from fluidauth.keys.key import kid_of
from fluidauth.testing import FakeClock

from .support import Browser, Protocol, state_of

NOW = 1_760_000_000
FIRST, SECOND, THIRD = (new_secret() for _ in range(3))


def document(**secrets: KeyState) -> KeyDocument:
    """Return a document with a key in each of the states given, under the names given."""
    entries = []
    for state in secrets.values():
        secret = new_secret()
        entries.append(KeyEntry(kid_of(secret), state, NOW, NOW, None if state == "revoked" else secret))
    return KeyDocument(7, tuple(entries))


def write(path: Path, content: KeyDocument | bytes) -> None:
    """Put a file at *path* as another program would: whole, mode 0600."""
    draft = path.with_name("draft")
    draft.touch(0o600)
    draft.write_bytes(content if isinstance(content, bytes) else content.render())
    draft.rename(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A keyring file with one signing key."""
    path = tmp_path / "keyring.json"
    keyfile.change(path, lambda empty: empty.added(FIRST, NOW))
    return path


# -- states and their transitions --------------------------------------------------------------


def test_the_first_key_signs_and_the_next_ones_wait() -> None:
    """A new file can serve at once; what is added later verifies until it is promoted."""
    one = KeyDocument().added(FIRST, NOW)
    two = one.added(SECOND, NOW + 1)

    assert one.states == {kid_of(FIRST): "signing"}
    assert two.states == {kid_of(SECOND): "pending", kid_of(FIRST): "signing"}
    assert (one.serial, two.serial) == (1, 2)


@pytest.mark.requirement("31")
@pytest.mark.parametrize("state", STATES)
def test_only_a_pending_key_is_promoted(state: KeyState) -> None:
    """Promotion makes the former signing key a verifying one, and a former key never signs again."""
    ring = document(signing="signing", other=state) if state != "signing" else document(other="signing")
    kid = ring.entries[-1].kid

    if state == "pending":
        after = ring.promoted(kid, NOW + 5)

        assert after.states == {ring.entries[0].kid: "verifying", kid: "signing"}
        assert [entry.changed for entry in after.entries] == [NOW + 5, NOW + 5]
        assert after.serial == ring.serial + 1
    else:
        with pytest.raises(ConfigError, match=f"key {kid} is {state}; only a pending key can be promoted"):
            ring.promoted(kid, NOW)


@pytest.mark.requirement("31")
@pytest.mark.parametrize("state", ["pending", "verifying"])
def test_a_revoked_key_loses_its_secret(state: KeyState) -> None:
    """What is revoked stays in the file by name alone."""
    ring = document(signing="signing", other=state)
    kid = ring.entries[1].kid

    after = ring.revoked(kid, NOW + 5)

    assert after.find(kid) == KeyEntry(kid, "revoked", NOW, NOW + 5, None)
    assert after.signing == ring.signing


@pytest.mark.requirement("31")
def test_the_signing_key_is_not_revoked_without_a_successor() -> None:
    """Nothing could be signed any more; as leaked it is replaced in the same step."""
    ring = document(signing="signing", former="verifying")
    kid = ring.entries[0].kid

    with pytest.raises(ConfigError, match=f"key {kid} signs; promote another first"):
        ring.revoked(kid, NOW)
    after = ring.leaked(kid, SECOND, NOW + 5)
    other = ring.leaked(ring.entries[1].kid, SECOND, NOW + 5)

    assert after.states == {kid_of(SECOND): "signing", kid: "revoked", ring.entries[1].kid: "verifying"}
    assert after.serial == ring.serial + 1
    assert other.states == {kid: "signing", ring.entries[1].kid: "revoked"}


@pytest.mark.requirement("31")
def test_a_revoked_key_stays_revoked() -> None:
    """Neither is it revoked twice, nor does its secret come back."""
    ring = KeyDocument().added(FIRST, NOW).added(SECOND, NOW)
    ring = ring.revoked(kid_of(SECOND), NOW)

    with pytest.raises(ConfigError, match="is revoked already"):
        ring.revoked(kid_of(SECOND), NOW)
    with pytest.raises(ConfigError, match=f"key {kid_of(SECOND)} is in the keyring already, as revoked"):
        ring.added(SECOND, NOW)


def test_pruning_forgets_keys_revoked_long_ago() -> None:
    """Only revoked keys go, and only those revoked before the time given."""
    ring = document(signing="signing", former="verifying", coming="pending", gone="revoked")

    assert ring.pruned(NOW) is ring
    assert list(ring.pruned(NOW + 1).states.values()) == ["signing", "verifying", "pending"]
    assert ring.pruned(NOW + 1).serial == ring.serial + 1


def test_a_kid_that_is_not_there_is_named() -> None:
    """The message lists those that are."""
    ring = KeyDocument().added(FIRST, NOW)

    with pytest.raises(ConfigError, match=f"no key aaaaaa in the keyring; it has {kid_of(FIRST)}"):
        ring.promoted("aaaaaa", NOW)


@pytest.mark.requirement("31")
@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_a_reload_accepts_no_way_back(before: KeyState, after: KeyState) -> None:
    """A file in which a key is in an earlier state than it was does not follow."""
    ring = KeyDocument(3, (KeyEntry("aaaaaa", after, NOW, NOW),))

    if STATES.index(after) >= STATES.index(before):
        ring.check_follows(2, {"aaaaaa": before})
    else:
        with pytest.raises(ConfigError, match=f"key aaaaaa was {before} and cannot become {after}"):
            ring.check_follows(2, {"aaaaaa": before})


# -- what the file may say ---------------------------------------------------------------------


@given(st.lists(st.sampled_from(["pending", "verifying", "revoked"]), max_size=5), st.integers(0, 2**53))
def test_what_is_written_is_read(states: list[KeyState], serial: int) -> None:
    """Every legal document survives the way through a file."""
    entries = document(**{f"key{n}": state for n, state in enumerate(["signing", *states])}).entries
    ring = KeyDocument(serial, entries)

    assert parse(ring.render()) == ring


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a good file after *change* to its content."""
    content = json.loads(KeyDocument().added(FIRST, NOW).added(SECOND, NOW).render())
    change(content)
    return json.dumps(content).encode()


def key(number: int, **members: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["keys"][number].update(members)


def without(number: int, member: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["keys"][number].pop(member)


MALFORMED = {
    "empty": (b"", "it is not strict JSON; was it written halfway?"),
    "half-written": (KeyDocument().added(FIRST, NOW).render()[:-20], "it is not strict JSON"),
    "garbage": (b"\xff\xfe\x00", "it is not strict JSON"),
    "nested deep": (b"[" * 60_000, "it is not strict JSON"),
    "long number": (b'{"serial": ' + b"9" * 5000 + b"}", "it is not strict JSON"),
    "member twice": (b'{"format": 1, "format": 1, "serial": 1, "keys": []}', "it is not strict JSON"),
    "a list": (b"[]", "it needs exactly the members format, serial and keys"),
    "a secret alone": (FIRST.encode(), "it is not strict JSON"),
    "more members": (altered(lambda c: c.update(comment="x")), "it needs exactly the members"),
    "no serial": (altered(lambda c: c.pop("serial")), "it needs exactly the members"),
    "other format": (altered(lambda c: c.update(format=2)), "its format is not 1: it was written by another"),
    "true format": (altered(lambda c: c.update(format=True)), "its format is not 1"),
    "negative serial": (altered(lambda c: c.update(serial=-1)), "serial must be a whole number"),
    "fractional serial": (altered(lambda c: c.update(serial=1.5)), "serial must be a whole number"),
    "keys no list": (altered(lambda c: c.update(keys={})), "keys a list"),
    "key no object": (
        altered(lambda c: c["keys"].append("x")),
        "each key needs kid, state, created, changed",
    ),
    "key with more": (altered(key(0, note="x")), "each key needs"),
    "key with less": (altered(without(0, "created")), "each key needs"),
    "upper-case kid": (altered(key(0, kid="ABCDEF")), "a kid is 6 characters"),
    "kid no text": (altered(key(0, kid=[1])), "a kid is 6 characters"),
    "unknown state": (altered(key(0, state="active")), "its state is not one of pending, signing, verifying"),
    "state no text": (altered(key(0, state=["signing"])), "its state is not one of"),
    "time as text": (altered(key(0, changed="2026-01-01")), "created and changed must be Unix seconds"),
    "time true": (altered(key(0, created=True)), "created and changed must be Unix seconds"),
    "no secret": (altered(without(0, "secret")), "a revoked key has no secret, every other has one"),
    "revoked with secret": (altered(key(0, state="revoked")), "a revoked key has no secret"),
    "secret no text": (altered(key(0, secret=5)), "the secret is not text"),
    "weak secret": (altered(key(0, secret="changeme")), "the secret has 8 characters"),
    "another's secret": (altered(key(0, secret=THIRD)), "its secret makes another kid; one of the two"),
    "kid twice": (altered(lambda c: c["keys"].append(c["keys"][0])), "is given twice"),
    "two sign": (altered(key(0, state="signing")), "both sign; exactly one may"),
    "none signs": (altered(key(1, state="verifying")), "has no signing key; promote one"),
    "too large": (b" " * (64 * 1024 + 1), "has more than 65536 bytes"),
}


@pytest.mark.requirement("35")
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_stops_the_start(path: Path, kind: str) -> None:
    """Each is refused with its reason, and nothing of the content is shown, nor in frames of ours."""
    content, reason = MALFORMED[kind]
    write(path, content)

    with pytest.raises(ConfigError) as caught:
        Keyring.from_file(path)

    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in report.stack if "fluidauth" in Path(frame.filename).parts]
    told = "".join([str(caught.value), *(str(frame.locals) for frame in ours)])
    assert ours
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert not [secret for secret in (FIRST, SECOND, THIRD) if secret[6:] in told]


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
    assert engine.policy.sealer.keyring.state_of(kid_of(SECOND)) == "pending"


# -- who may touch the file --------------------------------------------------------------------


@pytest.mark.requirement("34")
@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        (0o600, None),
        (0o400, None),
        (0o700, None),
        (0o620, "others may write"),
        (0o602, "others may write"),
        (0o664, "others may write"),
        (0o644, "others may read"),
        (0o640, "others may read"),
        (0o604, "others may read"),
        (0o440, "others may read"),
    ],
)
@pytest.mark.parametrize("trust_mount", [False, True])
def test_a_file_open_to_others_is_refused(
    path: Path, mode: int, problem: str | None, trust_mount: bool
) -> None:
    """Written by others it is never taken; read by others only where a mount is trusted."""
    path.chmod(mode)

    if problem is None or (trust_mount and problem == "others may read"):
        assert Keyring.from_file(path, trust_mount=trust_mount).signing.kid == kid_of(FIRST)
    else:
        with pytest.raises(ConfigError, match=f"{problem} keyring file .* \\(mode 0{mode:o}\\): chmod 600"):
            Keyring.from_file(path, trust_mount=trust_mount)


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def as_link_to_open_file(path: Path) -> None:
    target = path.rename(path.with_name("target"))
    target.chmod(0o644)
    path.symlink_to(target)


def in_open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def as_link_into_open_folder(path: Path) -> None:
    folder = path.with_name("open")
    folder.mkdir()
    path.rename(folder / path.name)
    folder.chmod(0o777)
    path.symlink_to(folder / path.name)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "cannot be read: No such file or directory"),
    "FIFO": (as_fifo, "is not a regular file"),
    "folder": (as_folder, "is not a regular file"),
    "link to an open file": (as_link_to_open_file, "others may read"),
    "folder open to all": (in_open_folder, "others may replace files in"),
    "link into a folder open to all": (as_link_into_open_folder, "others may replace files in"),
}


@pytest.mark.requirement("34")
@pytest.mark.parametrize("place", PLACES)
def test_an_unsafe_place_is_refused(path: Path, place: str) -> None:
    """What is opened is what is checked, and a FIFO holds nobody up."""
    make, problem = PLACES[place]
    make(path)

    with pytest.raises(ConfigError, match=problem):
        Keyring.from_file(path)


@pytest.mark.requirement("35")
@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_becomes_unsafe_changes_nothing(path: Path, place: str) -> None:
    """While a process serves, what was in force stays in force, and the file is reported."""
    clock = FakeClock(0)
    ring = Keyring.from_file(path, clock=clock)
    told = Told()
    ring.report_to(told)
    make, problem = PLACES[place]
    make(path)
    if path.is_file():  # as if it had been written since
        os.utime(path)
    clock.advance(5)

    ring.refresh()

    assert ring.signing.kid == kid_of(FIRST)
    assert [name for name, reason in told.events if problem in reason] == ["keyring_rejected"]


@pytest.mark.requirement("34")
@pytest.mark.parametrize("whose", ["group", "user"])
def test_a_folder_that_others_may_write_is_refused(
    path: Path, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could put an older copy in the place of the file; not the process's own group, nor in a mount."""
    path.parent.chmod(0o770)
    Keyring.from_file(path)
    if os.geteuid() == 0:
        os.chown(path.parent, *((-1, 12345) if whose == "group" else (12345, 0)))
    elif whose == "group":
        monkeypatch.setattr(os, "getegid", lambda: 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(ConfigError, match=r"others may replace files in|belongs to user"):
        Keyring.from_file(path)
    assert Keyring.from_file(path, trust_mount=True).signing.kid == kid_of(FIRST)


@pytest.mark.requirement("34")
def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the file could change it; root may own it, and a trusted mount belong to anybody."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(ConfigError, match=r"belongs to user [0-9]+, who could change it"):
        Keyring.from_file(path)
    assert Keyring.from_file(path, trust_mount=True).signing.kid == kid_of(FIRST)
    path.with_name(".keyring.json.lock").unlink()
    with pytest.raises(ConfigError, match="run this as that user, or chown it"):
        keyfile.change(path, lambda ring: ring.added(SECOND, NOW))
    assert not path.with_name(".keyring.json.lock").exists()


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


# -- writing -----------------------------------------------------------------------------------


def test_a_change_keeps_the_file_private(path: Path) -> None:
    """The new file is 0600 whatever the umask and the old one's mode, and nothing else is left."""
    path.chmod(0o400)
    former = os.umask(0)
    try:
        keyfile.change(path, lambda ring: ring.added(SECOND, NOW))
    finally:
        os.umask(former)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".keyring.json.lock", "keyring.json"]


def test_a_link_stays_a_link(path: Path) -> None:
    """A change goes to the file that the link leads to."""
    link = path.with_name("link.json")
    link.symlink_to(path)

    keyfile.change(link, lambda ring: ring.added(SECOND, NOW))

    assert link.is_symlink()
    assert Keyring.from_file(path).state_of(kid_of(SECOND)) == "pending"


@pytest.mark.parametrize(
    ("content", "edit", "problem"),
    [
        (KeyDocument(), lambda ring: ring.added("x" * 80_000, NOW), "more than 1024 are no secret"),
        (
            KeyDocument(2**53).added(FIRST, NOW),
            lambda ring: ring.added(SECOND, NOW),
            "serial must be a whole number",
        ),
        (
            KeyDocument(1, tuple(KeyEntry(f"{n:06}", "revoked", NOW, NOW) for n in range(1000))),
            lambda ring: ring.added(SECOND, NOW),
            "would have more than 65536 bytes; prune it first",
        ),
    ],
    ids=["large secret", "last serial", "many keys"],
)
def test_nothing_is_written_that_could_not_be_read(
    path: Path, content: KeyDocument, edit: Callable[[KeyDocument], KeyDocument], problem: str
) -> None:
    """A file that every process would refuse is refused by its writer."""
    before = path.read_bytes()

    with pytest.raises(ConfigError, match=problem):
        keyfile.change(path, lambda _: edit(content))

    assert path.read_bytes() == before


def test_what_a_killed_writer_left_is_removed(path: Path) -> None:
    """A draft has every secret in it, those as well that are revoked later."""
    path.with_name(".keyring.json.draft-x1y2z3").write_bytes(path.read_bytes())

    keyfile.change(path, lambda ring: ring.added(SECOND, NOW))

    assert sorted(entry.name for entry in path.parent.iterdir()) == [".keyring.json.lock", "keyring.json"]


def test_a_refused_change_leaves_the_file_alone(path: Path) -> None:
    """An illegal transition writes nothing."""
    before = path.read_bytes()

    with pytest.raises(ConfigError, match="only a pending key can be promoted"):
        keyfile.change(path, lambda ring: ring.promoted(kid_of(FIRST), NOW))

    assert path.read_bytes() == before


def test_a_disk_without_room_leaves_the_file_alone(path: Path) -> None:
    """The kernel refuses the new file; the old one stays whole, and no draft is left."""

    def change_without_room() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with suppress(ConfigError):
            keyfile.change(path, lambda ring: ring.added(SECOND, NOW))
            os._exit(1)

    before = path.read_bytes()
    child = multiprocessing.get_context("fork").Process(target=change_without_room)
    child.start()
    child.join()

    assert child.exitcode == 0
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".keyring.json.lock", "keyring.json"]


def _add_keys(path: Path, count: int) -> None:
    for _ in range(count):
        keyfile.change(path, lambda ring: ring.added(new_secret(), NOW))


def test_writers_take_turns_and_readers_never_meet_half_a_file(path: Path) -> None:
    """Two processes add twenty keys each while a third reads: none is lost, each read is whole."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_keys, args=(path, 20)) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = {len(keyfile.read(path)[0].entries)}
    while any(writer.is_alive() for writer in writers):
        seen.add(len(keyfile.read(path)[0].entries))
    for writer in writers:
        writer.join()

    assert len(seen) > 2
    assert keyfile.read(path)[0].serial == 41
    assert len(keyfile.read(path)[0].entries) == 41


def test_a_writer_does_not_wait_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that hangs with the lock gives the next one a clear error."""
    import fcntl

    monkeypatch.setattr(keyfile, "LOCK_LIMIT", 0.05)
    with (path.with_name(".keyring.json.lock")).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(ConfigError, match=r"another command changes .* try again when it ends"):
            keyfile.change(path, lambda ring: ring.added(SECOND, NOW))


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
def test_one_look_per_interval(path: Path, looks: list[str]) -> None:
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
    assert forged == {("", "unknown_key")}
    assert (after_one, within, len(looks)) == (1, 1, 2)


@pytest.mark.requirement("36")
def test_a_revoked_key_needs_no_early_look(path: Path, looks: list[str]) -> None:
    """Its cookies are refused with their own reason, without a look at the file."""
    kid = kid_of(SECOND)
    keyfile.change(path, lambda old: old.added(SECOND, NOW).revoked(kid, NOW))
    ring = Keyring.from_file(path, clock=FakeClock(0))
    looks.clear()

    verdict = tokens.verify(ring, tokens.sign(Key(SECOND), tokens.new_session_id()))

    assert verdict == ("", "revoked_key")
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
            f"keyring file {path}: serial 1 is lower than 2, which was in force: rolled back?",
        )
    ]


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def keyring_event(self, name: str, reason: str) -> None:
        self.events.append((name, reason))


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


def test_who_is_told_may_ask_for_keys(path: Path) -> None:
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


@pytest.fixture
def ring_clock() -> FakeClock:
    return FakeClock(0)


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


def test_a_rotation_is_four_steps_that_nobody_notices(
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
    keyring = browser.engine.policy.sealer.keyring
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
        Keyring.from_file(path), browser.engine.requests.store, clock=browser.engine.requests._clock
    )
    other = Browser(browser.protocol, elsewhere)
    other.cookie = browser.cookie
    other.get(lambda session: session.user_id)  # re-signs the cookie and re-seals the row

    assert kids_of(other)[0] == kid_of(SECOND)
    assert browser.with_cookie(other.cookie).get(dict) == {"email": "ada@example.com"}


def test_without_a_signing_key_reads_go_on(
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
    assert browser.engine.policy.sealer.keyring.state_of(kid_of(THIRD)) == "pending"
    keyfile.change(path, lambda ring: ring.promoted(kid_of(THIRD), NOW))
    ring_clock.advance(5)
    assert browser.request(lambda session: session.update(x=1)).status == 200


def test_a_secret_has_one_kid_wherever_it_is_read_from(path: Path, tmp_path: Path) -> None:
    """From the environment, from a list and from a file."""
    by_file = Keyring.from_file(path)
    by_env = Keyring.from_env({"FLUIDAUTH_SECRET": FIRST})
    by_path = Keyring.from_env({"FLUIDAUTH_KEYRING": str(path)})

    assert {by_file.signing.kid, by_env.signing.kid, by_path.signing.kid} == {kid_of(FIRST)}
    token = tokens.sign(by_env.signing, tokens.new_session_id())
    assert tokens.verify(by_file, token)[1] == kid_of(FIRST)


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


def test_the_states_are_those_of_the_policy() -> None:
    """The order in which a key moves through them."""
    assert get_args(KeyState) == STATES == ("pending", "signing", "verifying", "revoked")
