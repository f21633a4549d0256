"""A part of a page that is made from the code: it stands between two comments."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class MadePart(NamedTuple):
    """The part of *page* after the line *begin* and before the line *end*."""

    page: Path
    begin: str
    end: str

    def text(self) -> str:
        """Return what stands there now."""
        return self.page.read_text("utf-8").partition(self.begin)[2].partition(self.end)[0]

    def put(self, text: str) -> None:
        """Put *text* in its place."""
        before, _, rest = self.page.read_text("utf-8").partition(self.begin)
        self.page.write_text(f"{before}{self.begin}{text}{self.end}{rest.partition(self.end)[2]}", "utf-8")
