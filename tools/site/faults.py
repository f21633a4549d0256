"""What must not be in the documentation, and what must be."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from harness.imports import PUBLIC
from tools.traces import shows_the_machine

# Classes whose members no page has, and why nobody misses them.
LEFT_OUT = {
    "AsyncSessionStore": "it awaits what SessionStore's page says",
    "MemoryStore": "a store does what SessionStore's page says",
    "SQLiteStore": "the same",
    "WSGISessionMiddleware": "it is called as every WSGI application",
    "ASGISessionMiddleware": "it is called as every ASGI application",
}


def known(site: Path) -> set[str]:
    """Return the full names of all that the site at *site* documents, by its inventory for other sites."""
    _, _, _, _, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def undocumented(site: Path) -> list[str]:
    """Return the public names, and their public members, that no page documents."""
    documented = {name.rpartition("fluidauth.")[2] for name in known(site)}
    last = {".".join(name.split(".")[-2:]) for name in documented} | {
        name.split(".")[-1] for name in documented
    }
    return [name for module in PUBLIC for name in names_of(import_module(module)) if name not in last]


def names_of(module: Any) -> Iterator[str]:
    """Yield what *module* offers. Of classes that frameworks or pytest call, no members."""
    for name in module.__all__:
        yield name
        it = getattr(module, name)
        called_by_others = module.__name__.startswith(("fluidauth.integrations.", "fluidauth.testing"))
        if inspect.isclass(it) and name not in LEFT_OUT and not called_by_others:
            yield from (f"{name}.{member}" for member in members_of(it))


def members_of(it: type) -> list[str]:
    """Return the public methods and properties that *it* has of us."""
    ours = [base for base in it.__mro__ if base.__module__.startswith("fluidauth.")]
    kinds = (FunctionType, property, classmethod, staticmethod)
    members = {name for base in ours for name, member in vars(base).items() if isinstance(member, kinds)}
    return sorted(name for name in members if not name.startswith("_") and not hasattr(dict, name))


def leaked(site: Path) -> list[str]:
    """Return the files that show something of the machine they were made on, or look like a secret."""
    return [
        str(path.relative_to(site))
        for path in sorted(site.rglob("*"))
        if path.is_file() and shows_the_machine(path.read_bytes())
    ]
