"""The keyring file: who may read it, and how it is replaced.

Readers check the file that they opened, not the one that its name leads to a moment
later. Writers take turns with a lock. They replace the file as a whole, so that no reader
ever finds half of it.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fluidauth.errors import ConfigError

from .document import KeyDocument, parse

try:
    import fcntl
except ImportError:  # on Windows, where these files are not written
    fcntl = None  # type: ignore[assignment]

MAX_BYTES = 64 * 1024
LOCK_LIMIT = 10.0  # seconds that a writer waits for another
_RETRY = 0.02  # seconds
_TIME_STEP = 50_000_000  # nanoseconds, more than any kernel's
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_OPEN = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


class Stamp(NamedTuple):
    """Which file was read, and its times: equal as long as the file did not change."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of the file at *path*, None if there is none: one ``stat``."""
    try:
        return _stamp(os.stat(path))
    except OSError:
        return None


def read(path: Path, *, trust_mount: bool = False) -> tuple[KeyDocument, Stamp | None]:
    """Return what the file at *path* says, and which file that was.

    With *trust_mount* the file may belong to another user, and others may read it, as in
    secrets that Kubernetes or Docker mount. Raise :class:`ConfigError` for a file that is
    missing, too open, not ours or not of the right form. The error shows nothing of the content.
    """
    text, found = _content(path, trust_mount)
    try:
        document = parse(text)
    except ConfigError as error:
        problem = str(error)
    else:
        return document, _stamp(found) if _is_settled(found) else None
    finally:
        del text  # a traceback that prints locals must not show it
    raise ConfigError(f"keyring file {path}: {problem}")


def change(
    path: Path, edit: Callable[[KeyDocument], KeyDocument], *, patience: float = LOCK_LIMIT
) -> KeyDocument:
    """Replace the file at *path* by what *edit* makes of it, one writer at a time; return that.

    Without a file, *edit* gets an empty document. Nothing is written if it returns what it
    got. Raise :class:`ConfigError` as :func:`read` does, and if the file cannot be written, or
    if another writer takes longer than *patience* in seconds.
    """
    target = Path(os.path.realpath(path))  # a symbolic link stays, and leads to the new file
    try:
        if target.exists():
            read(target)  # refused before our lock is left next to somebody else's file
        with _lock(target, patience):
            before = read(target)[0] if target.exists() else KeyDocument()
            after = edit(before)
            if after is not before:
                _replace(target, _checked(after))
            return after
    except OSError as error:
        raise ConfigError(f"keyring file {path} cannot be written: {error.strerror}") from error


def _checked(document: KeyDocument) -> bytes:
    """Return *document* as it is written; raise :class:`ConfigError` if it could not be read again."""
    text = document.render()
    if len(text) > MAX_BYTES:
        raise ConfigError(f"the keyring file would have more than {MAX_BYTES} bytes; prune it first")
    parse(text)
    return text


def _content(path: Path, trust_mount: bool) -> tuple[bytes, os.stat_result]:
    try:
        # Without O_NONBLOCK a FIFO would hold up the process that opens it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"keyring file {path} cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not trust_mount and found.st_uid not in (0, os.geteuid()):
            raise ConfigError(
                f"keyring file {path} belongs to user {found.st_uid}, who could change it: run this as that "
                "user, or chown it"
            )
        _check_access(path, found, trust_mount)
        return _read_all(path, descriptor), found
    except OSError as error:
        raise ConfigError(f"keyring file {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _read_all(path: Path, descriptor: int) -> bytes:
    chunks: list[bytes] = []
    while chunk := os.read(descriptor, MAX_BYTES + 1):
        chunks.append(chunk)
        if sum(map(len, chunks)) > MAX_BYTES:
            raise ConfigError(f"keyring file {path} has more than {MAX_BYTES} bytes; is this the right file?")
    return b"".join(chunks)


def _check_access(path: Path, found: os.stat_result, trust_mount: bool) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"keyring file {path} is not a regular file")
    if mode & _WRITABLE:
        raise ConfigError(f"others may write keyring file {path} (mode {mode:04o}): chmod 600")
    if mode & _OPEN and not trust_mount:
        raise ConfigError(
            f"others may read keyring file {path} (mode {mode:04o}): chmod 600, or trust_mount=True "
            "(--trust-mount) if it is mounted like this"
        )
    if not trust_mount:
        for folder in {
            path.parent,
            Path(os.path.realpath(path)).parent,
        }:  # of a link, and of its target
            _check_folder(folder)


def _check_folder(folder: Path) -> None:
    """Raise if others could replace the file by an older copy, though not by a file of their own."""
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    of_a_group = mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid())
    is_open = (mode & stat.S_IWOTH or of_a_group) and not mode & stat.S_ISVTX
    if is_open or found.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"others may replace files in {folder} (of user {found.st_uid}, mode {mode:04o}): "
            "keep the keyring in a folder of its own, chmod 700"
        )


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_settled(found: os.stat_result) -> bool:
    """Return whether a later change will show. Times of files move in steps of some milliseconds."""
    return abs(time.time_ns() - found.st_ctime_ns) > _TIME_STEP


@contextmanager
def _lock(target: Path, patience: float) -> Iterator[None]:
    """Keep other writers out. The lock's own file stays, because waiting writers have it open."""
    if fcntl is None:
        raise ConfigError("keyring files can be written on POSIX systems only")
    name = target.with_name(f".{target.name}.lock")
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    give_up = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise ConfigError(
                        f"another command is changing {target}, for {patience:g} s now; try again later"
                    ) from None
                time.sleep(_RETRY)
        yield
    finally:
        os.close(descriptor)


def _replace(target: Path, text: bytes) -> None:
    """Replace *target* by *text*, whole or not at all, with mode 0600. The caller holds the lock."""
    prefix = f".{target.name}.draft-"
    for left in target.parent.glob(f"{prefix}*"):  # left by a writer that was killed: it has secrets in it
        left.unlink()
    descriptor, draft = tempfile.mkstemp(prefix=prefix, dir=target.parent)  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name is on disk as well
    finally:
        os.close(folder)
