"""The pages, and their blocks of code in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness import ROOT

PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
_BLOCK = re.compile(r"^( *)(`{3,}|:{3,})(.*)\n(?s:(.*?))^\1\2 *$", re.MULTILINE)


class Block(NamedTuple):
    language: str
    code: str
    line: int


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of *page*."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        indent = len(match[1])
        code = "\n".join(line[indent:] for line in match[4].splitlines())
        yield Block(match[3].strip(), code, text.count("\n", 0, match.start()) + 1)


def prose_of(page: Path) -> str:
    """Return the text of *page* without its blocks of code."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def indented_code(page: Path) -> list[str]:
    """Return lines of *page* that Markdown takes for code because they are indented."""
    return re.findall(r"(?m)(?<=\n\n) {4,}(?![-*\d]).+", prose_of(page))
