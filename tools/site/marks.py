"""Which tests bear which numbers of the checklist in ``docs/security.md``."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache

from harness import ROOT

_MARK = re.compile(r"mark\.requirement\(([^)]*)\)")


@cache
def promises() -> dict[str, str]:
    """Return the text of each promise, by its number."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    return dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))


@cache
def marks() -> dict[str, dict[str, int]]:
    """Return, by the number of a promise, how many marks each file of tests has."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        for arguments in _MARK.findall(path.read_text("utf-8")):
            for number in re.findall(r'"(\d+)"', arguments):
                name = str(path.relative_to(ROOT))
                found[number][name] = found[number].get(name, 0) + 1
    return dict(found)


def borne(numbers: tuple[str, ...]) -> int:
    """Return how many marks there are for *numbers* together."""
    return sum(sum(marks()[number].values()) for number in numbers)
