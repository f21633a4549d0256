"""The pages that people read: what is code on them, where their links lead, and what else is text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from . import ROOT

PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "changelog.d").glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
_READER = MarkdownIt("commonmark").enable("table")


class Block(NamedTuple):
    """A block of code; its language is empty where it is indented, or names none."""

    language: str
    code: str
    line: int


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def tokens_of(page: Path) -> list[Token]:
    return _READER.parse(page.read_text("utf-8"))


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of code of *page*, whatever they stand in."""
    for token in tokens_of(page):
        if token.type in ("fence", "code_block"):
            yield Block(token.info.strip(), token.content, (token.map or [0])[0] + 1)


def links_of(page: Path) -> Iterator[str]:
    """Yield the targets of all links and pictures of *page*."""
    for token in tokens_of(page):
        for child in token.children or ():
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


def headings_of(page: Path) -> Iterator[str]:
    """Yield the headings of *page*, as they are written."""
    for before, token in itertools.pairwise(tokens_of(page)):
        if before.type == "heading_open":
            yield token.content


def escapes_of(page: Path) -> Iterator[str]:
    """Yield what the readers above miss: HTML, references to nothing, blocks that only the site knows."""
    for token in tokens_of(page):
        for each in (token, *(token.children or ())):
            html = each.type in ("html_block", "html_inline") and not each.content.lstrip().startswith("<!--")
            if html or (each.type == "text" and ("][" in each.content or each.content.startswith(":::"))):
                yield each.content
