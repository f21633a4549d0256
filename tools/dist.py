"""Make what a release publishes, into ``dist`` or another folder: ``python -m tools.dist [FOLDER]``.

The wheel has a list of what it needs to run (CycloneDX, PEP 770). What PyPI shows of the README is checked:
that it can be shown at all, and that each link in it is one in full.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

from harness import ROOT
from tools.traces import shows_the_machine


def run(*command: object, **environ: str) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environ}, check=True)


def make_sbom(folder: Path) -> Path:
    """Return a list of all that an installation of the package consists of."""
    environment = folder / "environment"
    inside = environment / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    pip = (sys.executable, "-m", "pip", "--python", inside, "--quiet", "--disable-pip-version-check")
    run(*pip, "install", ROOT)
    sbom = folder / "fluidauth.cdx.json"
    run(
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", ROOT / "pyproject.toml"),
        *("--output-reproducible", "--output-file", sbom, inside),
    )
    return sbom


def make(out: Path) -> list[Path]:
    """Build the source and the wheel, and nothing else, into *out*; return their paths."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sbom, made = make_sbom(folder), folder / "dist"
        run(sys.executable, "-m", "build", "--outdir", made, FLUIDAUTH_SBOM=str(sbom))
        run(sys.executable, "-m", "twine", "check", "--strict", *made.iterdir())
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)
    return sorted(out.iterdir())


def faults_of(wheel: Path) -> list[str]:
    """Return what is missing in *wheel* for PyPI or for its users, and what must not be in it."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (metadata,) = (
        content.decode() for name, content in files.items() if name.endswith(".dist-info/METADATA")
    )
    parsed = Parser().parsestr(metadata)
    targets = re.findall(r"\]\(([^)\s]+)\)", str(parsed.get_payload()))
    faults = [f"a link that leads nowhere from PyPI: {target}" for target in targets if "://" not in target]
    faults += [
        f"the builder's machine shows in {name}"
        for name, content in files.items()
        if shows_the_machine(content)
    ]
    if not any(url.startswith("Documentation,") for url in parsed.get_all("Project-URL", [])):
        faults.append("no link to the documentation")
    if not any(re.search(r"\.dist-info/sboms/.+\.cdx\.json$", name) for name in files):
        faults.append("no SBOM")
    return faults


def main(arguments: list[str]) -> int:
    (wheel,) = (path for path in make(Path(*arguments or ["dist"]).absolute()) if path.suffix == ".whl")
    faults = faults_of(wheel)
    if faults:
        print(*faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
