"""The tests that tutorials bring along, with the documented line changed, on a developer's machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluidauth import new_secret
from tests.integrations.served import Served

from .sites import DjangoPolls, Flaskr, Site

PYTEST = (
    "-m",
    "pytest",
    "-q",
    "-p",
    "fluidauth.pytest_plugin",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
)
WAYS = {"development mode": {"FLUIDAUTH_DEVELOPMENT": "1"}, "a secret": {"FLUIDAUTH_SECRET": new_secret()}}


def in_checkout(site: Site, switched: bool, **environ: str) -> Served:
    """Return the application of *site*, to be run in the environment of nobody's tests but its own."""
    site.publish()
    if switched:
        site.switch()
    served = Served(site.folder, site.command, PYTHONDONTWRITEBYTECODE="1", **environ)
    for name in [name for name in served.environ if name.startswith(("PYTEST", "COV_"))]:
        del served.environ[name]
    served.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return served


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("way", ["development mode", pytest.param("a secret", marks=pytest.mark.check)])
def test_flaskrs_own_tests_pass(way: str, tmp_path: Path) -> None:
    """All of them, and no file is left that they do not leave by themselves."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    said = []
    for folder in (ours, theirs):
        folder.mkdir()
        served = in_checkout(Flaskr(folder), folder is ours, **WAYS[way])
        code, output = served.run(*PYTEST)
        assert code == 0, output
        said.append(output)

    assert all("24 passed" in each for each in said)
    assert files_in(ours) == files_in(theirs)


@pytest.mark.check
@pytest.mark.parametrize("way", WAYS)
def test_djangos_tutorials_own_tests_pass(way: str, tmp_path: Path) -> None:
    """All that its fifth part has written, by ``manage.py test``, and no file is left."""
    served = in_checkout(DjangoPolls(tmp_path), True, **WAYS[way])
    before = files_in(tmp_path)

    code, output = served.run("manage.py", "test")

    assert code == 0, output
    assert "Ran 10 tests" in output
    assert files_in(tmp_path) == before
