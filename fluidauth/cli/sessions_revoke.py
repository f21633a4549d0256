"""``fluidauth sessions revoke``, ``revoke-user``, ``revoke-all``: end sessions, and first say which."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import click

from fluidauth.formats.payloads import kind_of, successor_of
from fluidauth.operations import manage
from fluidauth.operations.revoke import end_user, revoke_all
from fluidauth.operations.runner import run
from fluidauth.records import SessionRecord
from fluidauth.stores.base import SessionStore

from .options import (
    check_user,
    command,
    keyring_option,
    now,
    open_keyring,
    open_store,
    policy_for,
    store_option,
    tracked_records,
    whole_handle,
)
from .output import NO, Output, ask, plural
from .sessions_list import SHOWN, of_user

_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only say what would end, with the exit code of the real run."
)


@command(None, "revoke")
@click.argument("handle")
@store_option
@keyring_option
@click.option("--user", help="Only if it is a session of this user.")
@_dry_run_option
def revoke(
    out: Output,
    handle: str,
    store: str,
    keyring: Path | None,
    trust_mount: bool,
    user: str | None,
    dry_run: bool,
) -> None:
    """End one session, also under the id that it was renewed to. Exit code 1 if there is none."""
    if user is not None:
        check_user(user)
    with closing(open_store(store)) as blocking:
        policy = policy_for(open_keyring(keyring, trust_mount), blocking)
        whole = whole_handle(blocking, handle)
        record = _meant(blocking, whole)
        if user is None:
            found = record is not None if dry_run else run(blocking, manage.delete(policy, whole))
        elif dry_run:
            found = run(blocking, manage.fetch_of(policy, whole, user, now())) is not None
        else:
            found = run(blocking, manage.delete_of(policy, whole, user, now()))
    owner = record.user_id if record else None
    of_user = "" if (user or owner) is None else f" of {user or owner!r}"
    outcome = ("would end" if dry_run else "is ended") if found else "was not there"
    out.answer(
        {"handle": whole, "user_id": owner, "would_revoke" if dry_run else "revoked": found},
        f"session {whole[:SHOWN]}{of_user} {outcome}",
    )
    if not found:
        raise click.exceptions.Exit(NO)


@command(None, "revoke-user")
@click.argument("user")
@store_option
@click.option("--except", "kept", help="The handle of a session to keep.")
@_dry_run_option
def revoke_user(out: Output, user: str, store: str, kept: str | None, dry_run: bool) -> None:
    """End all sessions of USER. Exit code 1 if there is none."""
    check_user(user)
    with closing(open_store(store)) as blocking:
        whole = whole_handle(blocking, kept) if kept else None
        if dry_run:
            count = sum(record.handle != whole for record in of_user(blocking, user))
        else:
            count = run(blocking, end_user(user, whole))
    out.answer(
        {"user": user, "would_revoke" if dry_run else "revoked": count},
        f"{plural(count, 'session')} of {user!r} {'would end' if dry_run else 'ended'}",
    )
    if not count:
        raise click.exceptions.Exit(NO)


@command(None, "revoke-all")
@store_option
@keyring_option
@_dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask, and do not count before.")
def revoke_everybody(
    out: Output, store: str, keyring: Path | None, trust_mount: bool, dry_run: bool, yes: bool
) -> None:
    """End every session of everybody, and those of a former system that were not adopted yet.

    Asks first, and refuses if nobody can answer, unless --yes is given. Exit code 1 if nothing was stored.
    """
    with closing(open_store(store)) as blocking:
        policy = policy_for(open_keyring(keyring, trust_mount), blocking)
        if dry_run or not yes:
            living, stored = _living(out, blocking)
            if dry_run:
                return _tell_living(out, living, stored)
            if living.total():
                ask(f"{_sentence(living)}.", "Revoke them?")
        count = run(blocking, revoke_all(policy, now(), adopts=False))
    out.answer({"revoked": count}, f"every session is ended, {plural(count, 'record')} removed")
    if not count:
        raise click.exceptions.Exit(NO)


# -- helpers -------------------------------------------------------------------------------


def _meant(store: SessionStore, handle: str) -> SessionRecord | None:
    """Return the session *handle*, or what it was renewed to."""
    passed: set[str] = set()
    record = store.get(handle)
    while record is not None and (successor := successor_of(record)) is not None:
        passed.add(record.handle)
        record = None if successor in passed else store.get(successor)
    return record


def _living(out: Output, store: SessionStore) -> tuple[Counter[str], int]:
    """Return how many sessions of each kind are live, and how many records are stored."""
    at, stored = now(), 0
    living = Counter[str]()
    for record in tracked_records(out, store, "counting"):
        stored += 1
        if record.expires_at > at and (kind := kind_of(record)) not in ("replaced", "adoption", "mark"):
            living[kind] += 1
    return living, stored


def _tell_living(out: Output, living: Counter[str], stored: int) -> None:
    out.answer({"would_revoke": living.total(), "by_kind": living}, f"{_sentence(living)}.")
    if not stored:
        raise click.exceptions.Exit(NO)


def _sentence(living: Counter[str]) -> str:
    kinds = sorted(living.items(), key=lambda item: (-item[1], item[0]))
    each = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    return f"Revoking all ends {plural(living.total(), 'live session')}" + (f" ({each})" if each else "")


COMMANDS = (revoke, revoke_user, revoke_everybody)
