"""The test suites of frameworks, from their released sources, run with our sessions in the place of theirs.

An adapter is a plugin of pytest that changes the set-up alone. Each suite is run twice: with the
adapter, and with a canary that breaks sessions, which must fail where the adapter passes.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from harness import ROOT

ADAPTERS = Path(__file__).parent / "adapters"
CACHE = ROOT / ".sources"
DOWNLOAD_TIMEOUT = 300  # seconds
SUITE_TIMEOUT = 300
OPTIONS = ("-q", "-rA", "--tb=short", "-W", "ignore", "-p", "no:cacheprovider", "-p", "untouched")


class Verdict(NamedTuple):
    passed: set[str]
    failed: set[str]
    report: str


def sources_of(package: str) -> Path:
    """Return the folder of the released sources of *package*, at the version that is installed.

    They are fetched once, into a cache that later runs and other Pythons find.
    """
    release = f"{package}-{version(package)}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / release).is_dir():
            with TemporaryDirectory(dir=CACHE) as folder:
                _fetch(package, Path(folder)).rename(CACHE / release)
    return CACHE / release


def _fetch(package: str, folder: Path) -> Path:
    """Unpack the sources of *package* in *folder*; return where they are."""
    # Of this package alone: with ":all:" pip builds its build tools from source as well.
    command = ["pip", "download", "--quiet", "--no-deps", "--no-binary", package, "--dest", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command, f"{package}=={version(package)}"],
        # Its build tools are its own, not those of our constraints.
        env={**os.environ, "PIP_CONSTRAINT": "", "PIP_BUILD_CONSTRAINT": ""},
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_TIMEOUT,
        check=False,
    )
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or not archives:
        raise RuntimeError(f"the sources of {package} cannot be had: {done.stderr}")
    with tarfile.open(archives[0]) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4
        archive.extractall(folder)
    return archives[0].with_name(archives[0].name.removesuffix(".tar.gz"))


def run_suite(package: str, adapter: str, *tests: str, canary: bool = False) -> Verdict:
    """Run *tests* of *package* under *adapter*, a module of ours or "untouched"; say what became of each."""
    command = ["-m", "pytest", *OPTIONS, "-p", adapter, *tests]
    report = _run(sources_of(package), command, {"FLUIDAUTH_CANARY": "1" if canary else ""})
    return Verdict(_named("PASSED", report), _named("FAILED|ERROR", report), report)


def _named(verdict: str, report: str) -> set[str]:
    """Return the tests of *verdict*, without their parameters."""
    return set(re.findall(rf"^(?:{verdict}) \S+::(\w+)", report, re.MULTILINE))


def run_django_suite(*labels: str, canary: bool = False, middleware: str = "Django's") -> Verdict:
    """Run the tests *labels* of Django by its own runner, under the settings beside this module.

    *middleware*: whose sessions' it is, "Django's" or "ours".
    """
    folder = sources_of("django")
    options = ("--settings=django_settings", "--parallel=1", "-v", "2")
    command = ["-W", "ignore", "runtests.py", *options, *labels]
    environ = {"FLUIDAUTH_CANARY": "1" if canary else "", "FLUIDAUTH_MIDDLEWARE": middleware}
    report = _run(folder / "tests", command, environ, str(folder))
    ran = set(re.findall(r"^test_\w+ \(([\w.]+)\)", report, re.MULTILINE))
    failed = set(re.findall(r"^(?:FAIL|ERROR): \w+ \(([\w.]+)\)", report, re.MULTILINE))
    return Verdict(ran - failed, failed, report)


def _run(folder: Path, command: list[str], environ: dict[str, str], *modules: str) -> str:
    """Return what ``python`` *command* prints in *folder*."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join((str(ADAPTERS), *modules))},
        capture_output=True,
        text=True,
        timeout=SUITE_TIMEOUT,
        check=False,
    )
    return done.stdout + done.stderr
