"""Move unused sessions from the old store of a migration to the new one, during live traffic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fluidauth.records import SessionRecord
from fluidauth.stores.migrating import MigratingStore

from .census import pages

BATCH = 500  # records that are moved together
BATCHES = 10  # per second at least, if the rate is limited: a smaller rate makes smaller batches
_BYTES = 1_000_000  # of payloads in one call, so that it stays within the time limit of its store


@dataclass(slots=True)
class Moved:
    """The results for the records of the old store so far."""

    seen: int = 0
    done: int = 0
    skipped: int = 0
    """Expired, or moved or ended by a request meanwhile."""


def move_all(store: MigratingStore, now: int, rate: int = 0) -> Iterator[Moved]:
    """Move every record that is live at *now*, Unix seconds, to the new store.

    Yield the same totals after each batch. The caller shows them, and slows down to *rate* records per
    second, or not if it is 0. Raise ``StoreError`` if a store fails. What was moved stays moved, and
    another run continues.
    """
    totals = Moved()
    for page in pages(store.old.scan, min(max(rate // BATCHES, 1), BATCH) if rate else BATCH):
        living = [record for record in page if record.expires_at > now]
        totals.seen += len(page) - len(living)
        totals.skipped += len(page) - len(living)
        for batch in _batches(living):
            moved = store.move_many(batch)
            totals.done += sum(moved)
            totals.skipped += len(moved) - sum(moved)
            totals.seen += len(batch)
            yield totals
        if not living:
            yield totals


def _batches(page: Sequence[SessionRecord]) -> Iterator[list[SessionRecord]]:
    """Yield the records of *page* in batches that are not too large."""
    batch: list[SessionRecord] = []
    size = 0
    for record in page:
        if batch and size + len(record.payload) > _BYTES:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record.payload)
    if batch:
        yield batch
