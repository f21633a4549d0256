"""The options that a store's URL has behind its ``?``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from fluidauth.errors import ConfigError


def options_in(query: str, types: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options in *query*, each converted by the function that *types* has under its name.

    Raise :class:`ConfigError` for any other option, and for a value that cannot be converted.
    """
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in types:
            raise ConfigError(f"the store URL has an unknown option {name!r}; known: {list(types)}")
        try:
            options[name] = types[name](text)
        except ConfigError:
            raise
        except ValueError:
            raise ConfigError(f"the store URL has {name}={text!r}, which is not a number") from None
    return options
