"""Development mode: an application runs as a tutorial publishes it, for this machine only.

If the secret is missing or weak, a random one signs instead. It is kept in a file next to the database, and
by tests in memory only. The cookie works over plain http. The module ``middleware/development`` decides which
requests are served.
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
    """Return whether development mode is on: as *given*, or else as in the environment."""
    if given is not None:
        if not isinstance(given, bool):
            raise ConfigError(f"development={given!r} must be True, False or None")
        return given
    text = os.environ.get(VARIABLE, "").strip().lower()
    if text not in _ON:
        raise ConfigError(f"{VARIABLE}={text!r} must be 1 or 0")
    return _ON[text]


def keyring_for(secret: Secret | None, store: SessionStore | AsyncSessionStore, development: bool) -> Keyring:
    """Return the keyring of *secret*. In *development* a secret kept next to *store* replaces a weak one."""
    if not development:
        return keyring_of(secret)
    try:
        ring = keyring_of(secret)
        signs = "The secret that was given signs"
    except WeakSecret:
        if run.goes_on and isinstance(store, MemoryStore):  # sessions end with the tests, and leave nothing
            chosen, where = passing_secret(), "ends with the tests"
        else:
            place = _place_beside(store)
            chosen, where = kept_secret(place), f"is kept in {place}"
        ring = Keyring.from_secrets(chosen)
        signs = f"No strong secret was given, so a random one signs, which {where}"
    logger.warning(
        "development mode: only this machine is served. Requests from elsewhere, to another host than "
        "localhost or through a proxy get 403. The cookie works over plain http. %s",
        signs,
    )
    return ring


def _place_beside(store: SessionStore | AsyncSessionStore) -> Path:
    """Return where the secret is kept: next to the store's file, or to the default one if it has no file."""
    database = store.path if isinstance(store, SQLiteStore) else Path(DEFAULT_PATH).absolute()
    return database.with_name(f"{database.name}.development-secret")
