"""The keyring file on a disk: who may touch it, and how it is written."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fluidauth import ConfigError, Keyring
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.document import KeyDocument, KeyEntry
from fluidauth.keys.key import kid_of
from fluidauth.testing import FakeClock
from tests.keys.documents import FIRST, NOW, SECOND, Told

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
        (KeyDocument(), lambda ring: ring.added("x" * 80_000, NOW), "a secret has at most 1024"),
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


def test_draft_of_a_killed_writer_is_removed(path: Path) -> None:
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


def test_a_writer_does_not_wait_for_ever(path: Path) -> None:
    """A command that hangs with the lock gives the next one a clear error."""
    import fcntl

    with (path.with_name(".keyring.json.lock")).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(ConfigError, match=r"another command is changing .* try again later"):
            keyfile.change(path, lambda ring: ring.added(SECOND, NOW), patience=0.05)
