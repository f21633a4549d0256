"""Build the documentation into ``build/docs``: ``python -m tools.site [--serve]``.

A warning is an error: a link or a name that leads nowhere, a page in no table of contents. So are a public
name that no page documents, and a page that shows something of the machine that builds it. --serve shows the
pages at http://localhost:8000 and builds them again when they, or the source, change.
"""

from __future__ import annotations

import shutil
import sys

from harness import ROOT

from .faults import leaked, undocumented

PAGES = ROOT / "docs"
SITE = ROOT / "build" / "docs"
WATCHED = ("fluidauth", "tools/site", "changelog.d")


def build() -> int:
    """Build the pages anew; return 1 and say why if something is wrong with them."""
    from sphinx.cmd.build import main as sphinx

    shutil.rmtree(SITE, ignore_errors=True)
    options = ("--quiet", "--fail-on-warning", "--jobs", "auto", "-E", "-d", str(SITE.with_name("doctrees")))
    if sphinx([*options, "-b", "html", str(PAGES), str(SITE)]):
        return 1
    faults = {"no page documents": undocumented(SITE), "the builder's machine shows in": leaked(SITE)}
    for fault, found in faults.items():
        if found:
            print(fault, *found, sep="\n  ")
    if any(faults.values()):
        return 1
    print(f"built: {(SITE / 'index.html').relative_to(ROOT)}; make docs SERVE=1 shows it")
    return 0


def main(arguments: list[str]) -> int:
    if "--serve" not in arguments:
        return build()
    from sphinx_autobuild.__main__ import main as serve

    watched = [word for name in WATCHED for word in ("--watch", str(ROOT / name))]
    serve(["--port", "8000", *watched, str(PAGES), str(SITE)])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
