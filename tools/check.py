"""All that must hold before a change goes in; `make check` runs it.

Stops at nothing: every check runs, and the last lines say which failed. A Python
version that the machine lacks is named; a test that was skipped is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
MIN_COVERAGE = 95  # per cent of lines and branches
CODE = ("fluidauth", "tests", "tools", "benchmarks", "examples")
# What the tests import; the linters run under one version alone.
TEST_PACKAGES = ".[test]"


class NotHere(Exception):
    """The machine lacks what a check is about."""


def run(*command: object, cwd: Path = ROOT, **environ: str) -> None:
    """Run *command*; raise ``CalledProcessError`` if it fails."""
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, env={**os.environ, **environ})


def python(*arguments: object) -> None:
    run(sys.executable, *arguments)


def check_format() -> None:
    python("-m", "ruff", "format", "--check", "--quiet", *CODE)


def check_lint() -> None:
    python("-m", "ruff", "check", "--quiet", *CODE)


def check_types() -> None:
    python("-m", "mypy", "fluidauth", "tests", "tools", "benchmarks", "examples")


def check_tests() -> None:
    """The whole suite, layering and README included, with branch coverage."""
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    python("-m", "coverage", "run", "-m", "pytest", "-q", "-p", "tools.no_skips")
    python("-m", "coverage", "combine", "--quiet")
    python("-m", "coverage", "report", "--fail-under", MIN_COVERAGE)


def check_wheel() -> None:
    """Build the wheel, install it alone and import it from outside the tree."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        python("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", here, ROOT)
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


def check_version(version: str) -> None:
    """Run the tests under another Python, in an environment of its own."""
    found = find_python(version)
    if found is None:
        raise NotHere(f"Python {version} is not on this machine")
    folder = ROOT / f".venv-{version}"
    inside = folder / "bin" / "python"
    if not inside.exists():
        run(found, "-m", "venv", folder)
    run(inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", TEST_PACKAGES)
    run(inside, "-m", "pytest", "-q", "-p", "tools.no_skips")


def check_benchmarks() -> None:
    """Try the adapter of every peer, then make the short run; its figures are for nobody here."""
    run("make", "--no-print-directory", f"PYTHON={sys.executable}", ".venv-bench/ready")
    inside = ROOT / ".venv-bench" / "bin" / "python"
    run(inside, "-m", "benchmarks.suite", "check")
    with tempfile.TemporaryDirectory() as folder:
        run(inside, "-m", "benchmarks.suite", "run", "--quick", "--out", folder)


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


def checks() -> dict[str, Callable[[], None]]:
    current = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = [version for version in VERSIONS if version != current]
    return {
        "format": check_format,
        "lint": check_lint,
        "types": check_types,
        f"tests on Python {current}, with coverage": check_tests,
        "wheel": check_wheel,
        **{f"tests on Python {version}": lambda v=version: check_version(v) for version in others},  # type: ignore[misc]  # mypy cannot type the default
        "benchmarks": check_benchmarks,
    }


def main() -> int:
    results: dict[str, str] = {}
    for name, check in checks().items():
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        try:
            check()
            results[name] = "ok"
        except NotHere as error:
            results[name] = f"not run: {error}"
            print(f"   {error}")
        except (subprocess.CalledProcessError, OSError) as error:
            results[name] = f"FAILED ({error})"
        print(f"   {time.monotonic() - start:.0f} s", flush=True)
    print()
    for name, result in results.items():
        print(f"{name:40} {result}")
    return int(any(result.startswith("FAILED") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
