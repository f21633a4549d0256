"""Move what nobody uses from the old store of a migration to the new one, beside live traffic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fluidauth.records import SessionRecord
from fluidauth.stores.migrating import MigratingStore

from .census import pages

BATCH = 500  # records that are moved together
BATCHES = 10  # a second at least, where the rate is limited: the smaller it is, the smaller they are
_BYTES = 1_000_000  # of payloads moved together, so that a call stays within the time limit of its store


@dataclass(slots=True)
class Moved:
    """What became of the records of the old store that were looked at so far."""

    seen: int = 0
    done: int = 0
    skipped: int = 0
    """Expired, or moved or ended by a request meanwhile."""


def move_all(store: MigratingStore, now: int, rate: int = 0) -> Iterator[Moved]:
    """Move every record that lives at *now*, Unix seconds, to the new store.

    Yield the same totals after each batch, for the caller to show and to slow down to *rate* records a
    second; 0 for as fast as may be. Raise ``StoreError`` if a store fails: what was moved stays so, and
    another run goes on.
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
    """Yield the records of *page*, so many at once as are not too large together."""
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
