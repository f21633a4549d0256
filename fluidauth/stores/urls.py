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
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore(**_options(url, parts.query, max_sessions=int, namespace=str))
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ConfigError(
                f"store URL {url!r} needs a path: sqlite:///sessions.db, or sqlite:////var/sessions.db"
            )
        options = _options(url, parts.query, durability=str, namespace=str, timeout=float, pool_size=int)
        return SQLiteStore(unquote(parts.path[1:]), **options)
    # The rest of an unknown URL may hold a password.
    raise ConfigError(f"store URL with scheme {parts.scheme!r} is not known; use sqlite:///path or memory://")


def _options(url: str, query: str, **types: Callable[[str], Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in types:
            raise ConfigError(f"store URL {url!r} has an unknown option {name!r}; known: {list(types)}")
        try:
            options[name] = types[name](text)
        except ValueError:
            raise ConfigError(f"store URL {url!r}: {name}={text!r} is not a number") from None
    return options
