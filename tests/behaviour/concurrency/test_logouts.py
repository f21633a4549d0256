"""A logout by one process is seen by the very next read of every other one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.behaviour.concurrency import logouts

_LIMIT = 600  # seconds


def _ended_in(tmp_path: Path, reads: int) -> list[str]:
    """Return what each of some processes says of so many *reads* of its own."""
    file, board = tmp_path / "sessions.db", tmp_path / "board"
    logouts.prepare(file, board)
    command = [sys.executable, "-m", logouts.__name__, str(file), str(board)]
    processes = [
        subprocess.Popen([*command, str(number), str(reads)], stdout=subprocess.PIPE, text=True)
        for number in range(logouts.PROCESSES)
    ]
    return [process.communicate(timeout=_LIMIT)[0].strip() for process in processes]


@pytest.mark.requirement("4")
@pytest.mark.requirement("72")
def test_what_has_ended_is_gone_everywhere(tmp_path: Path) -> None:
    """Four processes with two threads each make a hundred thousand reads of sessions that have ended."""
    assert _ended_in(tmp_path, reads=25_000) == ["0 of 25000"] * logouts.PROCESSES
