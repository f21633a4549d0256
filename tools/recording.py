"""Record `make demo` as a picture that moves, ``docs/pictures/demo.svg``: `python -m tools.recording`.

The lines appear one after the other. Without animation, or where a reader asked for less motion, all are
there from the start. The text is text, so it can be searched, copied and read aloud.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

from harness import ROOT

PICTURE = ROOT / "docs" / "pictures" / "demo.svg"
COLUMNS = 52  # so that its letters are legible on a phone
LINE, CHARACTER, MARGIN = (
    22,
    8.43,
    20,
)  # units of the picture; a character is as wide as 14 of a mono font make it
INDENT = " " * 4
PACE = 0.3  # seconds from one line to the next
STEP = re.compile(r"✓ (.+?) {2,}(.+)")
TOKEN = re.compile(r"(1)\.([a-z2-7]{6})\.([\w-]{32})\.([\w-]{24})")
# A line that is part of a token; each group is of the kind of its name.
PARTS = (
    re.compile(r"(?P<version>1\.)(?P<kid>[a-z2-7]{6}\.)"),
    re.compile(r"(?P<id>[\w-]{32}\.)"),
    re.compile(r"(?P<mac>[\w-]{24})(?P<quiet>;.*)?"),
)
TITLE = "make demo: one session on two servers"
STYLE = """
    rect { fill: #12171f; stroke: #39424f; }
    text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #e8ebf0; }
    .quiet { fill: #a3adbb; } .tick { fill: #5cc8c0; }
    .version { fill: #a3adbb; } .kid { fill: #f0b26a; } .id { fill: #86b4ff; } .mac { fill: #d5a3f0; }
    g { animation: wait step-end; }
    @keyframes wait { from { opacity: 0; } }
    @media (prefers-reduced-motion: reduce) { g { animation: none; } }
"""


class Span(NamedTuple):
    """Some text of a line: in which column it begins, and its kind."""

    column: int
    kind: str
    text: str


def main() -> None:
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(output()), "utf-8")
    print(f"{PICTURE.relative_to(ROOT)} has {PICTURE.stat().st_size} bytes")


def output() -> str:
    """Return what the demo prints, of a run of its own."""
    command = (sys.executable, ROOT / "examples" / "demo.py")
    # PYTHONIOENCODING would win over PYTHONUTF8, so this shell's is taken away.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    environ["PYTHONUTF8"] = "1"
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", env=environ).stdout


def drawn(printed: str) -> str:
    """Return the picture of a terminal in which the demo *printed* that."""
    lines = ["$ make demo", "", *(part for line in printed.splitlines() for part in wrapped(line))]
    steps = "; ".join(f"{step} ({found})" for step, found in STEP.findall(printed))
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-labelledby="title desc">',
            f'  <title id="title">{escape(TITLE)}</title>',
            f'  <desc id="desc">A terminal. Each step succeeds: {escape(steps)}.</desc>',
            f"  <style>{STYLE}  </style>",
            f'  <rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10"/>',
            *rows(lines),
            "</svg>\n",
        ]
    )


def wrapped(line: str) -> list[str]:
    """Return *line* as it fits: what a step found, and each part of a token, has its own line."""
    if step := STEP.fullmatch(line):
        return [f"✓ {step[1]}", *textwrap.wrap(step[2], COLUMNS, initial_indent="  ")]
    if token := TOKEN.search(line):
        version, kid, session_id, mac = token.groups()
        rest = textwrap.wrap(
            mac + line[token.end() :], COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT
        )
        return [line[: token.start()], f"{INDENT}{version}.{kid}.", f"{INDENT}{session_id}.", *rest]
    return textwrap.wrap(line, COLUMNS, subsequent_indent=INDENT, break_on_hyphens=False) or [""]


def rows(lines: list[str]) -> Iterator[str]:
    """Yield the picture of each line that has something on it, each a moment later than the one before."""
    seconds = 0.0
    for number, line in enumerate(lines):
        if line:
            y = MARGIN + LINE * (number + 0.7)
            texts = "".join(text_of(span, y) for span in spans(line))
            yield f'  <g style="animation-duration: {seconds:.2f}s">{texts}</g>'
            seconds += PACE


def text_of(span: Span, y: float) -> str:
    kind = f' class="{span.kind}"' if span.kind else ""
    return f'<text x="{MARGIN + span.column * CHARACTER:g}" y="{y:g}"{kind}>{escape(span.text)}</text>'


def spans(line: str) -> list[Span]:
    """Return the parts of *line* that have a colour of their own."""
    if line.startswith("✓"):
        return [Span(0, "tick", "✓"), Span(2, "", line[2:])]
    indent = len(line) - len(line.lstrip())
    for part in PARTS:
        if found := part.fullmatch(line.strip()):
            return [
                Span(indent + found.start(n), kind, found[n])
                for kind, n in part.groupindex.items()
                if found[n]
            ]
    return [Span(indent, "quiet" if indent else "", line.strip())]


if __name__ == "__main__":
    main()
