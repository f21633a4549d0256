"""Break the code on purpose, one promise at a time: the promise's tests must fail.

    make mutants                     all of them
    make mutants ARGS="4 26"         those of two rows of docs/security.md

Each mutation is made in a copy of the repository. At the end it says which mutations
survived, and which tests bear a requirement but noticed none of its mutations.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tools.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("fluidauth", "tests", "docs", "examples", "README.md", "pyproject.toml")
WORKERS = 2
TIMEOUT = 120  # seconds for the tests of one requirement


class Outcome(NamedTuple):
    mutation: Mutation
    failed: set[str]
    passed: set[str]


def main(wanted: list[str]) -> int:
    chosen = [m for m in MUTATIONS if not wanted or m.requirement in wanted]
    outcomes = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for number, outcome in enumerate(pool.map(attempt, chosen), 1):
            verdict = f"caught by {len(outcome.failed)}" if outcome.failed else "SURVIVED"
            mutation = outcome.mutation
            print(
                f"{number:3}/{len(chosen)}  {mutation.requirement:>3}  {mutation.what:64} {verdict}",
                flush=True,
            )
            outcomes.append(outcome)
    survivors = [outcome for outcome in outcomes if not outcome.failed]
    caught = set().union(*(outcome.failed for outcome in outcomes))
    idle = sorted(set().union(*(outcome.passed for outcome in outcomes)) - caught)
    for name in idle:
        print(f"no mutation fails {name}")
    print(f"\n{len(outcomes) - len(survivors)} of {len(outcomes)} mutations caught; {len(idle)} idle tests")
    return int(bool(survivors or idle or not outcomes))


def attempt(mutation: Mutation) -> Outcome:
    """Run the tests of the mutation's requirement against a copy that has it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        target = copy / mutation.file
        before = target.read_text()
        if before.count(mutation.old) != 1:
            raise SystemExit(f"{mutation.file} does not hold once what {mutation.what!r} replaces")
        target.write_text(before.replace(mutation.old, mutation.new))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rA",
            "--tb=no",
            "--no-header",
            "-p",
            "no:cacheprovider",
        ]
        try:
            done = subprocess.run(
                [*command, "--requirement", mutation.requirement],
                cwd=copy,
                env={"PYTHONPATH": folder, "PATH": "", "HOME": folder},
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return Outcome(mutation, {"a test that hangs"}, set())
    failed = _names(done.stdout, "FAILED|ERROR")
    if done.returncode not in (0, 1) and not failed:
        raise SystemExit(f"the tests of {mutation.requirement} did not run:\n{done.stdout}{done.stderr}")
    return Outcome(mutation, failed, _names(done.stdout, "PASSED"))


def _names(report: str, verdict: str) -> set[str]:
    """Return the test functions that the report gives *verdict*, without their parameters."""
    return set(re.findall(rf"^(?:{verdict}) (\S+?::\w+(?:::\w+)?)", report, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
