"""Move stored sessions to the signing key, during live traffic.

Each record is replaced by compare and swap, so no change of a request is lost. A record
that a request changed meanwhile is read again. A record under the signing key is skipped,
so a run that was interrupted continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fluidauth.errors import RecordTampered
from fluidauth.formats.payloads import Sealer, sealed_by
from fluidauth.records import SessionRecord
from fluidauth.rules.verdicts import refusal
from fluidauth.stores.base import SessionStore

from .census import pages

BATCH = 50  # records in one transaction: requests that write wait a few milliseconds for it
RATE = 500  # records per second, so that requests do not notice (benchmarks/rotation.py)
_TRIES = 5  # against requests that change the same session meanwhile


class Totals(Protocol):
    """The results of a run over all records so far."""

    done: int


Progress = TypeVar("Progress", bound=Totals)


@dataclass(slots=True)
class Rekeyed:
    """The results for the records so far."""

    seen: int = 0
    done: int = 0
    skipped: int = 0
    """Under the signing key already, gone meanwhile, or under a revoked key."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Handle and reason of each record that was left as it is."""


def rekey(sealer: Sealer, store: SessionStore, batch: int = BATCH) -> Iterator[Rekeyed]:
    """Seal and encrypt every record again that is not under the signing key.

    Yield the same totals after each *batch*, so that the caller can show them and slow down.
    Raise ``StoreError`` if the store fails, and ``NotSupported`` if it cannot ``scan``.
    """
    totals = Rekeyed()
    for page in pages(store.scan, batch):
        sealer.keyring.refresh()
        totals.seen += len(page)
        _rekey_page(sealer, store, page, totals)
        yield totals


def paced(run: Iterator[Progress], rate: int) -> Iterator[Progress]:
    """Pass *run* on, with at most *rate* records per second; 0 sets no limit.

    After a wait elsewhere, or after skipped records, it does not go faster to catch up.
    """
    done, due = 0, time.monotonic()
    for totals in run:
        yield totals
        if rate:
            due = max(due, time.monotonic()) + (totals.done - done) / rate
            done = totals.done
            time.sleep(max(0.0, due - time.monotonic()))


def _rekey_page(sealer: Sealer, store: SessionStore, page: list[SessionRecord], totals: Rekeyed) -> None:
    left = page
    for _ in range(_TRIES):
        resealed = list(_resealed(sealer, left, totals))
        done = store.update_many(resealed)
        totals.done += sum(done)
        lost = [record.handle for record, was_done in zip(resealed, done, strict=True) if not was_done]
        found = [store.get(handle) for handle in lost]
        left = [record for record in found if record is not None]
        totals.skipped += len(lost) - len(left)
        if not left:
            return
    totals.failed += [(record.handle, "requests kept changing it") for record in left]


def _resealed(sealer: Sealer, records: list[SessionRecord], totals: Rekeyed) -> Iterator[SessionRecord]:
    """Yield the next version of each of *records* that is not under the signing key."""
    for record in records:
        if sealer.keyring.state_of(sealed_by(record)) in ("signing", "pending"):
            totals.skipped += 1
            continue
        try:
            yield sealer.reseal(record)
        except RecordTampered as error:
            if error.reason == "revoked_key":  # no key opens it any more
                totals.skipped += 1
            else:
                totals.failed.append((record.handle, refusal(record, error.reason).detail))
