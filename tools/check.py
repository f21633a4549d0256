"""All that must hold before a change goes in; `make check` runs it.

With --lint what `make lint` runs, with --matrix what `make matrix` does.

Stops at nothing: every part runs, and the last lines say what became of each and how long
it took. A part has a budget, in seconds on two cores that do nothing else: work that is
added stays inside of it, or takes another's place. A Python version that the machine lacks
is named; a test that was skipped is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
MIN_COVERAGE = 95  # per cent of lines and branches
CODE = ("fluidauth", "harness", "tests", "tools", "benchmarks", "examples", "typing_tests")
SETTINGS = ("docs/conf.py", "hatch_build.py")  # read by programs whose types are not all there
# What a host of the repository reads, by the schema that it must follow.
SCHEMAS = {
    "github-workflows": (".github/workflows/ci.yml", ".github/workflows/release.yml"),
    "github-issue-forms": (".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/feature.yml"),
    "github-issue-config": (".github/ISSUE_TEMPLATE/config.yml",),
}
WORKERS = os.environ.get("WORKERS", "2")
PYTEST = ("-m", "pytest", "--quiet", "-p", "tools.no_skips", "--numprocesses", WORKERS)
ASKED = ("fluidauth SQLite, ASGI default",)
# What may differ from one Python to the next: the interpreter's own dict, asyncio, sqlite3, and each store.
CONTRACT = (
    *("tests/stores/test_contract.py", "tests/stores/sqlite", "tests/behaviour/test_sqlite_outages.py"),
    *("tests/session", "tests/formats/test_vectors.py", "tests/middleware/asgi"),
    *("tests/behaviour/test_fields.py", "tests/integrations/test_one_session.py"),
    "tests/documentation/test_pages.py::test_each_block_runs[README.md]",
)


class NotHere(Exception):
    """The machine lacks what a part is about."""


class Part(NamedTuple):
    name: str
    budget: int
    run: Callable[[], None]


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run *command*; raise ``CalledProcessError`` if it fails."""
    subprocess.run([str(part) for part in command], cwd=cwd, check=True)


def python(*arguments: object) -> None:
    run(sys.executable, *arguments)


def check_style() -> None:
    python("-m", "ruff", "format", "--check", "--quiet", *CODE, *SETTINGS)
    python("-m", "ruff", "check", "--quiet", *CODE, *SETTINGS)
    python("-m", "codespell_lib", ".", ".ci", ".github")
    python("-m", "tools.prose")
    for schema, files in SCHEMAS.items():
        python("-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def check_types() -> None:
    python("-m", "mypy", *CODE)


def check_public_types() -> None:
    """Whatever has no underscore says its type, and another checker understands applications as ours does."""
    pyright("--verifytypes", "fluidauth", "--ignoreexternal")
    pyright("--project", "pyproject.toml")


def pyright(*arguments: str) -> None:
    """Run pyright, and show what it says if it fails."""
    # It looks for libraries where the first Python of the path has them.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = (sys.executable, "-m", "pyright", *arguments)
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        print(done.stdout)
    done.check_returncode()


def check_tests() -> None:
    """The tests of `make test`, with branch coverage."""
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    coverage = ("-p", "tools.sampled", "--cov=fluidauth", "--cov-branch", "--cov-report=")
    python(*PYTEST, "-m", "not check and not matrix", *coverage)
    python("-m", "coverage", "report", "--fail-under", MIN_COVERAGE)


def check_more_tests() -> None:
    """Frameworks' own tests, servers that are killed, all that takes longer, much of it by waiting."""
    with making_environments():
        python(*PYTEST, "--numprocesses", int(WORKERS) + 1, "-m", "check")


def check_docs() -> None:
    """Build the documentation; a link or name that leads nowhere fails it."""
    python("-m", "tools.site")


@contextmanager
def making_environments() -> Iterator[None]:
    """Make the environments of the parts to come, while tests wait; a part makes its own if that failed."""
    others = [version for version in VERSIONS if version != CURRENT and find_python(version)]
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: [*map(environment_of, others), benchmark_environment()])
        yield


