"""How long the sentences are, and how many are chained by semicolons."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .texts import Text, count, sentences, texts_of

LABEL = 4  # fewer words, as in the cells of tables, are no sentence


class Figures(NamedTuple):
    sentences: int
    words: int
    longest: int
    semicolons: int

    @property
    def mean(self) -> float:
        return self.words / max(1, self.sentences)


def figures_of(texts: Iterable[Text]) -> Figures:
    """Return the figures of *texts* together."""
    texts = list(texts)
    lengths = [length for text in texts for each in sentences(text.words) if (length := count(each)) >= LABEL]
    semicolons = sum(text.words.count(";") for text in texts)
    return Figures(len(lengths), sum(lengths), max(lengths, default=0), semicolons)


def table(files: Iterable[Path], root: Path) -> list[str]:
    """Return lines with the figures of each of *files*, and of all."""
    everything: list[Text] = []
    lines = [f"{'':44}{'sentences':>10}{'mean':>7}{'longest':>9}{'semicolons':>12}"]
    for path in files:
        texts = texts_of(path)
        everything += texts
        lines.append(_line(str(path.relative_to(root)), figures_of(texts)))
    return [*lines, _line("all", figures_of(everything))]


def _line(name: str, figures: Figures) -> str:
    return f"{name:44}{figures.sentences:10}{figures.mean:7.1f}{figures.longest:9}{figures.semicolons:12}"
