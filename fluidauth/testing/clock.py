"""A clock that tests move."""

from __future__ import annotations

BEGINNING = 4_000_000_000
"""The time at which tests begin: Unix seconds, in the year 2096."""


class FakeClock:
    """A clock that stands still until a test moves it. Unix seconds."""

    def __init__(self, now: float = BEGINNING) -> None:
        self.now: float = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move by *seconds*, back if negative."""
        self.now += seconds
