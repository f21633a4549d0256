"""What the pages show is what happens: each block of each page runs, in order, as its reader would run it."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from fluidauth import new_secret
from fluidauth.keys import file as keyfile
from harness.pages import PAGES, Block, blocks_of, name_of
from harness.servers.postgres import empty_postgres
from harness.servers.redis import empty_redis

from .shell import Failed, Shell

FILE = re.compile(r"# (at the end of )?([\w./-]+\.py)\n")
# These are no code: directives of the site, and what is shown without being run.
SHOWN = re.compile(r"text|\{(toctree|eval-rst|made|include)\}.*")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_runs(page: Path, tmp_path: Path) -> None:
    """A reader who follows the page sees what it says."""
    blocks = [block for block in blocks_of(page) if not SHOWN.fullmatch(block.language)]
    text = "".join(block.code for block in blocks)
    known: dict[str, str | Callable[[Shell], str]] = {
        "OLD": lambda shell: kid_of(shell, "verifying"),
        "LEAKED": lambda shell: kid_of(shell, "signing"),
        **({"redis://redis.internal:6379/0": empty_redis()} if "redis.internal" in text else {}),
        **({"postgresql://app@db.internal/app": empty_postgres()} if "db.internal" in text else {}),
    }
    with closing(Shell(tmp_path, known)) as shell:
        for block in blocks:
            try:
                run(block, shell)
            except Exception as error:
                error.add_note(f"{name_of(page)}, line {block.line}")
                raise


def kid_of(shell: Shell, state: str) -> str:
    """Return the id of the key in *state*: pages say OLD for it."""
    document, _ = keyfile.read(shell.folder / shell.environ["FLUIDAUTH_KEYRING"])
    return next(entry.kid for entry in document.entries if entry.state == state)


def run(block: Block, shell: Shell) -> None:
    match block.language:
        case "console":
            shell.run_block(block.code)
        case "python":
            run_python(block.code, shell)
        case "ini":
            configparser.ConfigParser(strict=False).read_string(block.code)
        case "yaml":
            assert yaml.safe_load(block.code)
        case _:
            raise Failed(f"code must name its language, and {block.language!r} is none that is known here")


def run_python(code: str, shell: Shell) -> None:
    """Write a block that begins with the name of its file; run any other as a program."""
    named = FILE.match(code)
    path = shell.folder / (named[2] if named else "block.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text("utf-8") + "\n" if named and named[1] else ""
    path.write_text(before + code, "utf-8")
    if named:
        compile(code, named[2], "exec")  # a later command runs it
        return
    for said, real in shell.known.items():
        code = code.replace(said, real) if isinstance(real, str) else code
    path.write_text(code, "utf-8")
    environ = {**shell.environ, "PYTHONWARNINGS": "error"}
    if "FLUIDAUTH_KEYRING" not in environ:
        environ.setdefault("FLUIDAUTH_SECRET", new_secret())
    done = subprocess.run(
        [sys.executable, path], cwd=shell.folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
