"""Draw the packages and who imports whom into ``docs/architecture.md``: `python -m tools.architecture`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter

from harness import ROOT
from harness.imports import FLOORS, TREES, own_imports, room_of

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn by tools/architecture.py -->\n", "<!-- end of what is drawn -->\n"
FACES = {".": "fluidauth", "__main__": "python -m fluidauth"}


def arrows() -> dict[str, set[str]]:
    """Return, for each package or module at the top, those that it imports."""
    found: dict[str, set[str]] = {room_of(module): set() for module in TREES}
    for module in TREES:
        room = room_of(module)
        found[room] |= {room_of(other) for other in own_imports(module)} - {room}
    return found


def direct(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return *graph* without the arrows that others imply."""
    below: dict[str, set[str]] = {}
    for room in TopologicalSorter(graph).static_order():
        below[room] = graph[room] | {deep for other in graph[room] for deep in below[other]}
    return {
        room: {other for other in others if not any(other in below[each] for each in others)}
        for room, others in graph.items()
    }


def picture() -> Iterator[str]:
    """Yield the lines of a Mermaid flowchart: one row for each floor, the highest first."""
    yield "```mermaid"
    yield "flowchart TD"
    for height in reversed(range(len(FLOORS))):
        yield f'    subgraph floor{height}[" "]'
        yield from (f'        {node(room)}["{FACES.get(room, room)}"]' for room in FLOORS[height].split())
        yield "    end"
    for room, others in sorted(direct(arrows()).items()):
        yield from (f"    {node(room)} --> {node(other)}" for other in sorted(others))
    yield "```"


def node(room: str) -> str:
    return {".": "root", "__main__": "main"}.get(room, room)


def laws() -> Iterator[str]:
    """Yield the lines of a table with the first paragraph of each package's docstring, the highest first."""
    yield "| package | its law |"
    yield "|--|--|"
    for floor in reversed(FLOORS):
        for room in floor.split():
            if room not in FACES:
                law = (ast.get_docstring(TREES[room]) or "").partition("\n\n")[0].replace("\n", " ")
                yield f"| `{room}` | {law} |"


def drawn() -> str:
    """Return all of the page that is made from the source."""
    return "\n".join([*picture(), "", *laws(), ""])


def main() -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{drawn()}{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
