"""Check the prose of the documentation and of the source: ``python -m tools.prose [--figures]``.

--figures prints how long the sentences of each page are instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from harness import ROOT
from harness.pages import PAGES

from .figures import table
from .rules import remarks
from .texts import texts_of

SOURCE = [path for folder in ("fluidauth", "examples") for path in sorted(ROOT.glob(f"{folder}/**/*.py"))]
LONGEST_ON_A_PAGE = 25  # words of a sentence
LONGEST_IN_SOURCE = 30


def faults_of(paths: Iterable[Path], longest: int) -> list[str]:
    """Return what is wrong in the files at *paths*, whose sentences may have *longest* words."""
    return [
        f"{path}:{text.line}: {remark}"
        for path in paths
        for text in texts_of(path)
        for remark in remarks(text, longest)
    ]


def main() -> int:
    if "--figures" in sys.argv:
        print(*table(PAGES, ROOT), *table(SOURCE, ROOT)[-1:], sep="\n")
        return 0
    found = [*faults_of(PAGES, LONGEST_ON_A_PAGE), *faults_of(SOURCE, LONGEST_IN_SOURCE)]
    if found:
        print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
