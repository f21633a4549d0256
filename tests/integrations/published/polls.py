"""Django's tutorial, done as a reader does it: its blocks of code, one after another, each into its file.

A block shows what changes, often without what stays: a class of which only the new methods are there.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from tests.integrations.upstream import sources_of

CHAPTERS = (1, 2, 3, 4, 5, 7)  # the sixth is about a style sheet
_BLOCK = re.compile(
    r"^( *)\.\. code-block:: \S+\n(?:\1    :.*\n)*?\1    :caption: ``([^`]+)``\n((?:\1    .*\n|\n)*)",
    re.MULTILINE,
)
_APPS = re.compile(r"INSTALLED_APPS = \[.*?\n\]", re.DOTALL)


def lay_out(folder: Path) -> None:
    """Make the tutorial's project in *folder*, as it is at the tutorial's end."""
    _run(folder, "-m", "django", "startproject", "mysite", ".")
    _run(folder, "manage.py", "startapp", "polls")
    for name, block in _blocks():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if path.exists() else ""
        if name == "mysite/settings.py":
            apps = _APPS.search(block)
            path.write_text(_APPS.sub(apps[0], before) if apps else before)
        else:
            path.write_text(merged(before, block) if path.suffix == ".py" else _page(before, block))
    _run(folder, "manage.py", "makemigrations", "--verbosity", "0", "polls")


def _run(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=folder, check=True)


def _blocks() -> Iterator[tuple[str, str]]:
    """Yield the name of a file and what is to be in it, in the order of the tutorial."""
    for chapter in CHAPTERS:
        text = (sources_of("django") / "docs" / "intro" / f"tutorial0{chapter}.txt").read_text()
        for _, name, block in _BLOCK.findall(text):
            yield name, dedent(block).strip() + "\n"


def _page(before: str, block: str) -> str:
    """Return the template *before* after *block*, which is a new one or a line that replaces one."""
    if before and block.count("\n") == 1 and block.startswith("<li><a"):
        return re.sub(r"<li><a.*\n", lambda found: block, before)
    return block


def merged(before: str, block: str) -> str:
    """Return the module *before* with what *block* shows of it."""
    module = ast.parse(before)
    shown = ast.parse(block).body
    owner = _owner(module, shown[0])
    _put(module.body if owner is None else owner.body, shown, block)
    module.body.sort(key=_rank)
    return ast.unparse(module) + "\n"


def _put(body: list[ast.stmt], shown: list[ast.stmt], block: str) -> None:
    """Put *shown* into *body*, each in the place of what has its name, else before what it stands before."""
    place = len(body)
    for node in reversed(shown):
        name = _name(node)
        found = next((each for each in body if _name(each) == name), None)
        if found is not None:
            place = body.index(found)
        if found is None:
            if name is not None:
                body.insert(place, node)
        elif "..." not in (ast.get_source_segment(block, node) or ""):
            body[place] = node
        elif isinstance(found, ast.ClassDef) and isinstance(node, ast.ClassDef):
            found.bases = node.bases
            _put(found.body, node.body, block)


def _owner(module: ast.Module, node: ast.stmt) -> ast.ClassDef | None:
    """Return the class that *node* is a method of: that which has it already, else the last one."""
    if not isinstance(node, ast.FunctionDef) or [each.arg for each in node.args.args][:1] != ["self"]:
        return None
    classes = [each for each in module.body if isinstance(each, ast.ClassDef)]
    having = [each for each in classes if _name(node) in map(_name, each.body)]
    return (having or classes[-1:])[0]


def _name(node: ast.stmt) -> str | None:
    """Return what tells *node* from others in its place; None for what is only an omission."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return f"{ast.unparse(node.value.func)}({ast.unparse(node.value.args[0])})"  # admin.site.register
    return None if isinstance(node, ast.Expr) else ast.unparse(node)


def _rank(node: ast.stmt) -> int:
    """Imports come first, and calls, as of ``admin.site.register``, last."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return 0
    return 2 if isinstance(node, ast.Expr) and _name(node) else 1
