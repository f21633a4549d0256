"""Make what a release publishes, into ``dist`` or another folder: ``python -m tools.dist [FOLDER]``.

The wheel has a list of what it needs to run, at the versions of today (CycloneDX, PEP 770). What PyPI shows
of the README is checked: that it can be shown at all, and that each link in it is one in full.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

from harness import ROOT

QUIET_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def run(*command: object, **environ: str) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environ}, check=True)


def make_sbom(folder: Path) -> Path:
    """Return a list of all that an installation of the package consists of, as one has it today."""
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    inside = environment / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        inside,
        "install",
        "--quiet",
        "--disable-pip-version-check",
        ROOT,
    )
    sbom = folder / "fluidauth.cdx.json"
    run(
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", ROOT / "pyproject.toml"),
        *("--output-reproducible", "--output-file", sbom, inside),
    )
    return sbom


def make(out: Path) -> list[Path]:
    """Build the source and the wheel into *out*; return their paths."""
    with tempfile.TemporaryDirectory() as folder:
        sbom = make_sbom(Path(folder))
        run(sys.executable, "-m", "build", "--outdir", out, FLUIDAUTH_SBOM=str(sbom))
    made = sorted(out.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *made)
    return made


def faults_of(wheel: Path) -> list[str]:
    """Return what PyPI, or who looks for an SBOM, would miss in *wheel*."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode())
    readme = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)\s]+)\)", readme)
    return [
        *(f"a link that leads nowhere from PyPI: {target}" for target in targets if "://" not in target),
        *(["no link to the documentation"] if not metadata.get_all("Project-URL") else []),
        *(
            ["no SBOM"]
            if not any(re.search(r"\.dist-info/sboms/.+\.cdx\.json$", name) for name in names)
            else []
        ),
        *(["no link at all"] if len(targets) < 10 else []),
    ]


def main(arguments: list[str]) -> int:
    out = Path(*arguments or ["dist"]).absolute()
    (wheel,) = (path for path in make(out) if path.suffix == ".whl")
    faults = faults_of(wheel)
    print(*faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
