"""Build the documentation into ``build/docs``: ``python -m tools.site [--serve]``.

A warning is an error: a link or a name that leads nowhere, a page in no table of contents. So is a public
name that no page documents. --serve shows the pages at http://localhost:8000 and builds them again when
they, or the source, change.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from importlib import import_module
from pathlib import Path

from sphinx.cmd.build import main as build
from sphinx_autobuild.__main__ import main as serve

from harness import ROOT
from harness.imports import PUBLIC

PAGES = ROOT / "docs"
SITE = ROOT / "build" / "docs"


def documented(site: Path) -> set[str]:
    """Return the full names of all that the site at *site* documents, by its inventory for other sites."""
    _, _, _, _, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def undocumented(site: Path) -> list[str]:
    """Return the public names that no page documents, as imported or as defined."""
    known = documented(site)
    return [
        f"{module}.{name}"
        for module in PUBLIC
        for name in import_module(module).__all__
        if f"{module}.{name}" not in known
        and f"{getattr(getattr(import_module(module), name), '__module__', '')}.{name}" not in known
    ]


def leaked(site: Path) -> list[str]:
    """Return the pages that show something of the machine that builds them: its variables, its folders."""
    ours = re.compile("|".join(map(re.escape, ("environ({", str(ROOT), os.environ["PATH"]))))
    pages = (path for path in site.rglob("*") if path.suffix in (".html", ".md", ".txt", ".js"))
    return [str(path.relative_to(site)) for path in sorted(pages) if ours.search(path.read_text("utf-8"))]


def main(arguments: list[str]) -> int:
    if "--serve" in arguments:
        serve(["--port", "8000", "--watch", str(ROOT / "fluidauth"), str(PAGES), str(SITE)])
        return 0
    code = build(
        ["--quiet", "--fail-on-warning", "--jobs", "auto", "-E", "-b", "html", str(PAGES), str(SITE)]
    )
    if code:
        return code
    for fault, found in {
        "no page documents": undocumented(SITE),
        "the builder shows in": leaked(SITE),
    }.items():
        if found:
            print(fault, *found, sep="\n  ")
            code = 1
    if code:
        return code
    print(f"built: {(SITE / 'index.html').relative_to(ROOT)}; make docs SERVE=1 shows it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
