"""Move what nobody uses from the old store of a migration to the new one, beside live traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fluidauth.stores.migrating import MigratingStore

from .census import pages

BATCH = 50  # records between two reports


@dataclass(slots=True)
class Moved:
    """What became of the records of the old store that were looked at so far."""

    seen: int = 0
    done: int = 0
    skipped: int = 0
    """Expired, or moved or ended by a request meanwhile."""


def move_all(store: MigratingStore, now: int) -> Iterator[Moved]:
    """Move every record that lives at *now*, Unix seconds, to the new store.

    Yield the same totals after each batch, for the caller to show and to slow down. Raise
    ``StoreError`` if a store fails: what was moved stays so, and another run goes on.
    """
    totals = Moved()
    for page in pages(store.old.scan, BATCH):
        for record in page:
            moved = record.expires_at > now and store.move(record.handle)
            totals.done += moved
            totals.skipped += not moved
        totals.seen += len(page)
        yield totals
