"""Many sessions moved together: the steps of ``handover``, each as one call for all of them.

The order of steps is the same as for one session. The claim comes before its mark, and the mark before
the session. At the end the claim is removed before the mark. A process that dies in between leaves claims
and marks. Any other process finishes them, one by one or in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

from fluidauth.records import SessionRecord

from .claims import claim_in, is_marked, marked, unmarked, used_up
from .handover import NEW, OLD, Migration, Steps


def move_many(migration: Migration, records: Sequence[SessionRecord]) -> Steps[list[bool]]:
    """Move *records*, just read from the old store; return for each if it was not in the new one before.

    Records that others change at this moment are moved one by one.
    """
    handles = [record.handle for record in records]
    there: list[SessionRecord | None] = yield (NEW, "get_many", handles)
    yield from _remove([left for left, copied in zip(records, there, strict=True) if copied is not None])
    absent = [left for left, copied in zip(records, there, strict=True) if copied is None]
    done = (yield from _move_absent(migration, absent)) if absent else {}
    return [done.get(handle, False) for handle in handles]


def _move_absent(migration: Migration, records: Sequence[SessionRecord]) -> Steps[dict[str, bool]]:
    """Move *records*, which were not in the new store just now; return for each handle if this did it."""
    fresh = [record for record in records if not is_marked(record)]
    claims = [migration.claim_for(record) for record in fresh]
    if fresh:
        yield (NEW, "create_many", claims)
        yield (
            OLD,
            "update_many",
            [marked(record, claim) for record, claim in zip(fresh, claims, strict=True)],
        )
    # What the old store has now counts: others may have marked or touched it, and an answer may be lost.
    found: list[SessionRecord | None] = yield (OLD, "get_many", [record.handle for record in records])
    left = [record for record in found if record is not None and is_marked(record)]
    used = {claim_in(record).handle for record in left}
    unused = [(claim.handle, None) for claim in claims if claim.handle not in used]
    if unused:
        yield (NEW, "delete_many", unused)
    done = yield from _finish(left)
    for record in found:
        if record is not None and not is_marked(record):
            done[record.handle] = yield from migration.move(record.handle)
    return done


def _finish(left: Sequence[SessionRecord]) -> Steps[dict[str, bool]]:
    """Move what was marked before; return for each handle whether this made it in the new store."""
    pairs = [(used_up(record), unmarked(record)) for record in left]
    done: list[bool] = (yield (NEW, "replace_many", pairs)) if pairs else []
    yield from _remove(left)
    return {record.handle: was_done for record, was_done in zip(left, done, strict=True)}


def _remove(left: Sequence[SessionRecord]) -> Steps[None]:
    """Remove the claims for *left*, so that nobody moves it any more, and then *left* itself."""
    claims = [(claim_in(record).handle, None) for record in left if is_marked(record)]
    if claims:
        yield (NEW, "delete_many", claims)
    if left:
        yield (OLD, "delete_many", [(record.handle, record.version) for record in left])
