"""The package's own source: its floors, and who imports whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import fluidauth

PACKAGE = Path(fluidauth.__file__).parent


def name_of(path: Path) -> str:
    """Return the module's name below ``fluidauth``; that of the package itself is empty."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


SOURCES = {name_of(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}

# The modules whose ``__all__`` an application may rely on.
PUBLIC = (
    "fluidauth",
    *(f"fluidauth.{name}" for name in ("adoption", "errors", "stores", "testing")),
    *(
        f"fluidauth.integrations.{name}"
        for name in ("django", "fastapi", "flask", "litestar", "quart", "starlette")
    ),
)

# Lowest first. A package, or module at the top, may import what stands on a lower floor and nothing else.
FLOORS = (
    "after_fork meanings",
    "errors events concurrency secrecy",
    "records recent",
    "keys stores",
    "formats",
    "session adoption",
    "rules",
    "operations maintenance",
    "engine",
    "middleware cli testing",
    "integrations pytest_plugin . __main__",
)
HEIGHTS = {room: height for height, rooms in enumerate(FLOORS) for room in rooms.split()}


def imports_of(tree: ast.Module, package: str = "fluidauth") -> Iterator[str]:
    """Yield the full name of each module or name that *tree*, a module of *package*, imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def package_of(module: str) -> str:
    """Return the full name of the package that *module* is, or is in."""
    path = Path(fluidauth.__file__).parent.joinpath(*module.split("."))
    return ".".join(["fluidauth", *module.split(".")][: None if path.is_dir() and module else -1])


def own_imports(module: str) -> set[str]:
    """Return the modules of this package that *module* imports."""
    found = set()
    for name in imports_of(TREES[module], package_of(module)):
        top, _, rest = name.partition(".")
        if top == "fluidauth":
            found.add(rest if rest in TREES else rest.rpartition(".")[0])
    return found


def room_of(module: str) -> str:
    """Return the package, or module at the top, that *module* is in; ``.`` for ``fluidauth`` itself."""
    return module.partition(".")[0] or "."
