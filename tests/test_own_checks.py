"""What the tests' own plugins find: who leaves something open, is skipped, or hangs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT

INNOCENT = "\n\ndef test_innocent():\n    pass\n"


def outcome_of(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """Return the exit code and the report of a run of the tests in *source*."""
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options]
    done = subprocess.run(
        [*command, "--rootdir", str(folder), "-c", "/dev/null", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import subprocess\n    kept.append(subprocess.Popen(['sleep', '60']))", "still runs"),
        ("import asyncio\n    loop = asyncio.new_event_loop()\n    loop.me = loop", "unclosed event loop"),
        ("f = open('/dev/null')\n    round = [f]\n    round.append(round)", "unclosed file"),
        ("import socket\n    s = [socket.socket()]\n    s.append(s)", "unclosed <socket"),
    ],
    ids=["process", "loop", "file", "socket"],
)
def test_resource_left_open_fails_its_test(tmp_path: Path, body: str, told: str) -> None:
    """Not the one after it, and not at the end of the run."""
    source = f"kept = []\n\n\ndef test_guilty():\n    {body}\n{INNOCENT}"
    end = "\n\ndef teardown_module():\n    for each in kept:\n        each.kill()\n        each.wait()\n"

    code, report = outcome_of(tmp_path, source + end, "-p", "tests.leaks", "-rE")

    assert code == 1
    assert re.search(r"^ERROR \S*test_it.py::test_guilty", report, re.MULTILINE)
    assert told in report
    assert "2 passed, 1 error" in report


def test_fixture_that_cleans_up_fails_no_test(tmp_path: Path) -> None:
    """What a fixture of the module started may go on as long as that."""
    source = (
        "import subprocess, pytest\n\n\n"
        "@pytest.fixture(scope='module')\ndef server():\n"
        "    with subprocess.Popen(['sleep', '60']) as process:\n"
        "        yield process\n        process.kill()\n\n\n"
        "def test_it(server):\n    subprocess.run(['true'])\n" + INNOCENT
    )

    code, report = outcome_of(tmp_path, source, "-p", "tests.leaks")

    assert code == 0, report


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")])
def test_a_skipped_test_fails_the_run(tmp_path: Path, workers: tuple[str, ...]) -> None:
    source = "import pytest\n\n\n@pytest.mark.skip\ndef test_left_out():\n    pass\n" + INNOCENT

    code, report = outcome_of(tmp_path, source, "-p", "tools.no_skips", *workers)

    assert code == 1
    assert re.search(r"SKIPPED, which counts as failed: \S*test_it.py::test_left_out", report)


def test_a_test_that_hangs_is_ended_and_shown(tmp_path: Path) -> None:
    """With the stack of each thread; the tests after it run."""
    source = "import threading\n\n\ndef test_hangs():\n    threading.Event().wait()\n" + INNOCENT

    code, report = outcome_of(tmp_path, source, "-p", "pytest_timeout", "-o", "timeout=1")

    assert code == 1
    assert "Timeout (>1.0s) from pytest-timeout" in report
    assert "threading.Event().wait()" in report
    assert "1 failed, 1 passed" in report


def test_a_group_and_a_function_go_to_one_process(tmp_path: Path) -> None:
    """What they set up for all is set up once; others go to the other process meanwhile."""
    source = (
        "import os, pathlib, pytest\n\n\n"
        "def note(name):\n"
        "    with pathlib.Path(__file__).with_name(name).open('a') as file:\n"
        "        file.write(f'{os.getpid()}\\n')\n\n\n"
        "@pytest.mark.parametrize('n', range(9))\ndef test_function(n):\n    note('function')\n\n\n"
        "@pytest.mark.xdist_group('g')\n@pytest.mark.parametrize('n', range(9))\n"
        "def test_in_group(n):\n    note('group')\n\n\n"
        "@pytest.mark.xdist_group('g')\ndef test_in_group_too():\n    note('group')\n"
    )

    code, report = outcome_of(
        tmp_path, source, "-p", "xdist", "-p", "tests.units", "-n", "2", "--dist=loadgroup"
    )

    assert code == 0, report
    told = {name: (tmp_path / name).read_text().split() for name in ("function", "group")}
    assert {name: len(processes) for name, processes in told.items()} == {"function": 9, "group": 10}
    assert [len(set(processes)) for processes in told.values()] == [1, 1]
    assert told["function"][0] != told["group"][0]


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")])
def test_coverage_is_measured_with_a_few_sets_of_parameters(
    tmp_path: Path, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sets run; a test with few of them is measured with each."""
    source = (
        "import pathlib, sys, pytest\n\n\n"
        "def note(name):\n"
        "    with pathlib.Path(__file__).with_name(name).open('a') as file:\n"
        "        file.write(f'{sys.gettrace() is not None}\\n')\n\n\n"
        "@pytest.mark.parametrize('n', range(30))\ndef test_many(n):\n    note('many')\n\n\n"
        "@pytest.mark.parametrize('n', range(6))\ndef test_few(n):\n    note('few')\n"
    )
    monkeypatch.setenv("COVERAGE_FILE", str(tmp_path / "coverage"))  # that of the run around it stays
    cov = ("-p", "pytest_cov", f"--cov={tmp_path}", "--cov-report=")

    code, report = outcome_of(tmp_path, source, *workers, *cov, "-p", "tools.sampled")

    assert code == 0, report
    told = {name: (tmp_path / name).read_text().split() for name in ("many", "few")}
    assert sorted(told["many"]) == ["False"] * 24 + ["True"] * 6
    assert told["few"] == ["True"] * 6
