"""The pages on frameworks and servers are true: their code runs, and every framework has its example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT

PAGE = (ROOT / "docs" / "frameworks.md").read_text()
PAGES = ("frameworks", "deploying", "testing")
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL
    )
]
NAMES = ("Flask", "Quart", "Django", "Starlette", "FastAPI", "Litestar", "Falcon", "Bottle", "Pyramid")


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_of_code_runs(number: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_framework_has_its_example(name: str) -> None:
    assert name in PAGE.partition("## Coming from")[0]
    assert (ROOT / "examples" / f"{name.lower()}_app.py").is_file()


def test_the_page_tells_where_one_comes_from() -> None:
    coming = re.findall(r"^\*\*([^*]+)\.\*\*", PAGE, re.MULTILINE)

    assert coming == [
        "Flask",
        "Flask-Session",
        "Django",
        "Starlette",
        "starsessions",
        "Litestar",
        "Beaker",
        "express-session",
    ]
