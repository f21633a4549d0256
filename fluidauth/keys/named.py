"""Secrets with their names in somebody's settings, so that an error says what to change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fluidauth.secrecy import HoldsSecrets

from .strength import problem_with

WITHOUT_ONE = "or, on your own machine, set FLUIDAUTH_DEVELOPMENT=1: then no secret is needed"


class NamedSecrets(HoldsSecrets):
    """One secret or several, newest first; *names* are what each is called where it was set.

    *advice* is the text after a weak secret's name, before the command that makes a good one.
    """

    __slots__ = ("_advice", "_names", "secrets")

    def __init__(
        self,
        secrets: str | bytes | Iterable[str | bytes],
        names: Sequence[str] = (),
        advice: str | None = None,
    ) -> None:
        self.secrets: list[str | bytes] = _listed(secrets)
        self._names = list(names)
        self._advice = advice

    def problem(self) -> str | None:
        """Return which one is weak, why, and what to do; None if none is. No secret is shown."""
        if self._advice is None:
            return problem_with(self.secrets, self._names)
        problem = problem_with(self.secrets, self._names, self._advice)
        return problem and f"{problem}\n{WITHOUT_ONE}"

    def strong(self) -> list[str | bytes]:
        """Return those that may sign."""
        return [each for each in self.secrets if problem_with([each]) is None]


def numbered(name: str, count: int) -> list[str]:
    """Return what *count* secrets under one *name* are called."""
    return [name] if count == 1 else [f"secret number {number} of {name}" for number in range(1, count + 1)]


def _listed(secrets: Any) -> list[Any]:
    """Return *secrets* as a list. Text is one secret, never a collection of characters."""
    return (
        list(secrets) if isinstance(secrets, Iterable) and not isinstance(secrets, str | bytes) else [secrets]
    )
