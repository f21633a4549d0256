"""Every link between pages leads somewhere, as the repository's host shows them and as the site does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import ROOT

from .pages import PAGES, name_of, prose_of

LINK = re.compile(r"!?\[(?:[^\]`]|`[^`]*`)*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of *page*, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """The file is there, and has the heading."""
    broken = []
    for found in LINK.findall(prose_of(page)):
        target, _, anchor = (found[0] or found[1]).partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")

    assert broken == []


def test_pages_of_the_site_link_within_it() -> None:
    """A page of the site links to another one, to a picture, or to an address in full."""
    docs = ROOT / "docs"
    outside = [
        (name_of(page), target)
        for page in PAGES
        if docs in page.parents
        for target, _ in LINK.findall(prose_of(page))
        if "://" not in target and not target.startswith("#") and not target.endswith(".svg")
        if docs not in (page.parent / target.partition("#")[0]).resolve().parents
    ]

    assert outside == []


def test_the_readme_begins_with_what_one_can_run() -> None:
    """Its first example is a framework's, with the command that runs it, on the first screen."""
    head = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:40])

    assert "from flask import Flask" in head
    assert "flask run" in head
