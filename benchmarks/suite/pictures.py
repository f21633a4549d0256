"""One SVG for each question, readable on a light page and on a dark one, and on a phone.

All of a picture is on one canvas that is measured in points. A text that would be cut is an error.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from harness.colours import FONT, LIGHT, variables

from .sheets import Bar, Graph, Line, Panel, Peers, Sheet

WIDTH = 330.0
"""Points, 440 pixels. A phone shows it at 350, so that 9 points are still 9.5 pixels."""
MARGIN = 14.0
TEXT, HEADING, TITLE = 9.0, 9.5, 12.5
ROW, HEAD, SPACE = 15.5, 22.0, 14.0
NAME = 12.0  # of a name that stands above its bars
GAP = 8.0  # between names of peers, bars with their numbers, and the edge
GRAPH, NAMES = 128.0, 142.0
COLOURS = {
    name: f"#0102{number:02x}" for number, name in enumerate(LIGHT)
}  # stand for those of the page, which are set by a style


class DoesNotFit(ValueError):
    """A text would be cut, or run into what is next to it."""


def draw(question: Any, rows: list[dict[str, Any]], peers: Peers, path: Path) -> None:
    """Draw *rows* in the way of *question* into the file at *path*, unless no peer is in them."""
    picture = question.draw(rows, peers)
    if not picture.panels:
        return
    canvas = Canvas(height_of(picture))
    top = _head(canvas, picture.title, picture.notes)
    if isinstance(picture, Sheet):
        _draw_sheet(canvas, picture, top)
    else:
        _draw_graph(canvas, picture, top)
    path.write_text(canvas.svg(picture.title, " ".join(picture.notes)), "utf-8")


def height_of(picture: Sheet | Graph) -> float:
    """Return how many points *picture* is high."""
    top = MARGIN + TITLE + 6 + 13 * len(picture.notes) + 8
    if isinstance(picture, Graph):
        return top + len(picture.panels) * (HEAD + GRAPH + SPACE + 14) + MARGIN - SPACE
    high = sum(HEAD + _row(picture) * len(panel.bars) + SPACE for panel in picture.panels)
    return top + (16 if any(picture.columns) else 0) + high + MARGIN - SPACE


def width_of(words: str, size: float = TEXT, weight: str = "bold") -> float:
    """Return how wide *words* are in points, in the widest of the usual fonts."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family="DejaVu Sans", weight=weight, size=size)
    return float(TextPath((0, 0), words, prop=font).get_extents().width) if words else 0


class Canvas:
    """A figure that is measured in points from its upper left corner."""

    def __init__(self, height: float) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self.height = height
        self.figure = Figure(figsize=(WIDTH / 72, height / 72), facecolor="none")
        FigureCanvasSVG(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1), frameon=False)
        self.axes.set(xlim=(0, WIDTH), ylim=(height, 0), xticks=[], yticks=[])

    def text(
        self,
        x: float,
        y: float,
        words: str,
        colour: str = "ink",
        size: float = TEXT,
        end: float = WIDTH - MARGIN,
        **options: Any,
    ) -> None:
        """Write *words*; raise :class:`DoesNotFit` if they go past *end*."""
        right = x + (0 if "ha" in options else width_of(words, size, options.get("weight", "normal")))
        if right > end + 0.5:  # of a point: the longest bar ends where its figure just fits
            raise DoesNotFit(f"{words!r} ends at {right:.0f} of {end:.0f} points")
        self.axes.text(x, y, words, color=COLOURS[colour], fontsize=size, va="center_baseline", **options)

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        from matplotlib.patches import Rectangle

        where = Rectangle((x, y), width, height, facecolor=COLOURS[colour], linewidth=0, clip_on=False)
        self.axes.add_patch(where)

    def line(
        self, points: list[tuple[float, float]], colour: str, width: float = 0.8, **options: Any
    ) -> None:
        xs, ys = zip(*points, strict=True)
        self.axes.plot(xs, ys, color=COLOURS[colour], linewidth=width, clip_on=False, **options)

    def svg(self, title: str, description: str) -> str:
        """Return the picture on its card; the same figures give the same text."""
        import matplotlib

        written = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fluidauth"}):
            self.figure.savefig(
                written, format="svg", facecolor="none", metadata={"Date": None, "Creator": None}
            )
        found = re.sub(r"<metadata>.*?</metadata>", "", written.getvalue(), flags=re.DOTALL)
        found = re.sub(r"'DejaVu Sans'[^;\"]*", FONT.replace('"', "'"), found)
        for name, colour in COLOURS.items():
            found = found.replace(colour, f"var(--{name})")
        head, tail = found.split("<defs>", 1)
        card = (
            f"<title>{title}</title>\n<desc>{description}</desc>\n<style>{variables()}</style>\n"
            f'<rect x=".5" y=".5" width="{WIDTH - 1:g}" height="{self.height - 1:g}" rx="9" '
            'style="fill:var(--card);stroke:var(--edge);stroke-width:.75"/>\n'
        )
        return f"{head}{card}<defs>{tail}"


def _head(canvas: Canvas, title: str, notes: tuple[str, ...]) -> float:
    y = MARGIN + TITLE / 2
    canvas.text(MARGIN, y, title, size=TITLE, weight="bold")
    y += TITLE / 2 + 6
    for note in notes:
        canvas.text(MARGIN, y + 6, note, "muted")
        y += 13
    return y + 8


# -- bars ---------------------------------------------------------------------------------------


class Columns(NamedTuple):
    """Where the bars of a sheet stand: as far to the left as its names let them."""

    lefts: list[float]
    longest: float
    """Of a bar, so that the longest number has its place after it."""
    wide: float


def _names_above(sheet: Sheet) -> bool:
    """Return whether each name has a line of its own: three columns leave no room next to a name."""
    return len(sheet.columns) > 2


