"""The packages and who imports whom, floor by floor; arrows that others imply are left out."""

from __future__ import annotations

import random
from graphlib import TopologicalSorter
from math import fsum

from harness.imports import FLOORS, HEIGHTS, TREES, own_imports, room_of

from .drawing import MARGIN, WIDTH, Picture, width_of

FACES = {".": "fluidauth"}
HIGH, STEP, TOP = 28, 62, 84
GAP = 8
TRIES = 60
LANE = 14
"""How wide a line takes up a floor that it passes."""

Graph = dict[str, set[str]]
Column = tuple[str, bool]
"""What stands on a floor: a package, or (True) a line that passes on its way to it."""
Place = tuple[int, Column]
"""A floor, counted from below, and what stands there."""


def arrows() -> Graph:
    """Return, for each package or module at the top, those that it imports."""
    found: Graph = {room_of(module): set() for module in TREES}
    for module in TREES:
        room = room_of(module)
        found[room] |= {room_of(other) for other in own_imports(module)} - {room}
    return found


def direct(graph: Graph) -> Graph:
    """Return *graph* without the arrows that others imply."""
    below: Graph = {}
    for room in TopologicalSorter(graph).static_order():
        below[room] = graph[room] | {deep for other in graph[room] for deep in below[other]}
    return {
        room: {other for other in others if not any(other in below[each] for each in others)}
        for room, others in graph.items()
    }


def draw() -> str:
    """Return the picture."""
    picture = Picture(
        "Packages, and what they import",
        "The packages of fluidauth on floors. An arrow leads from a package to one that it imports, always "
        "downwards.",
    )
    picture.text((MARGIN, 57), "Arrows lead down. Those that others imply are left out.", "muted")
    links = _links(direct(arrows()))
    places = _placed(links)
    top = len(FLOORS) - 1
    for (height, column), others in sorted(links.items()):
        for other in sorted(others):
            low = TOP + STEP * (top - height + 1)
            start = (places[height, column], TOP + STEP * (top - height) + HIGH)
            picture.curve(start, (places[height - 1, other], low), head=not other[1])
            if other[1] and (height - 1, other) in places:
                x = places[height - 1, other]
                picture.line([(x, low), (x, low + HIGH)], head=False)
    for (height, (room, passes)), x in sorted(places.items()):
        if not passes:
            wide = _width(room)
            picture.box(
                (x - wide / 2, TOP + STEP * (top - height)), (wide, HIGH), [(FACES.get(room, room), "plain")]
            )
    return picture.render(TOP + STEP * top + HIGH + 22)


def _width(room: str) -> float:
    return round(width_of(FACES.get(room, room), "plain") + 14, 1)


def _links(graph: Graph) -> dict[Place, set[Column]]:
    """Return what each column of a floor leads to on the floor below; lines to one package run together."""
    links: dict[Place, set[Column]] = {}
    for room, others in graph.items():
        for other in others:
            here: Column = (room, False)
            for height in range(HEIGHTS[room], HEIGHTS[other], -1):
                following: Column = (other, height - 1 > HEIGHTS[other])
                links.setdefault((height, here), set()).add(following)
                here = following
    return links


def _placed(links: dict[Place, set[Column]]) -> dict[Place, float]:
    """Return where each column stands: the quietest of some tries, each from another order."""
    near: dict[Place, set[Place]] = {}
    for (height, column), others in links.items():
        for other in others:
            near.setdefault((height, column), set()).add((height - 1, other))
            near.setdefault((height - 1, other), set()).add((height, column))
    found = [_try(near, random.Random(seed)) for seed in range(TRIES)]  # the same each time
    return min(found, key=lambda places: _unrest(near, places))


def _try(near: dict[Place, set[Place]], order: random.Random) -> dict[Place, float]:
    """Begin in some *order*, and move each column near the middle of what it is linked with."""
    floors = [sorted(place for place in near if place[0] == height) for height in range(len(FLOORS))]
    places: dict[Place, float] = {}
    for floor in floors:
        order.shuffle(floor)
        places |= {place: WIDTH * (at + 1) / (len(floor) + 1) for at, place in enumerate(floor)}
    for sweep in range(24):
        for floor in floors if sweep % 2 else floors[::-1]:
            places |= {
                place: fsum(places[each] for each in near[place]) / len(near[place]) for place in floor
            }
            floor.sort(key=lambda place: (round(places[place], 3), place))
            _spread(floor, places)
    return places


def _unrest(near: dict[Place, set[Place]], places: dict[Place, float]) -> tuple[int, float]:
    """Return how many lines cross, and how far they go to the side."""
    lines = [
        (place[0], places[place], places[other]) for place in near for other in near[place] if other < place
    ]
    crossings = sum(
        height == other and start < begin and end > stop
        for height, start, end in lines
        for other, begin, stop in lines
    )
    return crossings, round(fsum(abs(start - end) for _, start, end in lines), 1)


def _spread(floor: list[Place], places: dict[Place, float]) -> None:
    """Move what stands on *floor* apart, so that nothing overlaps and all is on the card."""
    half = {place: (LANE if place[1][1] else _width(place[1][0])) / 2 for place in floor}
    rightwards, leftwards = _pushed(floor, places, half, 1), _pushed(floor[::-1], places, half, -1)
    places |= {place: (rightwards[place] + leftwards[place]) / 2 for place in floor}
    places |= _pushed(floor[::-1], places, half, -1, WIDTH - MARGIN)
    places |= _pushed(floor, places, half, 1, MARGIN)


def _pushed(
    floor: list[Place],
    places: dict[Place, float],
    half: dict[Place, float],
    way: int,
    edge: float | None = None,
) -> dict[Place, float]:
    """Return places with a gap between all on *floor*, each moved only in the direction *way*."""
    found: dict[Place, float] = {}
    limit = (MARGIN if way > 0 else WIDTH - MARGIN) - way * 1000 if edge is None else edge
    for place in floor:
        least = limit + way * half[place]
        found[place] = round(max(places[place] * way, least * way) * way, 1)
        limit = found[place] + way * (half[place] + GAP)
    return found
