"""The prose of a file: paragraphs, list items, table cells, docstrings, comments and messages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CODE = "`…`"  # stands for a piece of inline code, which counts as one word
MESSAGE_WORDS = 4  # a string of so many words is read by people
_FENCE = re.compile(r"^ *(`{3,}|~{3,}|:{3,})")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.|:(?:param|raises) \w+:)\s+")
# A table of reStructuredText.
_GRID = re.compile(r"(?ms)^ *=+(?: +=+)+$.*?^ *=+(?: +=+)+$(?:.*?^ *=+(?: +=+)+$)?")
_DIRECTIVE = re.compile(r"^\s*(:\w[\w-]*:|\.\. |>>> )")


class Text(NamedTuple):
    """A piece of prose, and the line on which it begins."""

    line: int
    words: str


def texts_of(path: Path) -> list[Text]:
    """Return all prose of the file at *path*, in order of lines."""
    source = path.read_text("utf-8")
    found = _of_python(source) if path.suffix == ".py" else _of_markdown(source)
    return [text for text in found if re.search(r"[A-Za-z]{2}", text.words.replace(CODE, ""))]


def _of_markdown(source: str, first: int = 1) -> Iterator[Text]:
    begun, lines = first, list[str]()
    for number, line in _outside_of_code(source, first):
        if line.startswith(("|", "#")) or _ITEM.match(line) or not line.strip():
            if lines:
                yield Text(begun, plain(" ".join(lines)))
            lines = []
        if line.startswith("|"):
            yield from (
                Text(number, plain(cell)) for cell in re.split(r"(?<!\\)\|", line) if cell.strip(" -:")
            )
        elif not line.startswith("#") and line.strip():
            begun = begun if lines else number
            lines.append(_ITEM.sub("", line.strip()))
    if lines:
        yield Text(begun, plain(" ".join(lines)))


def _outside_of_code(source: str, first: int) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines that are prose: no fences, no indented code, no HTML comments, no grids."""
    fence, before = "", ""
    source = _GRID.sub(_same_lines, re.sub(r"(?s)<!--.*?-->", _same_lines, source))
    for number, line in enumerate(source.splitlines(), first):
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark[1]
            line = ""
        elif fence or (line.startswith("    ") and not before.strip()) or _DIRECTIVE.match(line):
            yield number, ""
            continue
        yield number, line
        before = line


def _same_lines(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _of_python(source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
        and isinstance(node.body[0], ast.Expr)
    }
    found: list[Text] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node in docstrings:
                found += _of_markdown(_dedented(node.value), node.lineno)
            elif len(re.findall(r"\b[a-z]{2,}\b ", node.value)) >= MESSAGE_WORDS and "\n" not in node.value:
                found.append(Text(node.lineno, plain(node.value)))
    return iter(sorted([*found, *_comments(source)]))


def _dedented(docstring: str) -> str:
    first, _, rest = docstring.partition("\n")
    indent = min((len(line) - len(line.lstrip()) for line in rest.splitlines() if line.strip()), default=0)
    return "\n".join([first, *(line[indent:] for line in rest.splitlines())])


def _comments(source: str) -> Iterator[Text]:
    """Yield each comment; lines of comment that follow one another are one text."""
    begun, last, lines = 0, 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or re.match(r"#!|# (noqa|type:|pragma)", token.string):
            continue
        number, alone = token.start[0], not token.line[: token.start[1]].strip()
        if lines and not (alone and number == last + 1):
            yield Text(begun, plain(" ".join(lines)))
            lines = []
        begun = begun if lines else number
        lines.append(re.sub(r"  # .*", "", token.string.lstrip("#: ")))
        last = number if alone else -1
    if lines:
        yield Text(begun, plain(" ".join(lines)))


def plain(words: str) -> str:
    """Return *words* without markup."""
    words = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", words)
    words = re.sub(r"\[((?:[^\]`]|`[^`]*`)*)\]\([^)]*\)", r"\1", words)
    words = re.sub(r":\w+:`~?[^`]*`|(`+).+?\1", CODE, words)
    words = re.sub(r"https?://\S+|<[^>]+>", "", words)
    return re.sub(r"\s+", " ", re.sub(r"\*+", "", words)).strip()


def sentences(words: str) -> list[str]:
    """Return the sentences of *words*; a colon at the end of a line ends one as well."""
    return [
        part
        for part in re.split(r"(?<=[.!?])[\"')]*\s+(?=fluidauth|django-|[A-Z`\"'(“…])", words)
        if part.strip(" .:`…")
    ]


def count(sentence: str) -> int:
    """Return how many words *sentence* has; a piece of code is one."""
    return len(re.findall(r"`…`|[\w’'.,/-]*\w[\w’'/-]*", sentence))