def _row(sheet: Sheet) -> float:
    return ROW + NAME if _names_above(sheet) else ROW


def _columns(sheet: Sheet) -> Columns:
    bars = [bar for panel in sheet.panels for bar in panel.bars]
    first = MARGIN
    if not _names_above(sheet):
        first += GAP + max(width_of(bar.label, weight=_weight(bar)) for bar in bars)
    wide = (WIDTH - MARGIN - first + GAP) / len(sheet.columns)
    labels = [
        width_of(sheet.say(value), weight=_weight(bar))
        for bar in bars
        for value in bar.values
        if value is not None
    ]
    room = 4 + max(labels, default=0)
    return Columns(
        [first + wide * number for number in range(len(sheet.columns))], wide - GAP - room, wide - GAP
    )


def _draw_sheet(canvas: Canvas, sheet: Sheet, y: float) -> None:
    columns = _columns(sheet)
    if any(sheet.columns):
        for left, column in zip(columns.lefts, sheet.columns, strict=True):
            canvas.text(left, y + 6, column, end=left + columns.wide, weight="bold")
        y += 16
    for panel in sheet.panels:
        canvas.line([(MARGIN, y + 2), (WIDTH - MARGIN, y + 2)], "edge")
        canvas.text(MARGIN, y + HEAD / 2 + 2, panel.heading, size=HEADING, weight="bold")
        y += HEAD
        full = [sheet.full or _greatest(panel, number) for number in range(len(sheet.columns))]
        for bar in panel.bars:
            canvas.text(MARGIN, y + ROW / 2, bar.label, "accent" if bar.ours else "ink", weight=_weight(bar))
            y += NAME if _names_above(sheet) else 0
            for number, left in enumerate(columns.lefts):
                _draw_bar(canvas, sheet, bar, number, (left, y), columns.longest / full[number])
            y += ROW
        y += SPACE


def _draw_bar(
    canvas: Canvas, sheet: Sheet, bar: Bar, number: int, at: tuple[float, float], scale: float
) -> None:
    (x, y), value = at, bar.values[number]
    if value is None:
        canvas.text(x, y + ROW / 2, "–", "muted")
        return
    long = max(value * scale, 1)
    canvas.bar(x, y + 3, long, ROW - 6, "accent" if bar.ours else "line")
    if bar.floors:
        canvas.bar(x, y + 3, (bar.floors[number] or 0) * scale, ROW - 6, "line")
    canvas.text(x + long + 4, y + ROW / 2, sheet.say(value), weight=_weight(bar))


def _weight(bar: Bar) -> str:
    return "bold" if bar.ours else "normal"


def _greatest(panel: Panel, number: int) -> float:
    return max([bar.values[number] or 0 for bar in panel.bars] + [1e-9])


# -- lines --------------------------------------------------------------------------------------


def _draw_graph(canvas: Canvas, graph: Graph, y: float) -> None:
    everything = [value for _, lines in graph.panels for line in lines for _, value in line.points]
    low, high = math.log10(min(everything) * 0.9), math.log10(max(everything) * 1.1)

    def height(value: float) -> float:
        return GRAPH * (high - math.log10(value)) / (high - low)

    for heading, lines in graph.panels:
        canvas.line([(MARGIN, y + 2), (WIDTH - MARGIN, y + 2)], "edge")
        canvas.text(MARGIN, y + HEAD / 2 + 2, heading, size=HEADING, weight="bold")
        y += HEAD
        for tick in (10, 30, 100, 300):
            canvas.line([(MARGIN + 22, y + height(tick)), (WIDTH - MARGIN - NAMES, y + height(tick))], "edge")
            canvas.text(MARGIN + 18, y + height(tick), str(tick), "muted", ha="right")
        _draw_lines(canvas, lines, y, height)
        y += GRAPH + 14 + SPACE


def _draw_lines(canvas: Canvas, lines: list[Line], y: float, height: Any) -> None:
    """Draw *lines*, each with its name at its end; names make room for each other."""
    values = sorted({value for line in lines for value, _ in line.points})
    left, right = MARGIN + 34, WIDTH - MARGIN - NAMES - 6
    places = {
        value: left + (right - left) * number / max(len(values) - 1, 1) for number, value in enumerate(values)
    }
    for value, x in places.items():
        canvas.text(x, y + GRAPH + 8, short(value), "muted", ha="center")
    ends = []
    for line in sorted(lines, key=lambda line: line.ours):
        points = [(places[value], y + height(found)) for value, found in line.points]
        colour = "accent" if line.ours else "line"
        canvas.line(points, colour, 2 if line.ours else 1.2, marker="o", markersize=3.5 if line.ours else 2.5)
        ends.append((points[-1], line))
    ends.sort(key=lambda end: end[0][1])
    heights = _apart([point[1] for point, _ in ends], y - 1, y + GRAPH + 6)
    name = WIDTH - MARGIN - NAMES + 6
    for (point, line), where in zip(ends, heights, strict=True):
        canvas.line([(point[0] + 3, point[1]), (name - 2, where)], "edge")
        look: dict[str, Any] = {"colour": "accent", "weight": "bold"} if line.ours else {}
        canvas.text(name, where, line.label, **look)


def _apart(wanted: list[float], top: float, bottom: float, least: float = 11) -> list[float]:
    """Return the heights *wanted*, which ascend, at *least* that far apart and between *top* and *bottom*."""
    found = list(wanted)
    limit = top
    for number, height in enumerate(found):
        found[number] = max(height, limit)
        limit = found[number] + least
    limit = bottom
    for number in reversed(range(len(found))):
        found[number] = min(found[number], limit)
        limit = found[number] - least
    return found


def short(value: float) -> str:
    """Return *value* in few characters."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
