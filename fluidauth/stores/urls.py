"""A store from a URL, for settings that are text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigError
from .base import SessionStore
from .memory import MemoryStore
from .sqlite import SQLiteStore


def store_from_url(url: str) -> SessionStore:
    """Return the store that *url* names.

    ``sqlite:///relative.db``, ``sqlite:////absolute.db`` with ``?durability=normal`` or
    ``full``, ``timeout=`` (seconds), ``pool_size=``; ``memory://`` with
    ``?max_sessions=``; both with ``namespace=``. Raise :class:`ConfigError` for any
    other scheme or option.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("the store URL is not one; use sqlite:///path or memory://") from None
    if parts.scheme == "memory":
        return MemoryStore(**_options(parts.query, max_sessions=int, namespace=str))
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ConfigError(
                "a sqlite store URL needs a path and no host: sqlite:///sessions.db, or sqlite:////var/sessions.db"
            )
        options = _options(parts.query, durability=str, namespace=str, timeout=float, pool_size=int)
        return SQLiteStore(unquote(parts.path[1:]), **options)
    # No message repeats a URL: it may hold a password.
    raise ConfigError(f"store URL with scheme {parts.scheme!r} is not known; use sqlite:///path or memory://")


def store_at(place: str) -> SessionStore:
    """Return the store at *place*, a URL or the path of a SQLite file."""
    return store_from_url(place) if "://" in place else SQLiteStore(place)


def _options(query: str, **types: Callable[[str], Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in types:
            raise ConfigError(f"the store URL has an unknown option {name!r}; known: {list(types)}")
        try:
            options[name] = types[name](text)
        except ValueError:
            raise ConfigError(f"the store URL has {name}={text!r}, which is not a number") from None
    return options
