"""The pictures of the benchmarks: like is next to like, and the figures are the stored ones."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from benchmarks.suite import pictures, sheets
from benchmarks.suite.questions import ALONE, BY_FLEET, FROM_OTHERS, page, throughput
from harness import ROOT

RESULTS = ROOT / "benchmarks" / "results"
LATEST: dict[str, Any] = json.loads((RESULTS / "latest.json").read_text())
PEERS = LATEST["peers"]
QUESTIONS: dict[str, Any] = {**BY_FLEET, **ALONE, **FROM_OTHERS}
MEASURED = [name for name in QUESTIONS if LATEST.get(name)]


def texts_of(name: str) -> set[str]:
    """Return all that is written in the stored picture of a question."""
    return {
        unescape(text)
        for text in re.findall(r"<text[^>]*>([^<]*)</text>", (RESULTS / f"{name}.svg").read_text())
    }


def drawn(name: str) -> Any:
    """Return what is to be drawn of the stored figures."""
    return QUESTIONS[name].draw(LATEST[name], PEERS)


def test_the_stored_figures_answer_the_questions() -> None:
    """All but the newest, until they are measured again."""
    assert set(QUESTIONS) - set(MEASURED) <= {"page"}


def test_each_peer_is_like_the_others_of_its_panel() -> None:
    """Where the fields are, and what a change survives, is the same kind for all of a panel."""
    survived: dict[str, set[str]] = {}
    for peer in PEERS.values():
        survived.setdefault(sheets.group_of(peer), set()).add(peer["survives"])

    newest = {"Another machine: PostgreSQL (here over a socket)"}  # older figures know of none
    assert survived.keys() | newest == sheets.GROUPS.keys()
    assert {heading: len(found) for heading, found in survived.items()} == dict.fromkeys(survived, 1)


def test_a_peer_is_in_one_panel() -> None:
    for peer in PEERS.values():
        fitting = [
            heading for heading, belongs in sheets.GROUPS.items() if belongs(peer["data"], peer["survives"])
        ]
        assert fitting == [sheets.group_of(peer)]


def test_a_peer_like_none_is_an_error() -> None:
    with pytest.raises(LookupError, match="no panel is for tape that survives a fire"):
        sheets.group_of({"data": "tape", "survives": "a fire"})


def test_of_two_set_ups_in_a_panel_the_tuned_one_is_shown() -> None:
    """One whose durability differs is another panel's, and both are shown."""
    alike, tuned = {"data": "Redis", "survives": "a restart"}, {"data": "SQLite", "survives": "a restart"}
    peers = {
        "B Redis, WSGI default": alike,
        "B Redis, WSGI tuned": alike,
        "B SQLite, WSGI default": {"data": "SQLite", "survives": "a power cut"},
        "B SQLite, WSGI tuned": tuned,
    }
    values = {name: (float(number),) for number, name in enumerate(peers)}

    found = sheets.panels_of(values, peers)

    assert [[(bar.label, bar.values) for bar in panel.bars] for panel in found] == [
        [("B SQLite WSGI", (3.0,))],
        [("B SQLite WSGI", (2.0,))],
        [("B WSGI", (1.0,))],
    ]


@pytest.mark.parametrize("name", [name for name in MEASURED if name != "growth"])
def test_pictures_show_the_stored_figures(name: str) -> None:
    """After a run, or a change of what is drawn: `python -m benchmarks.suite draw`."""
    sheet = drawn(name)
    bars = [bar for panel in sheet.panels for bar in panel.bars]
    wanted = {sheet.title, *sheet.notes, *sheet.columns, *(panel.heading for panel in sheet.panels)}
    wanted |= {bar.label for bar in bars}
    wanted |= {"–" if value is None else sheet.say(value) for bar in bars for value in bar.values}

    assert texts_of(name) == wanted - {""}
    assert any(bar.ours for bar in bars)


