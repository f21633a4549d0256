"""One SVG for each question, readable on a light page and on a dark one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INK = "#010203"  # stands for the page's own colour of text, set below by a style
STYLE = (
    "<style>svg{--ink:#1f2328}@media(prefers-color-scheme:dark){svg{--ink:#e6edf3}}"
    "text{fill:var(--ink)!important}</style>"
)
PALETTE = (
    "#7a8ca3",
    "#e8590c",
    "#2f9e8f",
    "#b07cc6",
    "#c2952b",
    "#5b9bd5",
    "#d0658a",
    "#8a9a5b",
    "#a0705a",
    "#909090",
)


def draw(question: Any, rows: list[dict[str, Any]], path: Path) -> None:
    """Draw *rows* in the way of *question* into the file at *path*."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[str, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "fluidauth",  # the same figures give the same file
        "font.family": "sans-serif",
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "none",
        "legend.frameon": False,
        "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    }
    settings |= dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    )
    with matplotlib.rc_context(settings):
        figure = Figure(layout="constrained")
        FigureCanvasSVG(figure)
        question.draw(rows, figure)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    text = path.read_text()
    head, tail = text.split("<defs>", 1)
    path.write_text(f"{head}{STYLE}\n <defs>{tail}".replace(INK, "var(--ink)"))
