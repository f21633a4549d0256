"""Look whether a release may go out: ``python -m tools.release REPOSITORY TAG``.

The links that PyPI shows must lead to the repository that publishes, the tag must name the version, and the
changelog must have it. Needs nothing but Python.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def faults_of(repository: str, tag: str, root: Path = ROOT) -> list[str]:
    """Return why the release of *tag* from *repository*, a URL, must not go out."""
    pyproject = (root / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(pyproject)["project"]
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    fragments = [path.name for path in (root / "changelog.d").iterdir() if path.name != "README.md"]
    faults = []
    owner, _, name = repository.removeprefix("https://github.com/").partition("/")
    ours = (repository, f"https://{owner}.github.io/{name}/")
    for address in re.findall(r"https://[\w.-]*github\.(?:com|io)[\w./-]*", pyproject):
        if not address.startswith(ours):
            faults.append(f"pyproject.toml leads to {address}, which is not of {repository}")
    if tag != f"v{project['version']}":
        faults.append(f"the tag is {tag}, but the version is {project['version']}")
    if not re.search(rf"^## {re.escape(project['version'])} \(\d", changelog, re.MULTILINE) or fragments:
        faults.append(
            f"CHANGELOG.md has no {project['version']} yet: towncrier build --version {project['version']}"
        )
    return faults


if __name__ == "__main__":
    repository, tag = sys.argv[1:]
    sys.exit("\n".join(faults_of(repository, tag)))
