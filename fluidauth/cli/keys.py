"""``fluidauth keys``: the secrets of a keyring file, and which of them signs."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from .. import keyfile
from ..engine import DEFAULT_PATH
from ..inspection import KeyUse, every_record
from ..keydocument import KeyDocument, KeyEntry
from ..keyring import RELOAD_INTERVAL, Keyring
from ..keys import kid_of, new_secret
from .output import Output, Refused, moment, plural
from .settings import command, count_records, keyring_file_option, open_store, policy_for, secret_input

_DAY = 24 * 60 * 60
_LOOK_AGAIN = 0.1  # seconds


@click.group()
def keys() -> None:
    """Make secrets, and rotate them beside live traffic.

    A key moves from pending to signing to verifying to revoked. Processes that serve
    follow the keyring file by themselves, 5 seconds behind at most.
    """


@command(keys, "new")
def new(out: Output) -> None:
    """Print a new secret, for FLUIDAUTH_SECRET."""
    secret = new_secret()
    out.answer({"secret": secret, "kid": kid_of(secret)}, secret)


@command(keys, "list")
@keyring_file_option
def list_keys(out: Output, path: Path) -> None:
    """List the keys of the file and their states."""
    document = keyfile.look(path)
    out.answer({"serial": document.serial, "keys": [_shown(entry) for entry in document.entries]})
    rows = [(e.kid, e.state, moment(e.created), moment(e.changed)) for e in document.entries]
    out.table(("key", "state", "created (UTC)", "in this state since"), rows)


@command(keys, "add")
@keyring_file_option
@click.option(
    "--secret-stdin", is_flag=True, help="Take the secret from standard input instead of a new one."
)
def add(out: Output, path: Path, secret_stdin: bool) -> None:
    """Add a key: pending, so that every process learns it. The first of a new file signs at once."""
    given = [secret_input("secret") if secret_stdin else new_secret()]
    try:
        document = keyfile.change(path, lambda ring: ring.added(given[0], _now()))
    finally:
        given.clear()  # a traceback that prints locals must not show it
    entry = document.entries[0]
    out.answer({**_shown(entry), "serial": document.serial}, f"key {entry.kid} is {entry.state}")
    if entry.state == "pending":
        out.hint("next: fluidauth keys promote")


@command(keys, "promote")
@click.argument("kid", required=False)
@keyring_file_option
@click.option(
    "--interval",
    type=float,
    default=RELOAD_INTERVAL,
    show_default=True,
    help="Seconds between two looks of a process at the file.",
)
@click.option("--no-wait", is_flag=True, help="Refuse instead of waiting.")
@click.option("--force", is_flag=True, help="Promote even if some processes may not know the key yet.")
def promote(out: Output, kid: str | None, path: Path, interval: float, no_wait: bool, force: bool) -> None:
    """Let the pending key KID sign, once it has been in the file for two intervals.

    By then every process has it, and nobody meets a cookie that he cannot verify.
    """
    entry = _pending(keyfile.look(path), kid)
    if not force:
        _wait_until_known(out, entry, interval, no_wait)
    former = keyfile.look(path).signing
    document = keyfile.change(path, lambda ring: ring.promoted(entry.kid, _now()))
    out.answer({**_shown(document.find(entry.kid)), "serial": document.serial}, f"key {entry.kid} signs")
    if former:
        out.hint("next: fluidauth sessions rekey, then fluidauth keys revoke --dry-run " + former.kid)


@command(keys, "revoke")
@click.argument("kid")
@keyring_file_option
@click.option(
    "--store",
    "stores",
    multiple=True,
    help="Where its sessions are, once for each store and namespace that uses the keyring; "
    "by default FLUIDAUTH_DATABASE.",
)
@click.option("--dry-run", is_flag=True, help="Only say who would be logged out; exit code 1 if anybody.")
@click.option(
    "--leaked", is_flag=True, help="Revoke even the signing key; a new one signs from the same moment on."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(
    out: Output, kid: str, path: Path, stores: tuple[str, ...], dry_run: bool, leaked: bool, yes: bool
) -> None:
    """Revoke the key KID: no cookie, record or field under it opens any more, in any process.

    Asks if that logs anybody out.
    """
    if dry_run:
        _tell_use(out, keyfile.look(path).find(kid), _use(out, path, kid, stores))
        return

    def edit(ring: KeyDocument) -> KeyDocument:
        return ring.leaked(kid, new_secret(), _now()) if leaked else ring.revoked(kid, _now())

    edit(keyfile.look(path))  # what is not allowed is refused before anybody is asked
    if not yes:
        _ask(kid, _use(out, path, kid, stores))
    document = keyfile.change(path, edit)
    signing = document.signing.kid if document.signing else None
    out.answer(
        {**_shown(document.find(kid)), "serial": document.serial, "signing": signing},
        f"key {kid} is revoked; {signing} signs",
    )


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
    before = keyfile.look(path)
    after = keyfile.change(path, lambda ring: ring.pruned(_now() - days * _DAY + 1))
    gone = sorted(before.states.keys() - after.states.keys())
    out.answer({"pruned": gone, "serial": after.serial}, f"forgot {', '.join(gone) or 'none'}")


# -- helpers -------------------------------------------------------------------------------


def _now() -> int:
    return int(time.time())


def _shown(entry: KeyEntry) -> dict[str, Any]:
    return {"kid": entry.kid, "state": entry.state, "created": entry.created, "changed": entry.changed}


def _pending(document: KeyDocument, kid: str | None) -> KeyEntry:
    if kid is not None:
        return document.find(kid)
    pending = [entry for entry in document.entries if entry.state == "pending"]
    if len(pending) != 1:
        raise Refused(
            f"{len(pending) or 'no'} keys are pending; " + ("name one" if pending else "add one first")
        )
    return pending[0]


def _wait_until_known(out: Output, entry: KeyEntry, interval: float, no_wait: bool) -> None:
    """Wait until *entry* has been pending for two intervals; times are kept in whole seconds."""
    if entry.state != "pending":
        return  # refused in a moment, with its own reason
    needed = 2 * interval + 1
    left = min(needed, entry.changed + needed - time.time())
    if left <= 0:
        return
    if no_wait:
        raise Refused(f"key {entry.kid} must be pending for {left:.0f} s more, so that every process has it")
    end = time.monotonic() + left
    with out.progress(f"every process learns key {entry.kid}", round(left), rate=False) as advance:
        while (rest := end - time.monotonic()) > 0:
            advance(round(left - rest))
            time.sleep(min(rest, _LOOK_AGAIN))


def _use(out: Output, path: Path, kid: str, stores: tuple[str, ...]) -> KeyUse:
    """Return who depends on the key in all of *stores*."""
    total = KeyUse()
    for url in stores or (os.environ.get("FLUIDAUTH_DATABASE") or DEFAULT_PATH,):
        with closing(open_store(url)) as store:
            policy = policy_for(Keyring.from_file(path), store)
            records = out.tracked(every_record(store.scan), f"reading {url}", count_records(store))
            total.count(policy, kid, records, _now())
    return total


def _tell_use(out: Output, entry: KeyEntry, use: KeyUse) -> None:
    sentences = [_use_sentence(entry.kid, use)]
    if entry.state == "signing":
        sentences.append(
            f"{entry.kid} signs, so that more sessions depend on it all the time: promote another first."
        )
    elif use.until is not None:
        sentences.append(
            f"None is left after {moment(use.until)} UTC by expiry alone; "
            "those that are used before move to the signing key."
        )
    out.answer(
        {
            **_shown(entry),
            "logged_out": use.sessions,
            "cookies": use.cookies,
            "payloads": use.payloads,
            "fields": use.fields,
            "until": use.until,
        },
        *sentences,
    )
    if use.sessions or use.fields:
        raise click.exceptions.Exit(1)


def _use_sentence(kid: str, use: KeyUse) -> str:
    return (
        f"Revoking {kid} logs out {plural(use.sessions, 'live session')} "
        f"({plural(use.cookies, 'cookie')}, {plural(use.payloads, 'payload')} under it); "
        f"{plural(use.fields, 'more session')} would lose an encrypted field."
    )


def _ask(kid: str, use: KeyUse) -> None:
    """Let nobody be logged out by mistake."""
    if not use.sessions and not use.fields:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{_use_sentence(kid, use)} Add --yes to do it")
    if not click.confirm(f"{_use_sentence(kid, use)} Revoke it?", err=True):
        raise Refused("nothing was changed")
