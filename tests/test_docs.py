"""The documents say what the code does, and no promise is without its test."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from fluidauth.engine.settings import DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_IDLE_TIMEOUT
from fluidauth.events import EventName
from harness import ROOT

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
    promised = set(re.findall(r"^\| (\d+) \|", SECURITY, re.MULTILINE))
    marks = re.findall(
        r"mark\.requirement\(([^)]*)\)", "".join(p.read_text() for p in ROOT.glob("tests/**/test_*.py"))
    )

    borne = {number for mark in marks for number in re.findall(r'"(\d+)"', mark)}

    assert borne == promised


@pytest.mark.requirement("57")
def test_every_event_is_documented() -> None:
    """The inventory names each event, and the README those that explain an empty session."""
    events = SECURITY.partition("## Events")[2].partition("## Revocation")[0]

    assert [name for name in get_args(EventName) if f"`{name}`" not in events] == []


@pytest.mark.requirement("10")
def test_the_documented_defaults_are_the_real_ones() -> None:
    """The table of timeouts shows what the code has."""
    assert f"({DEFAULT_ABSOLUTE_TIMEOUT} s)" in SECURITY
    assert f"({DEFAULT_IDLE_TIMEOUT} s)" in SECURITY
