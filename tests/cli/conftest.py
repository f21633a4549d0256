"""The command line, in an environment of the test alone."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fluidauth import CookieOptions, Keyring, SessionEngine, SQLiteStore
from fluidauth.cli.commands import run
from fluidauth.keys import file as keyfile
from tests.cli.support import LONG_AGO, OLD, Cli, Result


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command line in this process."""

    def call(*arguments: str, given: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capsys.readouterr()
        code = run(arguments)
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring and a database in a folder of this test's own, found by the environment."""
    for name in ("FLUIDAUTH_SECRET", "FLUIDAUTH_SECRETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUIDAUTH_KEYRING", str(tmp_path / "keyring.json"))
    monkeypatch.setenv("FLUIDAUTH_DATABASE", f"sqlite:///{tmp_path}/sessions.db")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A keyring file with one signing key, of long ago."""
    path = tmp_path / "keyring.json"
    keyfile.change(path, lambda empty: empty.added(OLD, LONG_AGO))
    return path


@pytest.fixture
def engine(ring: Path, tmp_path: Path) -> Iterator[SessionEngine]:
    """A running application's engine, on the files that the commands find."""
    with closing(SQLiteStore(tmp_path / "sessions.db", durability="normal")) as store:
        yield SessionEngine(
            Keyring.from_file(ring), store, encrypted_fields=("email",), cookie=CookieOptions(secure=False)
        )
