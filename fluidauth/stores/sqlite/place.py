"""Where a session file is kept, as settings say. What would become a file by mistake is refused.

Only a shell expands ``~`` or ``$HOME``, and settings files (.env, compose, systemd) have no shell. The
sessions would be in a folder of that name, and a process with another working folder would begin without
them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fluidauth.errors import ConfigError

_SHELLS = re.compile(r"\$[A-Za-z_{(]|`|%[A-Za-z_]+%")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
# The address of a server, a URL that a Path has shortened or that was mistyped, and what libpq takes.
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:[/\d]|.*:[^/]*@|.*\b(?:host|password|dbname)=")


def file_at(given: str | os.PathLike[str]) -> Path:
    """Return the absolute path of the session file that *given* names: a path, or the URL of one.

    Raise :class:`ConfigError`, which says what to write, if it names none.
    """
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(f"path={given!r} must be text or a Path")
    text = os.fspath(given)
    if not isinstance(text, str):
        raise ConfigError("the path of a session file is text, not bytes")
    if text.startswith("sqlite://"):
        text, options = path_in(text)
        if options:
            raise ConfigError("SQLiteStore takes the options of a URL as arguments, as durability='normal'")
    _check(text)
    return Path(text).absolute()


def path_in(url: str) -> tuple[str, str]:
    """Return the path and the options in a ``sqlite:`` URL."""
    try:
        parts = urlsplit(url.replace("#", "%23"))  # such a URL has no fragment
    except ValueError:
        raise ConfigError("the store URL is not one; use sqlite:///path") from None
    if parts.netloc or len(parts.path) < 2:
        raise ConfigError(
            "a sqlite store URL needs a path and no host: sqlite:///sessions.db, or sqlite:////var/sessions.db"
        )
    return unquote(parts.path[1:]), parts.query


def _check(text: str) -> None:
    if text in ("", ":memory:"):
        raise ConfigError(f"path={text!r} names no file; use MemoryStore for memory")
    if os.name == "posix" and _DRIVE.match(text):
        raise ConfigError(f"path={text!r} is a path of Windows; write one of this system")
    if _ADDRESS.match(text):  # not repeated: it may hold a password
        raise ConfigError(
            "the path of a session file looks like a URL or an address; give a URL as text, to store="
        )
    if " -> " in text:
        raise ConfigError("'old -> new' takes two URLs, as sqlite:///old.db -> redis://host")
    if text[0] in "'\"" or text[-1] in "'\"":
        raise ConfigError(f"path={text!r} has quotes around it, which only a shell removes; leave them out")
    shells = _SHELLS.search(text)
    if shells:
        raise ConfigError(
            f"path={text!r} has {shells[0]!r} in it, which only a shell replaces; write the path out"
        )
    if text.startswith("~") and (text == "~" or "/" in text):
        whole = os.path.expanduser(text)
        instead = "write the folder out" if whole == text else f"write {whole}"
        raise ConfigError(f"path={text!r} begins with ~, which only a shell replaces; {instead}")
    if text.endswith(("/", os.sep)):
        raise ConfigError(f"path={text!r} names a folder; name a file in it, as {text}fluidauth.db")
