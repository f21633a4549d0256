"""The words that pictures are drawn with: a card, boxes, arrows, badges and texts, as SVG.

A text that is wider than its place is an error. So no reader meets a cut or an overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

from harness.colours import FONT, MONO, variables

Point = tuple[float, float]
Look = Literal["title", "heading", "plain", "muted", "accent", "code", "over"]
Kind = Literal["soft", "tint", "full", "plain", "gone"]

WIDTH = 440
"""Of each picture. A phone shows it at 350, so that text of 12 is still read as 9.5."""
MARGIN = 18
SIZES = {"title": 17, "heading": 13.5, "plain": 13, "muted": 12.5, "accent": 13, "code": 12.5, "over": 12.5}
_BOLD = ("title", "heading", "accent", "over")
_NARROW, _WIDE = frozenset("ijlftrI.,:;'|!()[] -"), frozenset("mwMW@—")

_STYLE = (
    f"text{{font-family:{FONT};fill:var(--ink)}}"
    ".title,.heading,.accent,.over{font-weight:600}.muted{fill:var(--muted)}.accent{fill:var(--accent)}"
    f".over{{fill:var(--over)}}.code{{font-family:{MONO}}}"
    + "".join(f".{look}{{font-size:{size}px}}" for look, size in SIZES.items())
    + ".b-card{fill:var(--card);stroke:var(--edge)}.b-soft{fill:var(--soft);stroke:var(--edge)}"
    ".b-tint{fill:var(--tint);stroke:var(--accent)}.b-full{fill:var(--accent)}"
    ".b-plain{fill:var(--card);stroke:var(--line)}"
    ".b-gone{fill:var(--card);stroke:var(--line);stroke-dasharray:4 3}"
    ".l{fill:none;stroke:var(--line);stroke-width:1.5}.l-accent{stroke:var(--accent);stroke-width:2}"
    ".l-faint{stroke:var(--edge)}.l-dashed{stroke-dasharray:4 3}"
    ".p{fill:var(--line)}.p-accent{fill:var(--accent)}"
)


class DoesNotFit(ValueError):
    """A text is wider than its place."""


def width_of(words: str, look: Look) -> float:
    """Return how wide *words* are at most, in a common font for screens."""
    size = SIZES[look]
    if look == "code":
        return 0.61 * size * len(words)
    wide = sum(
        0.4 if each in _NARROW else 0.95 if each in _WIDE else 0.72 if each.isupper() else 0.625
        for each in words
    )
    return wide * size * (1.07 if look in _BOLD else 1)


class Picture:
    """A card of :data:`WIDTH`, on which things are put from the top to the bottom."""

    def __init__(self, title: str, description: str) -> None:
        self.title = title
        self.description = description
        self._parts: list[str] = []
        self.text((MARGIN, 34), title, "title")

    def text(
        self,
        at: Point,
        words: str,
        look: Look = "plain",
        anchor: Literal["start", "middle", "end"] = "start",
        room: float = WIDTH,
    ) -> None:
        """Write *words* on the line *at*; raise :class:`DoesNotFit` if they need more than *room*."""
        wide = width_of(words, look)
        left = at[0] - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
        if wide > room or left < 8 or left + wide > WIDTH - 8:
            raise DoesNotFit(f"{self.title}: {words!r} takes {wide:.0f} of {room:.0f}")
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text class="{look}" x="{at[0]:g}" y="{at[1]:g}"{where}>{escape(words)}</text>')

    def box(
        self, at: Point, size: Point, lines: Sequence[tuple[str, Look]] = (), kind: Kind = "soft"
    ) -> None:
        """Draw a box with *lines* of text in its middle."""
        (x, y), (width, height) = at, size
        self._parts.append(
            f'<rect class="b-{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7"/>'
        )
        line = y + height / 2 - 17 * len(lines) / 2 + 13
        for words, look in lines:
            self.text((x + width / 2, line), words, look, "middle", room=width - 4)
            line += 17

    def badge(self, at: Point, words: str, look: Literal["full", "plain"] = "full") -> None:
        """Draw a small disc with a number in it."""
        self._parts.append(f'<circle class="b-{look}" cx="{at[0]:g}" cy="{at[1]:g}" r="10.5"/>')
        self.text((at[0], at[1] + 4.5), words, "over" if look == "full" else "plain", "middle", room=20)

    def line(self, points: Sequence[Point], look: str = "", head: bool = True) -> None:
        """Draw a line with round corners through *points*, with an arrow's head at its end."""
        classes = " ".join(["l", *(f"l-{each}" for each in look.split())])
        if head:
            points, tip = _with_head(points)
        self._parts.append(f'<path class="{classes}" d="{_rounded(points)}"/>')
        if head:
            self._parts.append(f'<path class="p{" p-accent" if "accent" in look else ""}" d="{tip}"/>')

    def curve(self, start: Point, end: Point, head: bool = True) -> None:
        """Draw a line that leaves *start* and reaches *end* from above."""
        (x, y), (to_x, to_y) = start, end
        stop = to_y - 6 if head else to_y
        bend = (stop - y) / 2
        bends = f"{x:g} {y + bend:g} {to_x:g} {stop - bend:g}"
        self._parts.append(f'<path class="l" d="M{x:g} {y:g}C{bends} {to_x:g} {stop:g}"/>')
        if head:
            self._parts.append(f'<path class="p" d="M{to_x:g} {to_y:g}l-4-7h8z"/>')

    def render(self, height: float) -> str:
        """Return the picture as SVG, *height* high."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height:g}" '
                f'viewBox="0 0 {WIDTH} {height:g}" aria-labelledby="title desc">',
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="desc">{escape(self.description)}</desc>',
                f"<style>{variables()}{_STYLE}</style>",
                f'<rect class="b-card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:g}" rx="12"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


def _with_head(points: Sequence[Point]) -> tuple[list[Point], str]:
    """Return *points* with a shorter end, and the path of the head that takes its place."""
    (from_x, from_y), (x, y) = points[-2:]
    length = ((x - from_x) ** 2 + (y - from_y) ** 2) ** 0.5
    dx, dy = (x - from_x) / length, (y - from_y) / length
    left, right = (x - 8 * dx - 4 * dy, y - 8 * dy + 4 * dx), (x - 8 * dx + 4 * dy, y - 8 * dy - 4 * dx)
    tip = f"M{x:g} {y:g}L{left[0]:.1f} {left[1]:.1f}L{right[0]:.1f} {right[1]:.1f}z"
    return [*points[:-1], (round(x - 6 * dx, 1), round(y - 6 * dy, 1))], tip


def _rounded(points: Sequence[Point], radius: float = 8) -> str:
    """Return a path through *points* whose corners are round."""
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        path += f"L{start[0]:g} {start[1]:g}Q{corner[0]:g} {corner[1]:g} {end[0]:g} {end[1]:g}"
    return f"{path}L{points[-1][0]:g} {points[-1][1]:g}"


def _toward(one: Point, other: Point, distance: float) -> Point:
    """Return the point that is *distance* from *one* on the way to *other*, halfway at most."""
    length = ((other[0] - one[0]) ** 2 + (other[1] - one[1]) ** 2) ** 0.5
    part = min(distance, length / 2) / length
    return round(one[0] + (other[0] - one[0]) * part, 1), round(one[1] + (other[1] - one[1]) * part, 1)
