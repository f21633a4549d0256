"""Look whether what ``pip install`` would install exists: our extras, and the rest in this Python."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def main(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for requirement in map(Requirement, words):
        if requirement.name == "fluidauth":
            unknown = requirement.extras - set(extras)
            if unknown:
                sys.exit(f"fluidauth has no extra {', '.join(unknown)}")
        elif not requirement.specifier.contains(distribution(requirement.name).version):
            sys.exit(f"{requirement} is not what is here")


if __name__ == "__main__":
    if sys.argv[1] != "install":
        sys.exit(f"pip has no {sys.argv[1]}")
    main([word for word in sys.argv[2:] if not word.startswith("-")])
