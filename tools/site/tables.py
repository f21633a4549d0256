"""Tables of the documentation that are made from the code, in Markdown."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from fluidauth.events import MEANINGS
from tools import comparison

from . import marks
from .standards import ASVS, NIST, Row

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


def nist() -> Iterator[str]:
    """Yield NIST SP 800-63B-4, section 5, row by row."""
    return _standard("section", NIST)


def _standard(heading: str, rows: tuple[Row, ...]) -> Iterator[str]:
    yield f"| {heading} | what it asks | fluidauth | promises | marked tests |"
    yield "|--|--|--|--|--|"
    for row in rows:
        numbers = ", ".join(row.promises) or "–"
        tests = marks.borne(row.promises) if row.promises else "–"
        yield f"| {row.number} | {row.asks} | {_ANSWERS[row.answer]}. {row.note} | {numbers} | {tests} |"


def promises() -> Iterator[str]:
    """Yield each promise of the checklist, with the files whose tests show it."""
    yield "| # | promise | tests that bear its number |"
    yield "|--|--|--|"
    for number, promise in marks.promises().items():
        files = ", ".join(
            f"`{name.removeprefix('tests/')}` ({count})" for name, count in marks.marks()[number].items()
        )
        yield f"| {number} | {promise} | {files} |"


TABLES = {"events": events, "asvs": asvs, "nist": nist, "promises": promises, "comparison": comparison.table}
