"""What an application may import, and nothing else: ``from … import *``, ``help()``, the version."""

from __future__ import annotations

import pydoc
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fluidauth
from harness.imports import PUBLIC

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_star_takes_the_public_names_and_nothing_else(name: str) -> None:
    module = import_module(name)
    taken: dict[str, Any] = {}
    exec(f"from {name} import *", taken)

    assert sorted(set(taken) - {"__builtins__"}) == sorted(module.__all__)
    for each in module.__all__:
        assert getattr(module, each).__doc__, f"{name}.{each} has no docstring"


def test_the_root_has_what_an_application_needs() -> None:
    """At most 27 names, so that one can read them: errors beyond the common ones have a module."""
    assert len(fluidauth.__all__) == 27
    assert {"FreshLoginRequired", "NoSuchSession", "new_secret", "SessionEngine"} <= set(fluidauth.__all__)


def test_help_shows_the_classes() -> None:
    text = pydoc.render_doc(fluidauth, renderer=pydoc.plaintext)  # type: ignore[attr-defined]  # typeshed has no such name

    assert all(
        f"class {name}" in text
        for name in fluidauth.__all__
        if name[0].isupper() and name != "SessionMiddleware"
    )
    assert "new_secret(" in text


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert fluidauth.__version__ == project["version"]
