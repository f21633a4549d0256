"""The test suites of frameworks, from their released sources, run with our sessions in the place of theirs.

An adapter is a plugin of pytest that changes the set-up alone. Each suite is run twice: with the
adapter, and with a canary that breaks sessions, which must fail where the adapter passes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

HERE = Path(__file__).parent
DOWNLOAD_TIMEOUT = 300  # seconds
SUITE_TIMEOUT = 300
OPTIONS = ("-q", "-rA", "--tb=short", "-W", "ignore", "-p", "no:cacheprovider")


class Verdict(NamedTuple):
    passed: set[str]
    failed: set[str]
    report: str


@cache
def sources_of(package: str) -> Path:
    """Return the folder of the released sources of *package*, at the version that is installed."""
    folder = Path(mkdtemp(prefix=f"fluidauth-{package}-"))
    command = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command, f"{package}=={version(package)}"],
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_TIMEOUT,
        check=False,
    )
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or not archives:
        raise RuntimeError(f"the sources of {package} cannot be had: {done.stderr}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return archives[0].with_name(archives[0].name.removesuffix(".tar.gz"))


def run_suite(package: str, adapter: str, *tests: str, canary: bool = False) -> Verdict:
    """Run *tests* of *package* under *adapter*, a module of ours; say what became of each."""
    folder = sources_of(package)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, "-p", adapter, *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE), "FLUIDAUTH_CANARY": "1" if canary else ""},
        capture_output=True,
        text=True,
        timeout=SUITE_TIMEOUT,
        check=False,
    )
    report = done.stdout + done.stderr
    return Verdict(_named("PASSED", report), _named("FAILED|ERROR", report), report)


def _named(verdict: str, report: str) -> set[str]:
    """Return the tests of *verdict*, without their parameters."""
    return set(re.findall(rf"^(?:{verdict}) \S+::(\w+)", report, re.MULTILINE))
