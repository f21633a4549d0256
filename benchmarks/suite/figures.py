"""Medians and quartiles, and when they say too little."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import comb
from typing import Any, NamedTuple

NOISE = 0.25  # quartiles further apart than this part of the median say little


class Spread(NamedTuple):
    lower: float
    median: float
    upper: float

    @property
    def noisy(self) -> bool:
        return self.upper - self.lower > NOISE * abs(self.median)

    def told(self) -> dict[str, Any]:
        """Return what goes into the results file."""
        return {**self._asdict(), "noise": self.noisy}


def spread(figures: Sequence[float]) -> Spread:
    """Return median and quartiles of at least one figure."""
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    return Spread(*statistics.quantiles(figures, n=4, method="inclusive"))


def interval(figures: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return an interval that holds the median of what *figures* are drawn from, and how surely it does.

    Exact and without any assumption on how they are spread: the k-th smallest and largest
    fail to hold it with twice the probability that a fair coin falls less than k times on
    one side. The narrowest with *confidence* is chosen, or the widest there is.
    """
    ordered, count = sorted(figures), len(figures)
    chosen, sure = 0, 1 - 2 * 0.5**count
    tail = 0.5**count
    for rank in range(1, count // 2):
        tail += comb(count, rank) * 0.5**count
        if 1 - 2 * tail < confidence:
            break
        chosen, sure = rank, 1 - 2 * tail
    return ordered[chosen], ordered[-1 - chosen], sure
