"""Which tests bear which numbers of the checklist in ``docs/security.md``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from harness import ROOT

_MARK = re.compile(
    r"^ *@?pytest\.mark\.requirement\(([^)]*)\)|inherited_requirement\(([^)]*)\)", re.MULTILINE
)


class Mark(NamedTuple):
    """One mark, which may have several numbers, and the file that it is in."""

    file: str
    numbers: frozenset[str]


@cache
def promises() -> dict[str, str]:
    """Return the text of each promise, by its number."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    return dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))


@cache
def marks() -> list[Mark]:
    """Return all marks of the tests."""
    return [
        Mark(str(path.relative_to(ROOT)), frozenset(re.findall(r'"(\d+)"', "".join(found))))
        for path in sorted(ROOT.glob("tests/**/test_*.py"))
        for found in _MARK.findall(path.read_text("utf-8"))
    ]


def bearing(numbers: Iterable[str]) -> list[Mark]:
    """Return the marks that have at least one of *numbers*."""
    wanted = frozenset(numbers)
    return [mark for mark in marks() if mark.numbers & wanted]
