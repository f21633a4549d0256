"""``fluidauth sessions``: commands for all sessions at once."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import click

from fluidauth.formats.payloads import is_adoption, sealed_by
from fluidauth.maintenance.census import PAGE, Census
from fluidauth.maintenance.move import Moved, move_all
from fluidauth.maintenance.rekey import BATCH, RATE, Rekeyed, paced, rekey
from fluidauth.operations import manage
from fluidauth.operations.runner import run
from fluidauth.rules.verdicts import inspect
from fluidauth.stores.migrating import MigratingStore

from .options import (
    command,
    count_records,
    keyring_option,
    now,
    open_keyring,
    open_store,
    policy_for,
    reachable_store,
    store_option,
    tracked_records,
)
from .output import NO, Output, Refused, plural

_BAD = ("tampered", "foreign", "undecryptable")
_SHOWN_FAILURES = 20

_rate_option = click.option(
    "--rate",
    type=click.IntRange(0),
    default=RATE,
    show_default=True,
    help="At most so many records per second, so that requests do not notice; 0 for no limit.",
)


@command(None, "init")
@store_option
def init(out: Output, store: str) -> None:
    """Create what the store keeps sessions in, or bring it up to date. Run it before the first start.

    PostgreSQL needs it. A SQLite file is also created by the application itself.
    """
    with closing(reachable_store(store)) as blocking:
        is_new = blocking.create_schema()
    out.answer({"created": is_new}, "the store is ready" if is_new else "the store was ready before")


@command(None, "stats")
@store_option
def stats(out: Output, store: str) -> None:
    """Count sessions of each kind, users, keys and bytes. No payload is opened."""
    found = Census()
    at = now()
    with closing(open_store(store)) as blocking:
        for record in tracked_records(out, blocking, "counting"):
            found.count(record, at)
    out.answer(found.summary())
    average = found.payload_bytes // ((found.live + found.expired) or 1)
    out.table(
        ("", ""),
        [
            ("live records", f"{found.live:,}"),
            *((f"of these, {kind}", f"{count:,}") for kind, count in found.by_kind.most_common()),
            ("expired, to be cleaned", f"{found.expired:,}"),
            ("users", f"{len(found.users):,}"),
            (
                "payload bytes",
                f"{found.payload_bytes:,}: {average:,} on average, {found.largest_payload:,} at most",
            ),
            *((f"cookies under {kid}", f"{count:,}") for kid, count in found.by_cookie_key.most_common()),
            *((f"sealed by {kid}", f"{count:,}") for kid, count in found.by_seal_key.most_common()),
        ],
    )


@command(None, "clean")
@store_option
@keyring_option
@click.option("--revoked", is_flag=True, help="Also sessions that a revoked key ended.")
def clean(out: Output, store: str, keyring: Path | None, trust_mount: bool, revoked: bool) -> None:
    """Remove what has expired, in small transactions during live traffic."""
    count = dead = 0
    with closing(open_store(store)) as blocking:
        count = run(blocking, manage.clean(now()))
        if revoked:
            gone = open_keyring(keyring, trust_mount).revoked
            for record in tracked_records(out, blocking, "looking for revoked keys"):
                if not is_adoption(record) and (record.kid in gone or sealed_by(record) in gone):
                    dead += blocking.delete(record.handle, record.version)
    under = f", {dead:,} under revoked keys" if revoked else ""
    out.answer({"removed": count, "revoked": dead}, f"{plural(count, 'expired record')} removed{under}")


@command(None, "check")
@store_option
@keyring_option
def check(out: Output, store: str, keyring: Path | None, trust_mount: bool) -> None:
    """Verify the storage and every record: its seal, its form, its encrypted fields.

    Exit code 1 if any record was changed, is foreign, or cannot be decrypted.
    """
    at = now()
    verdicts: Counter[str] = Counter()
    bad: list[dict[str, str]] = []
    with closing(open_store(store)) as blocking:
        damage = blocking.damage()
        policy = policy_for(open_keyring(keyring, trust_mount), blocking)
        for record in tracked_records(out, blocking, "checking"):
            found = inspect(policy, record, at)
            verdicts[found.verdict] += 1
            if found.verdict in _BAD:
                bad.append({"handle": record.handle, "verdict": found.verdict, "detail": found.detail})
    out.answer({"records": verdicts.total(), "verdicts": dict(verdicts), "damage": damage, "bad": bad})
    for sentence in damage:
        out.table(("", ""), [("error", sentence)])
    out.table(("verdict", "records"), sorted(verdicts.items()))
    if bad:
        out.table(
            ("handle", "verdict", ""),
            [(b["handle"], b["verdict"], b["detail"]) for b in bad[:_SHOWN_FAILURES]],
        )
        _more(out, len(bad))
    if bad or damage:
        raise click.exceptions.Exit(NO)


@command(None, "rekey")
@store_option
@keyring_option
@_rate_option
@click.option(
    "--batch",
    type=click.IntRange(1, PAGE),
    default=BATCH,
    show_default=True,
    help="Records in one transaction.",
)
def rekey_sessions(
    out: Output, store: str, keyring: Path | None, trust_mount: bool, rate: int, batch: int
) -> None:
    """Seal and encrypt every record again that is not under the signing key.

    Safe during live traffic, and to interrupt: what is done is skipped the next time.
    Exit code 1 if a record was left as it is.
    """
    totals = Rekeyed()
    start = time.monotonic()
    with closing(open_store(store)) as blocking:
        policy = policy_for(open_keyring(keyring, trust_mount), blocking)
        with out.progress("sealing", count_records(blocking)) as advance:
            try:
                for totals in paced(rekey(policy.sealer, blocking, batch), rate):
                    advance(totals.seen)
            except KeyboardInterrupt:
                out.hint(f"{totals.done:,} done; run the same command again for the rest")
                raise
    failed = [{"handle": handle, "reason": reason} for handle, reason in totals.failed]
    out.answer(
        {"done": totals.done, "skipped": totals.skipped, "failed": failed},
        f"{totals.done:,} done, {totals.skipped:,} skipped, {len(failed):,} failed "
        f"in {time.monotonic() - start:.1f} s",
    )
    stale = sorted(policy.keyring.stale)
    if stale:
        out.hint(f"next: fluidauth keys revoke {stale[0]} --dry-run")
    if failed:
        out.table(("handle", "left as it is"), totals.failed[:_SHOWN_FAILURES])
        _more(out, len(failed))
        raise click.exceptions.Exit(NO)


@command(None, "copy")
@store_option
@_rate_option
def copy_sessions(out: Output, store: str, rate: int) -> None:
    """Move every session from the old store of 'old -> new' to the new one.

    Safe during live traffic if every process of the application has both stores already, and safe
    to interrupt. Afterwards give the application the new store alone.
    """
    totals = Moved()
    start = time.monotonic()
    with closing(open_store(store)) as both:
        if not isinstance(both, MigratingStore) or not both.moving:
            raise Refused(
                "this needs two stores, and the application must have both already: "
                "--store 'sqlite:///sessions.db -> redis://host', or FLUIDAUTH_DATABASE"
            )
        with out.progress("moving", count_records(both.old) if out.shows_progress else None) as advance:
            try:
                for totals in paced(move_all(both, now(), rate), rate):
                    advance(totals.seen)
            except KeyboardInterrupt:
                out.hint(f"{totals.done:,} moved; run the same command again for the rest")
                raise
    out.answer(
        {"moved": totals.done, "skipped": totals.skipped},
        f"{plural(totals.done, 'session')} moved, {totals.skipped:,} expired or gone "
        f"in {time.monotonic() - start:.1f} s",
    )
    out.hint("next: give the application the new store alone")


# -- helpers -------------------------------------------------------------------------------


def _more(out: Output, count: int) -> None:
    if count > _SHOWN_FAILURES:
        out.hint(f"and {count - _SHOWN_FAILURES} more; --json lists all")


COMMANDS = (init, stats, clean, check, rekey_sessions, copy_sessions)
