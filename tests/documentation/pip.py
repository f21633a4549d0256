"""Look whether what ``pip install`` would install exists: our extras, and the rest in this Python."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import distribution

from packaging.requirements import Requirement

from harness import ROOT


def main(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for requirement in map(Requirement, words):
        if requirement.name == "fluidauth":
            unknown = requirement.extras - set(extras)
            if unknown:
                sys.exit(f"fluidauth has no extra {', '.join(unknown)}")
        else:
            distribution(requirement.name)


if __name__ == "__main__":
    main([word for word in sys.argv[2:] if not word.startswith("-")])
