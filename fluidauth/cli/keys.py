"""``fluidauth keys``: the secrets of a keyring file, and which of them signs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.document import KeyDocument, KeyEntry
from fluidauth.keys.follower import RELOAD_INTERVAL
from fluidauth.keys.key import kid_of
from fluidauth.records import moment

from .options import (
    Command,
    command,
    keyring_file_option,
    now,
    secret_input,
    trust_mount_option,
    variables_set,
)
from .output import Output, Refused

_DAY = 24 * 60 * 60
_LOOK_AGAIN = 0.1  # seconds

interval_option: Callable[[Command], Command] = click.option(
    "--interval",
    type=click.FloatRange(0, 3600),
    default=RELOAD_INTERVAL,
    show_default=True,
    help="Seconds between two looks of a process at the file.",
)
no_wait_option: Callable[[Command], Command] = click.option(
    "--no-wait", is_flag=True, help="Refuse instead of waiting."
)


@click.group()
def keys() -> None:
    """Make secrets, and rotate them during live traffic.

    A key moves from pending to signing to verifying to revoked. Processes that serve
    follow the keyring file by themselves, at most 5 seconds later.
    """


@command(keys, "new")
def new(out: Output) -> None:
    """Print a new secret, for FLUIDAUTH_SECRET."""
    secret = new_secret()
    out.answer({"secret": secret, "kid": kid_of(secret)}, secret)


@command(keys, "list")
@keyring_file_option
@trust_mount_option
def list_keys(out: Output, path: Path, trust_mount: bool) -> None:
    """List the keys of the file and their states."""
    document, _ = keyfile.read(path, trust_mount=trust_mount)
    out.answer({"serial": document.serial, "keys": [shown(entry) for entry in document.entries]})
    rows = [(e.kid, e.state, moment(e.created), moment(e.changed)) for e in document.entries]
    out.table(("key", "state", "created (UTC)", "in this state since"), rows)


@command(keys, "add")
@keyring_file_option
@click.option("--create", is_flag=True, help="Make a new file. Its first key signs at once.")
@click.option("--secret-stdin", is_flag=True, help="Take the secret from standard input, not a new one.")
@click.option("--fresh", is_flag=True, help="With --create: give up the secrets of the environment.")
def add(out: Output, path: Path, create: bool, secret_stdin: bool, fresh: bool) -> None:
    """Add a key: pending, so that every process learns it.

    To move a secret in use to a new file and keep its sessions:
    printenv FLUIDAUTH_SECRET | fluidauth keys add --create --secret-stdin
    """
    in_use = [name for name in variables_set() if name != "FLUIDAUTH_KEYRING"]
    if create and in_use and not (secret_stdin or fresh):
        raise Refused(
            f"the sessions in use are under {in_use[0]}: move it with --secret-stdin, "
            "or log everybody out with --fresh"
        )
    given = [secret_input("secret") if secret_stdin else new_secret()]

    def edit(ring: KeyDocument) -> KeyDocument:
        if not ring.entries and not create:
            raise Refused(f"there is no keyring file {path}; is the path right? --create makes a new one")
        if ring.entries and create:
            raise Refused(f"there is a keyring file {path} already; to add a key to it, leave --create out")
        return ring.added(given[0], now())

    try:
        document = keyfile.change(path, edit)
    finally:
        given.clear()  # a traceback that prints locals must not show it
    entry = document.entries[0]
    where = f"in the new file {path.absolute()}" if create else ""
    out.answer(
        {**shown(entry), "serial": document.serial}, f"key {entry.kid} is {entry.state} {where}".rstrip()
    )
    if not create:
        out.hint("next: fluidauth keys promote")
    elif in_use:
        out.hint(f"next: set FLUIDAUTH_KEYRING={path.absolute()}, unset {' and '.join(in_use)}, restart once")


@command(keys, "promote")
@click.argument("kid", required=False)
@keyring_file_option
@interval_option
@no_wait_option
@click.option("--force", is_flag=True, help="Promote even if some processes may not know the key yet.")
def promote(out: Output, kid: str | None, path: Path, interval: float, no_wait: bool, force: bool) -> None:
    """Let the pending key KID sign, once it has been in the file for two intervals.

    By then every process has it, so each one can verify the new cookies. Afterwards the
    command waits until every process signs with it.
    """
    ring = keyfile.read(path)[0]
    entry, former = _pending(ring, kid), ring.signing
    if not force and entry.state == "pending":
        wait_since(out, entry, 2 * interval, no_wait, "has been pending", "every process learns it")
    document = keyfile.change(path, lambda ring: ring.promoted(entry.kid, now()))
    entry = document.find(entry.kid)
    out.answer({**shown(entry), "serial": document.serial}, f"key {entry.kid} signs")
    if not force and not no_wait:
        wait_since(out, entry, interval, False, "signs", "every process follows")
    if former:
        out.hint(f"next: fluidauth sessions rekey, then fluidauth keys revoke {former.kid} --dry-run")


@command(keys, "prune")
@keyring_file_option
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(0),
    default=400,
    show_default=True,
    help="Days since their revocation.",
)
def prune(out: Output, path: Path, days: int) -> None:
    """Forget keys that were revoked long ago: no cookie can be that old."""
    before = keyfile.read(path)[0]
    after = keyfile.change(path, lambda ring: ring.pruned(now() - days * _DAY + 1))
    gone = sorted(before.states.keys() - after.states.keys())
    out.answer({"pruned": gone, "serial": after.serial}, f"forgot {', '.join(gone) or 'none'}")


# -- helpers -------------------------------------------------------------------------------


def shown(entry: KeyEntry) -> dict[str, Any]:
    """Return what may be shown of *entry*."""
    return {"kid": entry.kid, "state": entry.state, "created": entry.created, "changed": entry.changed}


def wait_since(out: Output, entry: KeyEntry, seconds: float, no_wait: bool, what: str, why: str) -> None:
    """Wait until *entry* has been in its state for *seconds*, or refuse.

    Files keep whole seconds, so it is one second more. It is never longer, whatever the clocks say.
    """
    if not seconds >= 0:  # also for what is no number
        raise click.UsageError("--interval must be at least 0 seconds")
    left = min(seconds + 1, entry.changed + seconds + 1 - time.time())
    if left <= 0:
        return
    if no_wait:
        raise Refused(
            f"key {entry.kid} {what} for {seconds + 1 - left:.0f} s; {why} within {left:.0f} s more"
        )
    end = time.monotonic() + left
    with out.progress(f"{why}: key {entry.kid}", round(left), rate=False) as advance:
        while (rest := end - time.monotonic()) > 0:
            advance(round(left - rest))
            time.sleep(min(rest, _LOOK_AGAIN))


def _pending(document: KeyDocument, kid: str | None) -> KeyEntry:
    if kid is not None:
        return document.find(kid)
    pending = [entry for entry in document.entries if entry.state == "pending"]
    if not pending:
        raise Refused("no key is pending; add one first: fluidauth keys add")
    if len(pending) > 1:
        raise Refused(f"{len(pending)} keys are pending; name one: {', '.join(e.kid for e in pending)}")
    return pending[0]
