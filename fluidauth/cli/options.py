"""What commands work on: the keyring, the store, and an engine over both."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from fluidauth.engine.settings import (
    DEFAULT_ABSOLUTE_TIMEOUT,
    DEFAULT_IDLE_TIMEOUT,
    DEFAULT_PATH,
    MAX_PAYLOAD,
)
from fluidauth.errors import ConfigError, FluidAuthError, KeyStateError, NotSupported, StoreError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import Keyring
from fluidauth.keys.ring import variables_set as variables_set
from fluidauth.maintenance.census import every_record
from fluidauth.records import Lifetime, SessionRecord, check_user_id, is_handle
from fluidauth.rules.policy import Policy
from fluidauth.stores.base import SessionStore
from fluidauth.stores.migrating import MigratingStore
from fluidauth.stores.sqlite import SQLiteStore
from fluidauth.stores.urls import store_at

from .output import Output, Refused, Unable

Command = TypeVar("Command", bound=Callable[..., Any])

_SHORTEST_PREFIX = 8


def command(group: click.Group | None, name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function: with ``--json``, an :class:`Output` first, errors as exit codes."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(as_json: bool, **values: Any) -> None:
            try:
                function(Output(as_json), **values)
            except (FluidAuthError, Refused, Unable) as error:
                told = _told(error)
                if not as_json:
                    raise told from error
                click.echo(json.dumps({"error": told.message}))
                raise click.exceptions.Exit(told.exit_code) from error

        flag = click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
        )
        return (group.command if group else click.command)(name)(flag(run))

    return decorate


def _told(error: FluidAuthError | Refused | Unable) -> Refused | Unable:
    """Return *error* as the command line reports it."""
    if isinstance(error, Refused | Unable):
        return error
    in_the_way = isinstance(error, ConfigError | StoreError) and not isinstance(error, KeyStateError)
    return Unable(str(error)) if in_the_way else Refused(str(error))


trust_mount_option: Callable[[Command], Command] = click.option(
    "--trust-mount", is_flag=True, help="Accept a keyring file that others may read."
)


_keyring_path = partial(
    click.option,
    "--keyring",
    envvar="FLUIDAUTH_KEYRING",
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
)
keyring_file_option: Callable[[Command], Command] = _keyring_path(
    "path", required=True, help="The keyring file."
)


def keyring_option(function: Command) -> Command:
    """Take ``--keyring`` and ``--trust-mount``."""
    path = _keyring_path("keyring", help="The keyring file; without one, the secrets of the environment.")
    return path(trust_mount_option(function))


def store_option(function: Command) -> Command:
    """Take ``--store``."""
    return click.option(
        "--store",
        "store",
        envvar="FLUIDAUTH_DATABASE",
        show_envvar=True,
        default=DEFAULT_PATH,
        show_default=True,
        help="The store: a URL as sqlite:///sessions.db, redis://host or postgresql://host/database, "
        "two of them as 'old -> new', or the path of a SQLite file.",
    )(function)


def now() -> int:
    """Return Unix seconds."""
    return int(time.time())


def open_keyring(path: Path | None, trust_mount: bool) -> Keyring:
    """Return the keyring at *path*, or that of the environment."""
    if path is not None:
        return Keyring.from_file(path, trust_mount=trust_mount)
    if not variables_set():
        raise ConfigError(
            "no secret: give --keyring FILE, or set FLUIDAUTH_KEYRING or FLUIDAUTH_SECRET. If SECRET_KEY "
            "signs, set FLUIDAUTH_SECRET to that; in development mode, to the content of *.development-secret"
        )
    return Keyring.from_env()


def open_store(url: str) -> SessionStore:
    """Return the store at *url*, opened. One that is not there is not created."""
    store = reachable_store(url)
    for part in (store.old, store.new) if isinstance(store, MigratingStore) else (store,):
        if isinstance(part, SQLiteStore) and not part.path.exists():
            raise ConfigError(
                f"there is no session database {part.path}; give --store, or FLUIDAUTH_DATABASE"
            )
    store.open()
    return store


def reachable_store(url: str) -> SessionStore:
    """Return the store at *url*, not opened. Raise :class:`ConfigError` for one inside another process."""
    if "memory://" in url:
        raise ConfigError("a memory store is inside its own process, so no command can reach it")
    return store_at(url)


def policy_for(keyring: Keyring, store: SessionStore, cookie: CookieOptions | None = None) -> Policy:
    """Return the rules for opening records of *store*. None is made under them."""
    sealer = Sealer(keyring, (), MAX_PAYLOAD)
    lifetime = Lifetime(DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_IDLE_TIMEOUT)
    return Policy.of(sealer, cookie or CookieOptions(), lifetime, store.namespace, store.kin_digits)


def count_records(store: SessionStore) -> int | None:
    """Return how many records there are; None if the store cannot count."""
    try:
        return sum(store.count_by_kid().values())
    except NotSupported:
        return None


def tracked_records(out: Output, store: SessionStore, what: str) -> Iterator[SessionRecord]:
    """Yield all records of *store* and show how many have passed."""
    total = count_records(store) if out.shows_progress else None
    return out.tracked(every_record(store.scan), what, total)


def check_user(user: str) -> None:
    """Raise :class:`Refused` if *user* cannot be a user id."""
    try:
        check_user_id(user)
    except ValueError as error:
        raise Refused(str(error)) from error


def whole_handle(store: SessionStore, given: str) -> str:
    """Return the handle that begins with *given*; raise :class:`Refused` unless exactly one does."""
    given = given.lower()
    if is_handle(given):
        return given
    padded = given.ljust(64, "0")
    if len(given) < _SHORTEST_PREFIX or not is_handle(padded):
        # What was given is not repeated: somebody may have pasted a cookie.
        raise Refused(
            f"this is no handle: a handle has 64 hex digits, and the first {_SHORTEST_PREFIX} are enough; "
            "for a cookie use fluidauth token explain"
        )
    before = None if not int(padded, 16) else f"{int(padded, 16) - 1:064x}"
    found = [record.handle for record in store.scan(before, 2) if record.handle.startswith(given)]
    if len(found) != 1:
        raise Refused(f"{'no session' if not found else 'more than one session'} has a handle like {given}")
    return found[0]


def secret_input(what: str) -> str:
    """Return *what* from standard input, or ask without an echo. Arguments would get into histories."""
    if sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    given = "" if sys.stdin is None else sys.stdin.read()
    if not given.strip():
        raise Refused(f"no {what} came on standard input; is the variable for it set?")
    return given
