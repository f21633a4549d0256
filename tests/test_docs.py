"""The documents say what the code does, and no promise is without its test."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest

from fluidauth.engine.settings import DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_IDLE_TIMEOUT
from fluidauth.meanings import EventName
from harness import ROOT
from harness.imports import SOURCES, TREES
from tools import architecture, comparison
from tools.site import marks, tables
from tools.site.standards import ASVS, NIST, ORIGINS, Row

SECURITY = (ROOT / "docs" / "security.md").read_text()


@pytest.mark.requirement("61")
def test_the_security_page_has_its_sections() -> None:
    """Key policy, inventory, timeouts, limits, events and revocation are written down."""
    headings = re.findall(r"^## (.+)$", SECURITY, re.MULTILINE)

    assert headings == [
        "Checklist",
        "Keys",
        "Cryptography",
        "Timeouts",
        "Limits",
        "Events",
        "When the store is out of order",
        "Revocation",
        "How it was tested",
        "Known limits",
    ]


@pytest.mark.requirement("61")
def test_every_promise_has_a_test() -> None:
    """Each number of the checklist is borne by a test, and no test bears another."""
    borne = frozenset[str]().union(*(mark.numbers for mark in marks.marks()))

    assert borne == marks.promises().keys()


@pytest.mark.requirement("57")
def test_every_event_is_documented() -> None:
    """The page of events has a table made of all of them, with a sentence for each."""
    assert "```{made} events\n" in (ROOT / "docs" / "events.md").read_text("utf-8")
    rows = list(tables.events())

    assert [
        name for name in get_args(EventName) if not any(row.startswith(f"| `{name}` |") for row in rows)
    ] == []


@pytest.mark.requirement("61")
@pytest.mark.parametrize("row", [*ASVS, *ORIGINS, *NIST], ids=lambda row: row.number)
def test_an_answer_to_a_standard_has_its_tests(row: Row) -> None:
    """Whoever says yes, in whole or in part, names promises that tests bear; the others say what to do."""
    assert all(marks.bearing([number]) for number in row.promises)
    assert row.promises or row.answer not in ("yes", "in part")
    assert row.note or row.answer in ("yes", "yours")


def test_the_standards_are_answered_in_whole() -> None:
    """Each requirement of chapter 7, and each part of section 5. No ``no`` but for identity providers."""
    assert [row.number.partition(" ")[0] for row in ASVS] == [
        f"7.{part}.{number}"
        for part, count in enumerate((3, 4, 2, 5, 3, 2), 1)
        for number in range(1, count + 1)
    ]
    assert [row.number for row in (*ASVS, *ORIGINS) if row.answer == "no"] == ["7.6.1 (L2)"]
    assert sorted({row.number for row in NIST}) == ["5.1", "5.1.1", "5.1.2", "5.2", "5.3"]


def test_the_comparison_is_that_of_the_results() -> None:
    """The README's figures are those that were measured: `python -m tools.comparison`."""
    assert comparison.PART.text() == comparison.made()


def test_the_comparison_says_what_reading_again_costs_where_that_was_measured() -> None:
    """Stored results may be older than the question; their table has no such line."""
    results = json.loads(comparison.RESULTS.read_text("utf-8"))
    rows = [row for row in results["cost"] if row["workload"] != "read again"]
    again = [row | {"workload": "read again", "median": 7.0} for row in rows if row["workload"] == "read"]
    lines = {
        measured: [line for line in comparison.table_of(results | {"cost": found}) if "again costs" in line]
        for measured, found in ((False, rows), (True, rows + again))
    }

    assert lines == {False: [], True: ["| reading it again costs |" + " 7 µs |" * len(comparison.COLUMNS)]}


@pytest.mark.requirement("10")
def test_the_documented_defaults_are_the_real_ones() -> None:
    """The table of timeouts shows what the code has."""
    assert f"({DEFAULT_ABSOLUTE_TIMEOUT} s)" in SECURITY
    assert f"({DEFAULT_IDLE_TIMEOUT} s)" in SECURITY


def test_architecture_page_shows_the_imports() -> None:
    """The picture, and the law of each package, are those of the source: `python -m tools.architecture`."""
    assert architecture.PART.text() == architecture.drawn()


@pytest.mark.parametrize("page", ["architecture.md", "concepts.md"])
def test_pages_name_what_there_is(page: str) -> None:
    """Each module or package that is named as a place exists, and each name in one is there."""
    rooms = {name.partition(".")[0] for name in TREES}
    named = re.findall(
        r"`([a-z_]+(?:/[a-z_]+)*)(?:\.([A-Za-z_]+))?`", (ROOT / "docs" / page).read_text("utf-8")
    )
    places = [(path, name) for path, name in named if "/" in path or path in rooms - {"events", "session"}]

    missing = [
        (path, name)
        for path, name in places
        if path.replace("/", ".") not in TREES
        or (
            name and not re.search(rf"(?m)\b(class|def) {name}\b|^{name} = ", SOURCES[path.replace("/", ".")])
        )
    ]

    assert len(places) > 20
    assert [each for each in missing if not each[0].startswith("tests/")] == []
