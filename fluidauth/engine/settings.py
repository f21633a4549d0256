"""An engine's settings as users give them: secret, store and limits, checked or found in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import Literal, TypedDict

from fluidauth.errors import ConfigError, StoreError
from fluidauth.events import logger
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.local_path import local_path
from fluidauth.formats.request_head import RequestHead
from fluidauth.keys import Keyring
from fluidauth.keys.named import NamedSecrets
from fluidauth.keys.ring import variables_set
from fluidauth.keys.strength import names_store, problem_with
from fluidauth.rules.origins import Mode
from fluidauth.stores.base import AsyncSessionStore, SessionStore
from fluidauth.stores.bridge import SyncBridge, to_async
from fluidauth.stores.under_test import run
from fluidauth.stores.urls import store_at

Connect = Literal["eager", "lazy"]
Secret = str | bytes | Sequence[str | bytes] | Keyring | NamedSecrets
Store = SessionStore | AsyncSessionStore | str | os.PathLike[str]

DEFAULT_PATH = "fluidauth.db"
DEFAULT_ABSOLUTE_TIMEOUT = 24 * 60 * 60  # seconds
DEFAULT_IDLE_TIMEOUT = 60 * 60  # seconds
MAX_PAYLOAD = 64 * 1024  # bytes


class Guards(TypedDict, total=False):
    """The arguments of a :class:`SessionEngine` that an integration hands on when it makes one."""

    cross_origin: Mode
    trusted_origins: Collection[str]
    cross_origin_exempt: Collection[str]
    counts_as_activity: Callable[[RequestHead], bool] | None
    status_path: str | None
    login_url: str | None
    clear_site_data: Collection[str]


_SMALLEST_PAYLOAD = 512
_KIND = re.compile(r"[A-Za-z]+(:[A-Za-z]+)?|\*")


def keyring_of(secret: Secret | None) -> Keyring:
    if isinstance(secret, Keyring):
        return secret
    if isinstance(secret, SessionStore | AsyncSessionStore | os.PathLike):
        raise ConfigError("the first argument is the secret; a store goes into SessionEngine(store=…)")
    if isinstance(secret, str) and names_store(secret):  # development mode would accept another secret
        raise ConfigError(problem_with([secret]))
    return Keyring.from_env() if secret is None else Keyring.from_secrets(secret)


def unless_our_own(secrets: NamedSecrets) -> NamedSecrets | None:
    """Return *secrets*, from a framework's settings; None if the environment has ours, which come first."""
    return None if variables_set() else secrets


def cookie_of(cookie: CookieOptions | None, development: bool) -> CookieOptions:
    options = CookieOptions() if cookie is None else cookie
    if not isinstance(options, CookieOptions):
        raise ConfigError(f"cookie={cookie!r} must be a CookieOptions")
    return options.over_plain_http() if development else options


def check_callables(**functions: object) -> None:
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ConfigError(f"{name}={function!r} must be a function")


def store_of(store: Store | None) -> SessionStore | AsyncSessionStore:
    """Return the store that *store* is or names, by default that of the environment. Do not open it."""
    if store is None and run.goes_on:
        store = run.store()
    elif store is None:
        store = os.environ.get("FLUIDAUTH_DATABASE", DEFAULT_PATH)
        store = store_at(store)
        logger.info("sessions are kept in %r", store)
    elif isinstance(store, str | os.PathLike):
        store = store_at(store)
    if not isinstance(store, SessionStore | AsyncSessionStore):
        raise ConfigError(
            f"store={store!r} is neither a SessionStore, an AsyncSessionStore nor a path or URL"
        )
    return store


def open_store(
    store: SessionStore | AsyncSessionStore, connect: Connect = "eager"
) -> tuple[SessionStore, AsyncSessionStore]:
    """Return *store* for blocking and for asynchronous code. If *connect* is lazy, it need not answer yet."""
    if connect not in ("eager", "lazy"):
        raise ConfigError(f"connect={connect!r} must be 'eager' or 'lazy'")
    if isinstance(store, AsyncSessionStore):
        return SyncBridge(store), store
    try:
        store.open()
    except StoreError as error:
        if connect == "eager":
            raise
        logger.error("%s; until it answers, requests that use a session get 503", error)
    return store, to_async(store)


def field_names(names: Collection[str]) -> Collection[str]:
    if isinstance(names, str):
        if names != "*":
            raise ConfigError(f"encrypted_fields={names!r} is one string; write ({names!r},), or '*' for all")
        return names
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise ConfigError("encrypted_fields must be names of fields, such as ('email',)")
    return frozenset(names)


def switch(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r} must be True or False")
    return value


def page(name: str, path: str | None) -> str | None:
    """Return *path*, of a page of this site; raise :class:`ConfigError` for another one."""
    if path is not None and local_path(path) != path:
        raise ConfigError(f"{name}={path!r} must be a path on this site, such as '/login'")
    return path


def site_data(kinds: Collection[str]) -> str | None:
    """Return the value of ``Clear-Site-Data`` for *kinds*; None if there are none."""
    if isinstance(kinds, str) or not all(isinstance(each, str) and _KIND.fullmatch(each) for each in kinds):
        raise ConfigError(f"clear_site_data={kinds!r} must be a tuple such as ('cache', 'storage')")
    return ", ".join(f'"{each}"' for each in kinds) or None


def payload_limit(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < _SMALLEST_PAYLOAD:
        raise ConfigError(f"max_payload={size!r} must be at least {_SMALLEST_PAYLOAD} bytes")
    return size
