"""Tables of the documentation that are made from the code, in Markdown."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fluidauth
from fluidauth.meanings import MEANINGS
from harness import ROOT
from tools import comparison

from . import marks
from .standards import ASVS, NIST, ORIGINS, Row

_ANSWERS = {"yes": "✓ yes", "in part": "◐ in part", "no": "✗ no", "yours": "○ yours"}


def events() -> Iterator[str]:
    """Yield a table of all events: name, reasons, level and what the log says."""
    yield "| event | reason | level | what the log says |"
    yield "|--|--|--|--|"
    for name, meaning in sorted(MEANINGS.items()):
        level = logging.getLevelName(meaning.level)
        yield f"| `{name}` | | {level} | {meaning.sentence} |"
        yield from (f"| | `{reason}` | | {sentence} |" for reason, sentence in meaning.reasons.items())


def asvs() -> Iterator[str]:
    """Yield OWASP ASVS 5.0, chapter 7, row by row."""
    return _standard("requirement", ASVS)


def origins() -> Iterator[str]:
    """Yield what OWASP ASVS 5.0 asks about requests of other origins."""
    return _standard("requirement", ORIGINS)


def nist() -> Iterator[str]:
    """Yield NIST SP 800-63B-4, section 5, row by row."""
    return _standard("section", NIST)


def _standard(heading: str, rows: tuple[Row, ...]) -> Iterator[str]:
    yield f"| {heading} | what it asks | fluidauth | promises | marks |"
    yield "|--|--|--|--|--|"
    for row in rows:
        numbers = ", ".join(row.promises) or "–"
        tests = len(marks.bearing(row.promises)) or "–"
        yield f"| {row.number} | {row.asks} | {_ANSWERS[row.answer]}. {row.note} | {numbers} | {tests} |"


def promises() -> Iterator[str]:
    """Yield each promise of the checklist, with the files whose tests show it."""
    yield "| # | promise | tests that bear its number |"
    yield "|--|--|--|"
    for number, promise in marks.promises().items():
        files = Counter(mark.file.removeprefix("tests/") for mark in marks.bearing([number]))
        shown = ", ".join(f"`{name}` ({count})" for name, count in files.items())
        yield f"| {number} | {promise} | {shown} |"


def changes(folder: Path = ROOT / "changelog.d") -> Iterator[str]:
    """Yield what the next release brings, from the fragments in *folder*; a release leaves none."""
    if any(folder.glob("+*.md")):
        version = ("--version", fluidauth.__version__, "--date", "unreleased")
        command = (sys.executable, "-m", "towncrier", "build", "--draft", *version)
        yield subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8").stdout


TABLES = {
    "asvs": asvs,
    "changes": changes,
    "comparison": comparison.table,
    "events": events,
    "nist": nist,
    "origins": origins,
    "promises": promises,
}
