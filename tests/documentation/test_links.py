"""Every link between pages leads somewhere, as the repository's host shows them and as the site does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import ROOT
from harness.pages import PAGES, escapes_of, headings_of, links_of, name_of

DOCS = ROOT / "docs"


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of *page*, as GitHub and the site make them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings_of(page)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """The file is there, and has the heading."""
    broken = []
    for link in links_of(page):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if "://" not in link and (not path.exists() or (anchor and anchor not in anchors(path))):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_link_escapes(page: Path) -> None:
    """Neither in HTML, nor as a reference to what is not defined, nor in a block that only the site knows."""
    assert list(escapes_of(page)) == []


def test_pages_of_the_site_link_within_it() -> None:
    """A page of the site links to another one, to a picture, or to an address in full."""
    outside = [
        (name_of(page), link)
        for page in PAGES
        if DOCS in page.parents
        for link in links_of(page)
        if "://" not in link and not link.startswith("#") and not link.endswith(".svg")
        if DOCS not in (page.parent / link.partition("#")[0]).resolve().parents
    ]

    assert outside == []


def test_the_readme_begins_with_what_one_can_run() -> None:
    """Its first example is a framework's, with the command that runs it, on the first screen."""
    head = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:40])

    assert "from flask import Flask" in head
    assert "flask run" in head
