"""How often a store goes to its server."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Trips:
    """Counts the questions of the steps that pass through :meth:`of`: each is one round trip."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Yield what *steps* yield."""
        question = next(steps)
        try:
            while True:
                self.count += 1
                try:
                    answer = yield question
                except Exception as error:
                    question = steps.throw(error)
                else:
                    question = steps.send(answer)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