@pytest.mark.parametrize("asked", [("read", "change"), ("read again", "read", "change")])
def test_the_picture_of_cost_shows_what_was_asked(asked: tuple[str, ...]) -> None:
    """Stored figures may know of no session that is read again; that it was read before is said."""
    peers = {"fluidauth SQLite, WSGI default": {"data": "SQLite", "survives": "a power cut"}}
    rows = [
        {"peer": name, "workload": workload, "median": float(len(workload))}
        for name in peers
        for workload in (*asked, "login")
    ]

    sheet = QUESTIONS["cost"].draw(rows, peers)

    assert sheet.columns == asked
    bars = [bar.values for panel in sheet.panels for bar in panel.bars]
    assert bars == [tuple(float(len(workload)) for workload in asked)]
    assert any("a moment ago" in note for note in sheet.notes) is ("read again" in asked)


def test_the_picture_of_throughput_shows_no_hot_storm() -> None:
    """It is of another mix of requests, and has a column of its own in the table."""
    peers = {"fluidauth SQLite, WSGI default": {"data": "SQLite", "survives": "a power cut"}}
    kinds = [{"busy": busy, "concurrent": 32, "bare": False} for busy in (False, True)]
    kinds = [*kinds, throughput.HOT._asdict()]  # the first two are as older results have them
    rows = [
        {"peer": name, **kind, "rate": float(number), "p50": 0.0, "p99": 0.0, "refused": 0}
        for name in peers
        for number, kind in enumerate(kinds)
    ]

    sheet = throughput.draw(rows, peers)
    table = throughput.table(rows)

    assert [bar.values for panel in sheet.panels for bar in panel.bars] == [(0.0, 1.0)]
    assert [str(cell) for cell in table.columns[-1].cells] == ["2 / 0.0"]
    assert table.columns[-1].header == "hot 32"


def test_the_picture_of_pages_shows_the_time_and_who_needed_no_select() -> None:
    """The time is what the bare application does not take; a cookie has no SELECT to do without."""
    peers = {
        "fluidauth SQLite, WSGI default": {"data": "SQLite", "survives": "a power cut"},
        "fluidauth SQLite, ASGI default": {"data": "SQLite", "survives": "a power cut"},
        "Flask cookie, WSGI default": {"data": "cookie", "survives": "a power cut"},
    }
    rows = [
        {"peer": name, "pages": 9, "without_select": share, "late": 3.0}
        | {"page": {"median": 4.0, "p95": 9.0}, "bare": {"median": 0.5, "p95": 0.6}}
        for name, share in zip(peers, (0.5, 0.754, None), strict=True)
    ]

    sheet = page.draw(rows, peers)
    table = page.table(rows, [])

    assert [bar.values for panel in sheet.panels for bar in panel.bars] == [(3.5, 8.5)] * 3
    assert sheet.notes[-1] == "fluidauth read 50% to 75% without a SELECT."
    assert [str(cell) for cell in table.columns[-1].cells] == ["50%", "75%", "–"]
    assert "3 ms late" in str(table.caption)


def test_no_picture_is_drawn_of_no_peer(tmp_path: Path) -> None:
    """A run of other peers alone has floors, and nothing of fluidauth to show beside them."""
    picture = tmp_path / "floors.svg"

    pictures.draw(QUESTIONS["floors"], [{"floor": "SHA-256", "median": 0.3}], PEERS, picture)

    assert not picture.exists()


def test_the_picture_of_growth_names_all_that_is_measured() -> None:
    """Its lines are drawn; their names and what grows are written."""
    graph = drawn("growth")

    lines = [line for _, lines in graph.panels for line in lines]
    assert {line.label for line in lines} | {kind for kind, _ in graph.panels} <= texts_of("growth")
    assert {line.label for line in lines if line.ours} >= {
        "fluidauth SQLite, fsync",
        "fluidauth SQLite",
        "fluidauth memory",
    }


@pytest.mark.parametrize("name", MEASURED)
def test_pictures_are_for_light_and_dark_pages(name: str) -> None:
    """On a card of their own, in the colours of all pictures; text is text, of nine points at least."""
    picture = (RESULTS / f"{name}.svg").read_text()
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )*([\d.]+)px", picture)]

    assert "prefers-color-scheme:dark" in picture
    assert "fill:var(--card)" in picture
    assert re.findall(r"#0102\w\w|DejaVu", picture) == []
    assert min(sizes) >= 9
    assert re.search(r'width="330pt"', picture)
