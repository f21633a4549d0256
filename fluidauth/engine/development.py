"""Development mode: an application runs as a tutorial publishes it, for this machine alone.

Instead of a secret that is missing or weak a random one signs, which is kept in a file beside the database
(by tests in memory, nowhere); the cookie is one for plain http. Whom the application then answers is decided
by ``middleware/development``.
"""

from __future__ import annotations

import os
from pathlib import Path

from fluidauth.errors import ConfigError, WeakSecret
from fluidauth.events import logger
from fluidauth.keys import Keyring
from fluidauth.keys.kept import kept_secret, passing_secret
from fluidauth.stores.base import AsyncSessionStore, SessionStore
from fluidauth.stores.memory import MemoryStore
from fluidauth.stores.sqlite import SQLiteStore
from fluidauth.stores.under_test import run

from .settings import DEFAULT_PATH, Secret, keyring_of

VARIABLE = "FLUIDAUTH_DEVELOPMENT"
_ON = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def is_on(given: bool | None) -> bool:
    """Return whether development mode was asked for; where nothing was *given*, by the environment."""
    if given is not None:
        if not isinstance(given, bool):
            raise ConfigError(f"development={given!r} must be True, False or None")
        return given
    text = os.environ.get(VARIABLE, "").strip().lower()
    if text not in _ON:
        raise ConfigError(f"{VARIABLE}={text!r} must be 1 or 0")
    return _ON[text]


def keyring_for(secret: Secret | None, store: SessionStore | AsyncSessionStore, development: bool) -> Keyring:
    """Return the keyring of *secret*; where that is weak, in *development*, of one kept beside *store*."""
    if not development:
        return keyring_of(secret)
    try:
        ring = keyring_of(secret)
        signs = "the secret that was given signs"
    except WeakSecret:
        if run.goes_on and isinstance(store, MemoryStore):  # sessions end with the tests, and leave nothing
            chosen, where = passing_secret(), "ends with the tests"
        else:
            place = _place_beside(store)
            chosen, where = kept_secret(place), f"is kept in {place}"
        ring = Keyring.from_secrets(chosen)
        signs = f"no strong secret was given, so one signs that {where}"
    logger.warning(
        "development mode, for this machine alone: %s, and the cookie is one for plain http; requests from "
        "elsewhere, to another host than localhost or through a proxy get 403",
        signs,
    )
    return ring


def _place_beside(store: SessionStore | AsyncSessionStore) -> Path:
    """Return where the secret is kept; of a store without a file, beside where the default one would be."""
    database = store.path if isinstance(store, SQLiteStore) else Path(DEFAULT_PATH).absolute()
    return database.with_name(f"{database.name}.development-secret")
