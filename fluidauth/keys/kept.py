"""A random secret that a machine keeps in a file. The first process that needs it makes it; all read it."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from functools import cache
from pathlib import Path

from fluidauth.errors import ConfigError
from fluidauth.secrecy import without_locals

from .strength import new_secret

_LONGEST = 1024  # bytes that are read
_FORM = re.compile(rb"fask1_[A-Za-z0-9_-]{43}\n?")


@cache
def passing_secret() -> str:
    """Return a random secret, the same until this process ends. It is not kept anywhere."""
    return new_secret()


@without_locals
def kept_secret(path: Path) -> str:
    """Return the secret in the file at *path*, made with mode 0600 if there is none.

    If several processes ask at once, one makes it, and all get the same. Raise :class:`ConfigError` for a
    file that others could have written or may read, and for a place where no file can be made.
    """
    try:
        found = _read(path)
        if found is None:
            _make(path)
            found = _read(path)
    except OSError as error:
        raise ConfigError(
            f"the secret of development mode cannot be kept in {path}: {error.strerror}"
        ) from None
    if found is None:  # it was removed again at once
        raise ConfigError(f"the secret of development mode does not stay in {path}; find out what removes it")
    return found


def _read(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    try:
        if os.name == "posix":
            _check(path, os.fstat(descriptor))
        text = os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
    if not _FORM.fullmatch(text):
        raise ConfigError(
            f"{path} does not hold a secret that was made for it; remove it, and a new one is made"
        )
    return text.decode("ascii").strip()


def _check(path: Path, found: os.stat_result) -> None:
    """Raise if others may know the secret in the file."""
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path} is not a file of this user; remove it, and a new one is made")
    if found.st_mode & 0o077:
        raise ConfigError(f"others may read {path}, so it is no secret; remove it, and a new one is made")


def _make(path: Path) -> None:
    """Put a new secret there, whole. Leave what another process has put there meanwhile."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{new_secret()}\n")
        os.link(draft, path)  # unlike a rename it replaces nothing; unlike O_EXCL it is never half
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)
