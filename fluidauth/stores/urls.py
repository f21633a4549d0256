"""A store from a URL, for settings that are text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from fluidauth.errors import ConfigError
from fluidauth.secrecy import without_locals

from .base import SessionStore
from .memory import MemoryStore
from .migrating import MigratingStore
from .options import options_in
from .sqlite import SQLiteStore
from .sqlite.place import path_in

KNOWN = "sqlite:///path, postgresql://host/database, redis://host or memory://"
_KINDS = ("sqlite", "postgresql", "postgres", "redis", "rediss", "valkey", "memory")  # these are no files
_MOVING = {" -> ": True, " + ": False}
_YES_OR_NO = {"yes": True, "no": False}
_COMMON: dict[str, Callable[[str], Any]] = {"namespace": str, "timeout": float, "pool_size": int}


@without_locals
def store_from_url(url: str) -> SessionStore:
    """Return the store that *url* names.

    - ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, with ``?durability=normal`` or ``full``,
      ``timeout=`` (seconds) and ``pool_size=``;
    - ``memory://``, with ``?max_sessions=``;
    - ``postgresql://user@host/database``, with ``timeout=``, ``pool_size=``, ``prepare=no`` and the
      options of libpq;
    - ``redis://`` and the other URLs of ``RedisStore``, with its options behind ``?``.

    All of them can have ``namespace=``. ``old -> new`` is a ``MigratingStore`` over two of these, and
    ``old + new`` is one that moves nothing yet. Raise :class:`ConfigError` for any other scheme or option,
    and if the driver is not installed.
    """
    url = url.strip()  # a settings file may have line ends of Windows
    for sign, moving in _MOVING.items():
        old, _, new = url.partition(sign)
        if "://" in new:
            return MigratingStore(store_at(old.strip()), store_at(new.strip()), moving=moving)
    try:
        parts = urlsplit(url.replace("#", "%23"))  # none of these URLs has a fragment
    except ValueError:
        raise ConfigError(f"the store URL is not one; use {KNOWN}") from None
    if parts.scheme == "memory":
        return MemoryStore(**options_in(parts.query, {"max_sessions": int, "namespace": str}))
    if parts.scheme == "sqlite":
        path, query = path_in(url)
        return SQLiteStore(path, **options_in(query, {"durability": str, **_COMMON}))
    if parts.scheme in ("postgresql", "postgres"):
        return _postgres_store(url)
    if parts.scheme.partition("+")[0] in ("redis", "rediss", "valkey", "valkeys", "unix"):
        with _needs("redis"):
            from .redis import RedisStore
        return RedisStore(url)
    # No message repeats a URL: it may hold a password.
    raise ConfigError(f"store URL with scheme {parts.scheme!r} is not known; use {KNOWN}")


def store_at(place: str | os.PathLike[str]) -> SessionStore:
    """Return the store at *place*, a URL or the path of a SQLite file. Raise ConfigError if it is neither."""
    if not isinstance(place, str):
        return SQLiteStore(place)
    place = place.strip()
    if place in _KINDS:
        raise ConfigError(f"{place!r} is no store URL; use {KNOWN}")
    return store_from_url(place) if "://" in place else SQLiteStore(place)


def _postgres_store(url: str) -> SessionStore:
    types = {**_COMMON, "prepare": _yes_or_no}
    place, _, query = url.partition("?")
    ours: list[str] = []
    libpqs: list[str] = []  # left as they are: there a plus is no space
    for option in query.split("&") if query else ():
        (ours if option.partition("=")[0] in types else libpqs).append(option)
    place += f"?{'&'.join(libpqs)}" if libpqs else ""
    with _needs("postgres"):
        from .postgres import PostgresStore
    return PostgresStore(place, **options_in("&".join(ours), types))


@contextmanager
def _needs(extra: str) -> Iterator[None]:
    """Raise :class:`ConfigError` if what is imported here is not installed; *extra* installs it."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"this store needs a driver: pip install 'fluidauth[{extra}]' ({error.name} is missing)"
        ) from error


def _yes_or_no(text: str) -> bool:
    if text not in _YES_OR_NO:
        raise ConfigError(f"the store URL has an option {text!r} that must be yes or no")
    return _YES_OR_NO[text]
