"""Break the code on purpose, one promise at a time: the promise's tests must fail.

    make mutants                        all faults, with all tests
    make mutants ARGS="4 26"            those of two rows of docs/security.md
    make mutants ARGS=--changed         those of files that changed in the last day, with quick tests
    make mutants ARGS=--quick           with the tests of `make test` alone

The faults are in ``tests/faults``. Each is made in a copy of the repository. At the end it
says which were not caught, and which tests bear a promise but noticed none of its faults.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness import ROOT
from harness.faults import Fault, all_faults
from harness.servers.shared import VARIABLE, one_run

COPIED = ("fluidauth", "harness", "tests", "tools", "docs", "examples", "README.md", "pyproject.toml")
WORKERS = 2
TIMEOUT = 300  # seconds for the tests of one promise
DAY = 24 * 60 * 60  # seconds
MOST = 12  # faults of changed files, in `make check`
QUICK = "not check and not matrix"
LINKED = (".sources",)  # what tests fetched once


class Outcome(NamedTuple):
    fault: Fault
    verdict: str
    failed: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()

    @property
    def is_caught(self) -> bool:
        return self.verdict.startswith("caught")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("mutants")
    parser.add_argument("promises", nargs="*", help="numbers of rows of docs/security.md")
    parser.add_argument("--changed", action="store_true", help="only in files that changed in the last day")
    parser.add_argument("--quick", action="store_true", help="with the tests of `make test` alone")
    options = parser.parse_args(arguments)
    chosen = [fault for fault in all_faults() if not options.promises or fault.promise in options.promises]
    quick = options.quick or options.changed
    if quick:
        chosen = [fault for fault in chosen if not fault.longer]
    if options.changed:
        chosen = latest(chosen)
    outcomes = []
    with one_run(), ThreadPoolExecutor(WORKERS) as pool:
        for number, outcome in enumerate(pool.map(partial(attempt, quick=quick), chosen), 1):
            fault = outcome.fault
            print(
                f"{number:3}/{len(chosen)}  {fault.promise:>3}  {fault.what:64} {outcome.verdict}", flush=True
            )
            outcomes.append(outcome)
    return report(outcomes, tell_idle=not quick)


def report(outcomes: list[Outcome], *, tell_idle: bool) -> int:
    """Print what was not caught, and which tests were idle; return the exit code."""
    missed = [outcome for outcome in outcomes if not outcome.is_caught]
    failed = frozenset[str]().union(*(outcome.failed for outcome in outcomes))
    idle = sorted(frozenset[str]().union(*(outcome.passed for outcome in outcomes)) - failed)
    for outcome in missed:
        print(f"{outcome.verdict}: {outcome.fault.promise} {outcome.fault.what}")
    if tell_idle:
        for name in idle:
            print(f"no fault fails {name}")
    print(f"\n{len(outcomes) - len(missed)} of {len(outcomes)} faults caught")
    return int(bool(missed or (tell_idle and idle)))


def latest(faults: list[Fault]) -> list[Fault]:
    """Return the faults of files that changed lately, the last first, as many as there is time for."""
    changed = {file: age for age, file in enumerate(changed_files())}
    concerned = sorted((f for f in faults if f.file in changed), key=lambda fault: changed[fault.file])
    print(f"{len(changed)} files changed, with {len(concerned)} faults; the latest {MOST} are made at most")
    return concerned[:MOST]


def changed_files() -> list[str]:
    """Return the files that changed in a day before the last commit, or since, the last first.

    Without a history, as in an archive of the sources, none did.
    """
    [last] = _git("log", "-1", "--format=%ct") or ["0"]
    uncommitted = _git("diff", "--name-only", "HEAD")
    committed = _git("log", f"--since={int(last) - DAY}", "--name-only", "--format=")
    return list(dict.fromkeys([*uncommitted, *filter(None, committed)]))


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def files_of(promise: str, root: Path = ROOT) -> list[str]:
    """Return the files with tests that may bear the number *promise*: to collect them all takes longer."""
    texts = {path: path.read_text("utf-8") for path in sorted((root / "tests").rglob("test_*.py"))}
    may = [path for path, text in texts.items() if "requirement(" in text and f'"{promise}"' in text]
    return [str(path.relative_to(root)) for path in may]


def attempt(fault: Fault, *, quick: bool) -> Outcome:
    """Run the tests of the fault's promise against a copy that has it."""
    with tempfile.TemporaryDirectory(prefix="fluidauth-fault-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy / name)
        for name in LINKED:
            (copy / name).symlink_to(ROOT / name)
        target = copy / fault.file
        text = fault.applied_to(target.read_text("utf-8"))
        if text is None:
            return Outcome(fault, "DOES NOT APPLY")
        target.write_text(text, "utf-8")
        try:
            done = _run_tests(fault.promise, copy, quick)
        except subprocess.TimeoutExpired:
            return Outcome(fault, "caught by a test that hangs")
    failed, passed = _named(done.stdout, "FAILED|ERROR"), _named(done.stdout, "PASSED")
    if done.returncode == 0 or (done.returncode == 5 and quick):  # 5: it has no quick test
        return Outcome(fault, "SURVIVED", failed, passed)
    if done.returncode == 1:
        return Outcome(fault, f"caught by {len(failed)}", failed, passed)
    print(done.stdout[-4_000:], done.stderr[-4_000:], file=sys.stderr)
    return Outcome(fault, f"DID NOT RUN (exit code {done.returncode})")


def _run_tests(promise: str, copy: Path, quick: bool) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-rA", "--tb=no", "--no-header", "-p", "no:cacheprovider"]
    tier = ["-m", QUICK, "-x"] if quick else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tier, "--requirement", promise, *files_of(promise, copy)],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "PATH": "", "HOME": str(copy), VARIABLE: os.environ.get(VARIABLE, "")},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def _named(report: str, verdict: str) -> frozenset[str]:
    """Return the test functions that the report gives *verdict*, without their parameters."""
    return frozenset(re.findall(rf"^(?:{verdict}) (\S+?::\w+(?:::\w+)?)", report, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
