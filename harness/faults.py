"""The code broken on purpose: for each promise of ``docs/security.md`` a file of faults.

Each fault says what it breaks and how: *old*, which stands once in *file*, becomes *new*.
A test that bears the promise's number must fail then; ``make mutants`` sees to that.
"""

from __future__ import annotations

import tomllib
from typing import NamedTuple

from . import ROOT

FOLDER = ROOT / "tests" / "faults"


class Fault(NamedTuple):
    promise: str
    """The number of its row in ``docs/security.md``."""
    what: str
    file: str
    old: str
    new: str
    longer: bool = False
    """Only tests that `make test` leaves to `make check` notice it."""

    def applied_to(self, text: str) -> str | None:
        """Return *text* with the fault in it; None unless *old* stands there exactly once."""
        return text.replace(self.old, self.new) if text.count(self.old) == 1 else None


def all_faults() -> list[Fault]:
    """Return the faults of every promise, in the order of their numbers."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        number = str(int(path.name.partition("-")[0]))
        found += [Fault(number, **fault) for fault in tomllib.loads(path.read_text("utf-8"))["fault"]]
    return found
