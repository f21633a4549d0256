"""Check the prose of the documentation and of the source: ``python -m tools.prose [--figures]``.

--figures prints how long the sentences of each page are instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import ROOT

from .figures import table
from .rules import remarks
from .texts import texts_of

PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "docs/**/*.md",
)
SOURCE = ("fluidauth/**/*.py", "examples/*.py")
LONGEST_ON_A_PAGE = 25  # words of a sentence
LONGEST_IN_SOURCE = 30


def files(patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def main() -> int:
    if "--figures" in sys.argv:
        print("\n".join(table(files(PAGES), ROOT)), *table(files(SOURCE), ROOT)[-1:], sep="\n")
        return 0
    found = [
        f"{path.relative_to(ROOT)}:{text.line}: {remark}"
        for patterns, longest in ((PAGES, LONGEST_ON_A_PAGE), (SOURCE, LONGEST_IN_SOURCE))
        for path in files(patterns)
        for text in texts_of(path)
        for remark in remarks(text, longest)
    ]
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
