"""One request's way through the code: its steps over the floors that it passes.

The steps are those of the tables in ``docs/architecture.md``, the floors those of the imports. A step
at a module that is not there, or that no import leads to, is an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from harness import ROOT
from harness.imports import FLOORS, TREES, own_imports, room_of

from .drawing import MARGIN, WIDTH, Picture, Point

PAGE = ROOT / "docs" / "architecture.md"
BEGINS = "middleware.wsgi"
"""Where a request comes in, and its response leaves."""
SAVES = "save_head"
"""The step that says this is the first of those after the application has run."""
LEFT, TOP, HIGH = 116, 120, 38


class NoSuchStep(ValueError):
    """A step is at a place that is not in the code."""


class Step(NamedTuple):
    """A row of the tables."""

    number: int
    places: tuple[str, ...]
    """Modules below ``fluidauth``, with dots."""
    what: str


def steps(page: str) -> list[Step]:
    """Return the steps that *page* has; raise :class:`NoSuchStep` for one that the code has not."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    found = [
        Step(int(number), tuple(place.replace("/", ".") for place in re.findall(r"`([^`]+)`", where)), what)
        for number, where, what in rows
    ]
    if [step.number for step in found] != list(range(1, len(found) + 1)) or not found:
        raise NoSuchStep("the steps are not numbered from 1 on")
    reached = _reached(BEGINS)
    for step in found:
        for place in step.places:
            if place not in TREES:
                raise NoSuchStep(f"step {step.number} is at {place}, which is no module")
            if place not in reached:
                raise NoSuchStep(
                    f"step {step.number} is at {place}: {BEGINS} imports nothing that leads there"
                )
    return found


def _reached(first: str) -> set[str]:
    """Return *first* and all that it imports, and what that imports."""
    reached: set[str] = set()
    left = [first]
    while left:
        module = left.pop()
        if module not in reached:
            reached.add(module)
            left += own_imports(module)
    return reached


def draw() -> str:
    """Return the picture."""
    taken = steps(PAGE.read_text("utf-8"))
    picture = Picture(
        "A request's way through the code",
        "Rows are the packages that a request passes, the highest floor first. Its steps are numbered from "
        "left to right, first down to the store and back to read, then down and back to save.",
    )
    picture.text((MARGIN, 57), "A row imports what stands below it. Time goes to the right.", "muted")
    rooms = {room_of(place) for step in taken for place in step.places}
    floors = [room for floor in reversed(FLOORS) for room in floor.split() if room in rooms]
    rows = {room: TOP + HIGH * row for row, room in enumerate(floors)}
    bottom = TOP + HIGH * len(rows)
    wide = (WIDTH - MARGIN - LEFT) / len(taken)
    columns = [LEFT + wide * (place + 0.5) for place in range(len(taken))]
    turn = next(place for place, step in enumerate(taken) if SAVES in step.what)
    split = LEFT + wide * turn
    picture.box((LEFT, TOP - 22), (wide * turn - 2, bottom - TOP + 8), (), "soft")
    picture.box((split + 2, TOP - 22), (wide * (len(taken) - turn) - 2, bottom - TOP + 8), (), "tint")
    picture.text(((LEFT + split) / 2, TOP - 32), "read", "heading", "middle")
    picture.text(((split + WIDTH - MARGIN) / 2, TOP - 32), "save", "heading", "middle")
    for room, y in rows.items():
        picture.text((MARGIN, y + 4.5), room, "plain", room=LEFT - MARGIN)
        picture.line([(LEFT, y), (WIDTH - MARGIN, y)], "faint", head=False)
    _draw_way(picture, taken, columns, rows)
    ends = [
        _list(picture, taken[:turn], "To read", (MARGIN, bottom + 26)),
        _list(picture, taken[turn:], "To save", (WIDTH / 2 - 26, bottom + 26)),
    ]
    return picture.render(max(ends) + 6)


def _draw_way(picture: Picture, taken: list[Step], columns: list[float], rows: dict[str, int]) -> None:
    """Draw the line and its stops: a step in several packages has one in each."""
    stops = [
        (x, y)
        for step, x in zip(taken, columns, strict=True)
        for y in dict.fromkeys(rows[room_of(place)] for place in step.places)
    ]
    picture.line(stops, "accent", head=False)
    numbers = {x: str(step.number) for step, x in zip(taken, columns, strict=True)}
    for x, y in stops:
        picture.badge((x, y), numbers[x])


def _list(picture: Picture, taken: list[Step], title: str, at: Point) -> float:
    """Name the modules of each step; return where the list ends."""
    x, y = at
    picture.text(at, title, "heading")
    for step in taken:
        picture.text((x + 17, y + 22), str(step.number), "accent", "end")
        for place in step.places:
            y += 22
            picture.text((x + 24, y), place.replace(".", "/"), "code")
    return y + 20
