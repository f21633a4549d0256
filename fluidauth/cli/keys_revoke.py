"""``fluidauth keys revoke``: end a key, and say beforehand how many users that logs out."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from fluidauth.engine.settings import DEFAULT_PATH
from fluidauth.errors import ConfigError, StoreError
from fluidauth.keys import Keyring, new_secret
from fluidauth.keys import file as keyfile
from fluidauth.keys.document import KeyDocument, KeyEntry
from fluidauth.maintenance.census import KeyUse, every_record
from fluidauth.records import moment

from .keys import interval_option, no_wait_option, shown, wait_since
from .options import command, count_records, keyring_file_option, now, open_store, policy_for
from .output import NO, Output, ask, plural


@command(None, "revoke")
@click.argument("kid")
@keyring_file_option
@click.option(
    "--store",
    "stores",
    multiple=True,
    help="Where its sessions are, once for each store and namespace that uses the keyring; "
    "by default FLUIDAUTH_DATABASE.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many would be logged out; exit code 1 if any.")
@click.option("--leaked", is_flag=True, help="Do it at once, even if it signs: then a new key replaces it.")
@click.option("--yes", is_flag=True, help="Do not ask, and log out the users that depend on it.")
@interval_option
@no_wait_option
def revoke(
    out: Output,
    kid: str,
    path: Path,
    stores: tuple[str, ...],
    dry_run: bool,
    leaked: bool,
    yes: bool,
    interval: float,
    no_wait: bool,
) -> None:
    """Revoke the key KID: no cookie, record or field under it opens any more, in any process.

    Asks if that logs anybody out. In scripts, where nobody can answer, it refuses then, unless --yes
    is given. Waits while some process may still sign with KID.
    """

    def edit(ring: KeyDocument) -> KeyDocument:
        return ring.leaked(kid, new_secret(), now()) if leaked else ring.revoked(kid, now())

    document = keyfile.read(path)[0]
    entry = document.find(kid)
    if entry.state == "revoked" or not dry_run:
        edit(document)  # what is not allowed is refused before any wait or question
    if entry.state == "verifying" and not leaked:
        wait_since(out, entry, interval, no_wait, "has not signed", "every process follows")
    if dry_run:
        return _tell_use(out, entry, _use(out, path, kid, stores), leaked)
    use = None if leaked and yes and not stores else _use_if_needed(out, path, kid, stores, yes)
    if not yes and use is not None:
        _ask(kid, use)
    _tell_outcome(out, keyfile.change(path, edit), kid, use)


def _use(out: Output, path: Path, kid: str, stores: tuple[str, ...]) -> KeyUse:
    """Return which sessions depend on the key in all of *stores*."""
    total = KeyUse()
    for url in stores or (os.environ.get("FLUIDAUTH_DATABASE") or DEFAULT_PATH,):
        with closing(open_store(url)) as store:
            policy = policy_for(Keyring.from_file(path), store)
            records = out.tracked(every_record(store.scan), f"reading {url}", count_records(store))
            total.count(policy, kid, records, now())
    return total


def _use_if_needed(out: Output, path: Path, kid: str, stores: tuple[str, ...], yes: bool) -> KeyUse | None:
    """Do as :func:`_use`; None if no store was named, none can be read, and nothing is asked anyway."""
    try:
        return _use(out, path, kid, stores)
    except (ConfigError, StoreError) as error:
        if stores:
            raise
        if not yes:
            raise ConfigError(f"{error}; --yes revokes without counting") from error
        return None


def _tell_use(out: Output, entry: KeyEntry, use: KeyUse, leaked: bool) -> None:
    sentences = [_sentence(entry.kid, use)]
    if entry.state == "signing":
        sentences.append(
            "A new key signs from the same moment on."
            if leaked
            else "It signs, so more sessions depend on it all the time: promote another key first."
        )
    elif use.until is not None:
        sentences.append(
            f"By expiry alone none is left after {moment(use.until)} UTC. "
            "Sessions that are used before move to the signing key."
        )
    out.answer({**shown(entry), **_counts(use), "until": use.until}, *sentences)
    if use.sessions or use.fields:
        raise click.exceptions.Exit(NO)


def _counts(use: KeyUse) -> dict[str, Any]:
    return {
        "logged_out": use.sessions,
        "cookies": use.cookies,
        "payloads": use.payloads,
        "fields": use.fields,
    }


def _sentence(kid: str, use: KeyUse) -> str:
    lost = f"; {plural(use.fields, 'more session')} would lose an encrypted field" if use.fields else ""
    return (
        f"Revoking {kid} logs out {plural(use.sessions, 'live session')} "
        f"({plural(use.cookies, 'cookie')}, {plural(use.payloads, 'payload')} under it){lost}."
    )


def _ask(kid: str, use: KeyUse) -> None:
    """Ask, so that nobody is logged out by mistake."""
    if use.sessions or use.fields:
        ask(_sentence(kid, use), "Revoke it?")


def _tell_outcome(out: Output, document: KeyDocument, kid: str, use: KeyUse | None) -> None:
    signing = document.signing.kid if document.signing else None
    out.answer(
        {
            **shown(document.find(kid)),
            "serial": document.serial,
            "signing": signing,
            "logged_out": use.sessions if use else None,
        },
        f"key {kid} is revoked; {signing} signs",
        f"sessions that end within seconds: {use.sessions:,}" if use and use.sessions else "",
    )
