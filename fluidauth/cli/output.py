"""The output of commands: tables and sentences for people, one JSON document for scripts.

Results go to standard output. Progress and questions go to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

T = TypeVar("T")

_PIPE_WIDTH = 250
_WHOLE = ("handle", "key", "cookie key", "created (UTC)", "expires (UTC)", "user")  # never folded
NO = 1  # the answer is no, something is wrong, or the command refuses
UNABLE = 3  # a setting, the keyring or the store does not work

_STYLES = {
    "ok": "green",
    "skipped": "dim",
    "warning": "yellow",
    "error": "red",
    "live": "green",
    "signing": "green",
    "tampered": "red",
}


class Refused(click.ClickException):
    """The command refuses. The message says why, and what to do."""

    exit_code = NO


class Unable(click.ClickException):
    """A setting, the keyring or the store does not work."""

    exit_code = UNABLE


class Output:
    """Prints what a command found: for people, or with *as_json* for scripts."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # Highlighting off: a user id must not look like something else.
        self._out = Console(highlight=False, soft_wrap=True, emoji=False)
        if not self._out.is_terminal:  # in a file or a pipe no line is folded
            self._out.width = _PIPE_WIDTH
        self._err = Console(highlight=False, stderr=True, emoji=False)

    def answer(self, values: dict[str, Any], *sentences: str) -> None:
        """Print *values* as JSON, or else *sentences*."""
        if self.as_json:
            click.echo(json.dumps(values, ensure_ascii=True))
        for sentence in () if self.as_json else filter(None, sentences):
            self._out.print(escape(sentence))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table, only in text. Words for a state have its colour."""
        if self.as_json:
            return
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(columns))
        for column in columns:
            table.add_column(
                column, overflow="ellipsis" if column == "user" else "fold", no_wrap=column in _WHOLE
            )
        for row in rows:
            cells = [_printable(cell) for cell in row]
            table.add_row(*(f"[{_STYLES[c]}]{escape(c)}[/]" if c in _STYLES else escape(c) for c in cells))
        with self._out.capture() as captured:
            self._out.print(table)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def hint(self, sentence: str) -> None:
        """Print what may come next, for people only."""
        if not self.as_json:
            self._err.print(f"[dim]{escape(sentence)}[/]", soft_wrap=True)

    @property
    def shows_progress(self) -> bool:
        """Whether a progress bar is shown."""
        return not self.as_json and self._err.is_terminal

    @contextmanager
    def progress(self, what: str, total: int | None, *, rate: bool = True) -> Iterator[Callable[[int], None]]:
        """Give a function to report how much of *total* is done. A terminal shows that as a bar."""
        if not self.shows_progress:
            yield lambda done: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        speed = TextColumn("{task.fields[speed]}")
        with Progress(*columns, speed, TimeRemainingColumn(), console=self._err, transient=True) as bar:
            task = bar.add_task(what, total=total, speed="")

            def advance(done: int) -> None:
                bar.update(task, completed=done)
                if rate and bar.tasks[0].speed:
                    bar.update(task, speed=f"{bar.tasks[0].speed:,.0f}/s")

            yield advance

    def tracked(self, items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
        """Yield *items* and show how many have passed."""
        with self.progress(what, total) as advance:
            for number, item in enumerate(items, 1):
                yield item
                if not number % 100:
                    advance(number)


def ask(sentence: str, question: str) -> None:
    """Return if the answer to *question* is yes. Raise :class:`Refused` if not, or if nobody can answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(f"{sentence} Add --yes to do it")
    if not click.confirm(f"{sentence} {question}", err=True):
        raise Refused("nothing was changed")


def plural(count: int, noun: str) -> str:
    """Return *count* and *noun*, with an s unless it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _printable(cell: object) -> str:
    # A user id with control characters must not write to the terminal.
    text = " ".join(str(cell).split("\n"))
    return text if text.isprintable() else ascii(text)