def check_wheel() -> None:
    """Make what a release publishes, install the wheel alone and import it from outside the tree."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        python("-m", "tools.dist", here)
        (wheel,) = here.glob("*.whl")
        run(sys.executable, "-m", "venv", here / "venv")
        inside = here / "venv" / "bin" / "python"
        run(inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        program = (
            "import fluidauth, pathlib, sys; path = pathlib.Path(fluidauth.__file__); "
            "assert 'site-packages' in path.parts and (path.parent / 'py.typed').is_file(); "
            "print('imported', path.parent.name, 'from the wheel')"
        )
        run(inside, "-c", program, cwd=here)


def check_mutants() -> None:
    python("-m", "tools.mutants", "--changed")


def check_version(version: str, *selection: str) -> None:
    """Run tests under another Python, in an environment of its own."""
    run(environment_of(version) / "bin" / "python", *PYTEST, *selection)


def environment_of(version: str) -> Path:
    """Return the folder of the environment for tests of Python *version*, made if there is none."""
    found = find_python(version)
    if found is None:
        raise NotHere(f"Python {version} is not on this machine")
    folder = f".venv-{version}"
    run("make", "--no-print-directory", f"PYTHON={found}", f"VENV={folder}", f"{folder}/ready")
    return ROOT / folder


def benchmark_environment() -> Path:
    """Return the folder of the benchmarks' environment, made if there is none."""
    run("make", "--no-print-directory", f"PYTHON={sys.executable}", ".venv-bench/ready")
    return ROOT / ".venv-bench"


def check_benchmarks() -> None:
    """Try the adapter of every peer, then ask each question of one; the figures are for nobody here."""
    inside = benchmark_environment() / "bin" / "python"
    run(inside, "-m", "benchmarks.suite", "check")
    with tempfile.TemporaryDirectory() as folder:
        asked = [word for peer in ASKED for word in ("--peer", peer)]
        run(inside, "-m", "benchmarks.suite", "run", "--trial", *asked, "--out", folder)


def find_python(version: str) -> str | None:
    """Return an interpreter of *version* that really runs, or None."""
    candidates = [shutil.which(f"python{version}")]
    if shutil.which("pyenv"):  # its shims refuse versions that are installed but not selected
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
        candidates += [str(path) for path in sorted(Path(root).glob(f"versions/{version}.*/bin/python"))]
    for candidate in candidates:
        if candidate and _runs(candidate, version):
            return candidate
    return None


def _runs(candidate: str, version: str) -> bool:
    program = "import sys, ssl, sqlite3; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([candidate, "-c", program], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == version


def parts_of_lint() -> list[Part]:
    """What reads the source and runs none of it."""
    return [
        Part("format, lint and prose", 15, check_style),
        Part("types", 60, check_types),
        Part("types of all that is public", 15, check_public_types),
    ]


def parts_of_check() -> list[Part]:
    others = [version for version in VERSIONS if version != CURRENT]
    return [
        *parts_of_lint(),
        Part(f"make test on Python {CURRENT}, with coverage", 180, check_tests),
        Part(f"longer tests on Python {CURRENT}", 180, check_more_tests),
        Part("documentation", 20, check_docs),
        Part("wheel", 30, check_wheel),
        *(
            Part(
                f"contract on Python {version}",
                60,
                partial(check_version, version, *CONTRACT, "-m", "not check"),
            )
            for version in others
        ),
        Part("faults in changed files", 60, check_mutants),
        Part("benchmarks", 120, check_benchmarks),
    ]


def parts_of_matrix() -> list[Part]:
    """Every test, with the full product of servers and stores, in another order each time."""
    seed = int(time.time())
    order = ("-p", "randomly", f"--randomly-seed={seed}")
    return [
        Part(f"all tests on Python {version}, order {seed}", 300, partial(check_version, version, *order))
        for version in VERSIONS
    ]


PARTS = {"": parts_of_check, "--lint": parts_of_lint, "--matrix": parts_of_matrix}


def main(arguments: list[str]) -> int:
    parts = PARTS[" ".join(arguments)]()
    results: list[str] = []
    for part in parts:
        print(f"\n== {part.name}", flush=True)
        start = time.monotonic()
        try:
            part.run()
            result = "ok"
        except NotHere as error:
            result = f"not run: {error}"
        except (subprocess.CalledProcessError, OSError) as error:
            result = f"FAILED ({error})"
        took = time.monotonic() - start
        over = f", over its budget of {part.budget} s" if took > part.budget else ""
        results.append(f"{part.name:45} {took:4.0f} s  {result}{over}")
    print("", *results, sep="\n")
    return int(any("  FAILED" in result for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
