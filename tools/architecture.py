"""Write the laws of the packages, below their picture, into a page: `python -m tools.architecture`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from harness import ROOT
from harness.imports import FLOORS, TREES
from tools.made import MadePart

PART = MadePart(
    ROOT / "docs" / "architecture.md",
    "<!-- drawn by tools/architecture.py -->\n",
    "<!-- end of what is drawn -->\n",
)
ALT = "The packages of fluidauth on floors; each arrow leads down to a package that is imported"
WITHOUT_LAW = (".", "__main__")


def laws() -> Iterator[str]:
    """Yield the lines of a table with the first paragraph of each package's docstring, the highest first."""
    yield "| package | its law |"
    yield "|--|--|"
    for floor in reversed(FLOORS):
        for room in floor.split():
            if room not in WITHOUT_LAW:
                law = (ast.get_docstring(TREES[room]) or "").partition("\n\n")[0].replace("\n", " ")
                yield f"| `{room}` | {law} |"


def drawn() -> str:
    """Return all of the page that is made from the source."""
    return "\n".join([f"![{ALT}](pictures/architecture.svg)", "", *laws(), ""])


if __name__ == "__main__":
    PART.put(drawn())
