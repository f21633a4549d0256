"""All sessions moved to another store: in how many calls, and at which pace."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fluidauth import MemoryStore
from fluidauth.maintenance.move import BATCH, move_all
from fluidauth.stores.delegating import DelegatingStore
from fluidauth.stores.migrating import MigratingStore
from fluidauth.testing import make_record


class Counted(DelegatingStore):
    """A store that counts the calls it gets."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.calls = Counter[str]()

    def _call(self, verb: str, *arguments: Any) -> Any:
        self.calls[verb] += 1
        return getattr(self.inner, verb)(*arguments)


def filled(count: int, payload: bytes = b"p") -> tuple[Counted, Counted, MigratingStore]:
    old, new = Counted(), Counted()
    old.inner.create_many([make_record(str(number), payload=payload) for number in range(count)])
    return old, new, MigratingStore(old, new)


@pytest.mark.parametrize("batches", [1, 3])
def test_each_batch_is_a_few_calls_however_many_sessions_it_has(batches: int) -> None:
    """Each of which a store can answer in one round trip."""
    old, new, both = filled(BATCH * batches)

    *_, totals = move_all(both, 0)

    assert (totals.seen, totals.done, totals.skipped) == (BATCH * batches, BATCH * batches, 0)
    assert new.calls == {
        "get_many": batches,
        "create_many": batches,
        "replace_many": batches,
        "delete_many": batches,
    }
    assert old.calls == {
        "scan": batches + 1,
        "update_many": batches,
        "get_many": batches,
        "delete_many": batches,
    }
    assert len(new.inner.scan(None, 10_000)) == BATCH * batches


@pytest.mark.parametrize(("rate", "size"), [(1, 1), (50, 5), (500, 50), (100_000, BATCH), (0, BATCH)])
def test_small_rates_have_small_batches(rate: int, size: int) -> None:
    """So that what is moved a second is moved evenly, and no request waits for hundreds."""
    *_, both = filled(2 * BATCH)

    run = move_all(both, 0, rate)

    assert [next(run).seen for _ in range(2)] == [size, 2 * size]


def test_large_sessions_are_moved_in_smaller_batches() -> None:
    """A call must end within the time limit of its store."""
    *_, both = filled(25, payload=bytes(100_000))

    assert [totals.seen for totals in move_all(both, 0)] == [10, 20, 25]


def test_what_has_expired_stays_behind() -> None:
    old, _, both = filled(10)
    expired = [make_record(f"old {number}", expires_at=100) for number in range(3)]
    old.inner.create_many(expired)

    *_, totals = move_all(both, 100)

    assert (totals.seen, totals.done, totals.skipped) == (13, 10, 3)
    assert sorted(old.inner.scan()) == sorted(expired)
