"""The repository's own files: what editors, hooks and services read of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from harness import ROOT

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
PINS = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def hooks() -> list[dict[str, Any]]:
    return [hook for repository in HOOKS["repos"] for hook in repository["hooks"]]


def written_files() -> list[Path]:
    """Return what people wrote: all that git knows, but for pictures."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name and not name.endswith(".svg")]
    return [path for path in paths if path.is_file()]


# -- hooks --------------------------------------------------------------------------------------


def test_hooks_are_pinned_as_the_checks_are() -> None:
    """A commit and `make check` are judged by the same releases."""
    pinned = dict(name.split("==") for hook in hooks() for name in hook["additional_dependencies"])

    shared = {name: version for name, version in pinned.items() if name in PINS}

    assert shared == {name: PINS[name] for name in ("ruff", "codespell")}


def test_ruff_sees_python_alone() -> None:
    """The samples of the documents are laid out for readers."""
    ruff = [hook for hook in hooks() if hook["entry"].startswith("ruff ")]

    assert [hook["types_or"] for hook in ruff] == [["python", "pyi"]] * 2


def test_text_files_end_as_the_hooks_leave_them() -> None:
    """No whitespace at the end of a line, one newline at the end of the file."""
    texts = {path: path.read_bytes() for path in written_files()}

    untidy = [
        str(path.relative_to(ROOT))
        for path, text in texts.items()
        if re.search(rb"[ \t\r]$", text, re.MULTILINE) or (text and not re.search(rb"[^\n]\n\Z", text))
    ]

    assert len(texts) > 100
    assert untidy == []
