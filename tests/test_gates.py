"""What keeps faults out of the documentation and of a release finds them: each is planted here."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import pytest

from harness import ROOT, pages
from tools import dist
from tools.prose.__main__ import faults_of
from tools.site import faults, tables

LONG = "This sentence has " + "very " * 30 + "many words."
METADATA = "Name: fluidauth\nProject-URL: Documentation, https://fluidauth.github.io/\n\n[a]({link})\n"


# -- prose ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (LONG, "a sentence of 35 words, 25 at most"),
        (f"- {LONG}", "a sentence of 35 words"),
        (f"| a | {LONG} |\n|--|--|\n", "a sentence of 35 words"),
        ("It ends; it begins; it goes on.", "a chain of semicolons"),
        ("It is found amid others.", "write 'during, within' instead of 'amid'"),
        ("Whoever comes is let in.", "write 'anyone who, the request that' instead of 'Whoever'"),
    ],
)
def test_prose_that_is_hard_to_read_is_found(text: str, remark: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{text}\n", "utf-8")

    (found,) = faults_of([page], 25)

    assert remark in found


@pytest.mark.parametrize(
    "source",
    [
        f'"""{LONG}"""\n',
        f"x = 1  # {LONG}\n",
        f'raise ValueError("{LONG}")\n',
    ],
    ids=["docstring", "comment", "message"],
)
def test_prose_in_the_source_is_read(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source, "utf-8")

    assert len(faults_of([module], 30)) == 1


def test_plain_words_pass(tmp_path: Path) -> None:
    """Nor does code count, or what a command printed."""
    page = tmp_path / "page.md"
    page.write_text(f"The session ends.\n\n```text\n{LONG} amid; a; b\n```\n", "utf-8")

    assert faults_of([page], 25) == []


# -- pages ------------------------------------------------------------------------------------------


def test_code_is_found_whatever_it_stands_in(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("> ```python\n> 1\n> ```\n\n- a\n\n  ~~~sh\n  2\n  ~~~\n\ntext\n\n    3\n", "utf-8")

    assert [(block.language, block.code) for block in pages.blocks_of(page)] == [
        ("python", "1\n"),
        ("sh", "2\n"),
        ("", "3\n"),
    ]


def test_links_are_found_whatever_they_look_like(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('[a](b.md "title") ![c](d.svg) [e][f]\n\n[f]: g.md#h\n', "utf-8")

    assert list(pages.links_of(page)) == ["b.md", "d.svg", "g.md#h"]


@pytest.mark.parametrize("text", ["<a href='x.md'>x</a>", "[a][undefined]", ":::{note}\n[a](b.md)\n:::"])
def test_what_hides_a_link_is_found(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n\n<!-- a comment -->\n", "utf-8")

    assert list(pages.escapes_of(page)) != []


# -- the site ---------------------------------------------------------------------------------------


def site_of(folder: Path, *names: str) -> Path:
    """Make a site that documents *names* alone."""
    lines = "".join(f"{name} py:class 1 page.html#$ -\n" for name in names)
    head = b"# Sphinx inventory version 2\n# Project: x\n# Version: 1\n# zlib\n"
    (folder / "objects.inv").write_bytes(head + zlib.compress(lines.encode()))
    return folder


def test_a_name_that_no_page_documents_is_found(tmp_path: Path) -> None:
    """Also that of a method."""
    site = site_of(tmp_path, "fluidauth.SessionEngine", "fluidauth.Session", "fluidauth.Session.login")

    missing = faults.undocumented(site)

    assert {"CookieOptions", "Session.logout", "StoreContract"} <= set(missing)
    assert not {"Session", "Session.login", "SessionEngine"} & set(missing)


@pytest.mark.parametrize(
    "trace", [str(ROOT), str(Path.home() / "x"), "environ({'PATH': 1})", f"fask1_{'A' * 43}"]
)
@pytest.mark.parametrize("name", ["page.html", "picture.svg", "searchindex.js"])
def test_a_trace_of_the_builder_is_found(name: str, trace: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"before {trace} after", "utf-8")
    (tmp_path / "clean.html").write_text("nothing", "utf-8")

    assert faults.leaked(tmp_path) == [name]


def test_a_release_leaves_no_changes_that_are_still_to_come(tmp_path: Path) -> None:
    """So its changelog does not begin with an empty version."""
    (tmp_path / "README.md").touch()

    assert list(tables.changes(tmp_path)) == []


# -- a release --------------------------------------------------------------------------------------


def wheel_of(folder: Path, files: dict[str, str]) -> Path:
    wheel = folder / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({}, "no SBOM"),
        ({"x.dist-info/METADATA": METADATA.format(link="docs/x.md")}, "a link that leads nowhere"),
        ({"x.dist-info/METADATA": "Name: fluidauth\n\n"}, "no link to the documentation"),
        ({"fluidauth/x.py": f"path = {str(ROOT)!r}"}, "the builder's machine shows in fluidauth/x.py"),
    ],
)
def test_a_wheel_that_must_not_go_out_is_found(files: dict[str, str], fault: str, tmp_path: Path) -> None:
    sound = {"x.dist-info/METADATA": METADATA.format(link="https://fluidauth.github.io/")}
    sbom = {"x.dist-info/sboms/x.cdx.json": "{}"} if files else {}

    assert dist.faults_of(wheel_of(tmp_path, {**sound, **sbom})) == ([] if files else ["no SBOM"])
    (found,) = dist.faults_of(wheel_of(tmp_path, {**sound, **sbom, **files}))
    assert fault in found
