"""The README is true: its code runs, and its figures and names are those of the package."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fluidauth import SQLiteStore
from fluidauth.cli.commands import run
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from harness import ROOT

README = ROOT / "README.md"
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


def test_the_rotation_recipe_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands, in their order, end with the old key revoked and nobody logged out."""
    recipe = README.read_text().partition("## Rotation")[2].partition("## Encryption")[0]
    lines = re.findall(r"^    fluidauth (.*?)(?: +#.*)?$", recipe, re.MULTILINE)
    ring = tmp_path / "keyring.json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUIDAUTH_KEYRING", str(ring))
    for name in ("FLUIDAUTH_SECRET", "FLUIDAUTH_SECRETS", "FLUIDAUTH_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    codes = [run(shlex.split(lines[0]))]
    old = keyfile.read(ring)[0].entries[0].kid

    for line in lines[1:]:
        # The recipe's own waits until every process follows.
        quick = " --interval 0" if line.startswith(("keys promote", "keys revoke")) else ""
        with closing(SQLiteStore("fluidauth.db")) as store:
            store.open()
        codes.append(run(shlex.split(line.replace("OLD", old) + quick)))

    assert [line.split()[:2] for line in lines] == [
        ["keys", "add"],
        ["keys", "add"],
        ["keys", "promote"],
        ["sessions", "rekey"],
        ["keys", "revoke"],
        ["keys", "revoke"],
    ]
    assert codes == [0] * 6
    assert [entry.state for entry in keyfile.read(ring)[0].entries] == ["signing", "revoked"]
