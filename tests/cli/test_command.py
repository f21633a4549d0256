"""The command itself: help, exit codes, errors, output; and no secret in any of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fluidauth import SessionEngine
from fluidauth.cli.commands import EXIT_CODES, fluidauth
from fluidauth.keys import file as keyfile
from fluidauth.keys.key import kid_of
from tests.cli.support import NEW, OLD, QUICK, Cli, sign_in

VERBS = {
    "keys": ["add", "list", "new", "promote", "prune", "revoke"],
    "sessions": [
        *("check", "clean", "copy", "init", "list", "rekey"),
        *("revoke", "revoke-all", "revoke-user", "show", "stats"),
    ],
    "token": ["explain"],
}


# -- the command itself ------------------------------------------------------------------------


def test_every_command_is_there_with_help_and_json(cli: Cli) -> None:
    """Each says what it does, and each can answer a script."""
    for group, verbs in VERBS.items():
        assert sorted(fluidauth.commands[group].commands) == verbs  # type: ignore[attr-defined]  # a group
    lines = [*((group, verb) for group, verbs in VERBS.items() for verb in verbs), ("doctor",)]
    for line in lines:
        found = cli(*line, "--help")

        assert found.code == 0
        assert "--json" in found.out
        assert len(found.out.splitlines()[2].strip()) > 15


def test_the_exit_codes_are_told(cli: Cli) -> None:
    """They stand in the help of the command."""
    assert re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE) == ["0", "1", "2", "3", "130"]
    assert "Exit codes:" in cli("--help").out
    assert cli("sessions", "unheard-of").code == 2
    assert cli("keys", "revoke").code == 2


def test_command_runs_as_a_module_and_tells_its_version() -> None:
    """For where the command is not on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "fluidauth", "--version"], capture_output=True, text=True, check=True
    )

    assert re.fullmatch(r"fluidauth, version \d+\.\d+\.\d+\n", done.stdout)


def test_command_without_its_extra_says_how_to_get_it() -> None:
    """Nothing but the core is installed: one line, no traceback."""
    program = "import sys; sys.modules['click'] = None; from fluidauth.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the command line needs more packages: pip install 'fluidauth[cli]'\n"


def test_package_does_not_load_the_command() -> None:
    """An application pays nothing for the command line."""
    program = "import sys, fluidauth; print([n for n in ('click', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# -- keys --------------------------------------------------------------------------------------


def test_errors_are_json_as_well(cli: Cli, ring: Path) -> None:
    """A script reads one document, whatever happens."""
    for line in (
        ["keys", "promote"],
        ["keys", "revoke", "aaaaaa"],
        ["sessions", "list", "--store", "absent.db"],
    ):
        found = cli(*line, "--json")

        assert set(found.json) == {"error"}
        assert found.err == ""
    assert (cli("keys", "promote").code, cli("keys", "revoke", "aaaaaa").code) == (1, 3)


@pytest.mark.parametrize(
    "line",
    [
        ["keys", "promote", "--interval", "nan"],
        ["keys", "promote", "--interval=-5"],
        ["sessions", "list", "--user", "\udcff"],
        ["sessions", "list", "--since", "fask1_SECRET"],
        ["keys", "revoke", "fask1_SECRET"],
        ["sessions", "show", "1.SECRET"],
        ["token", "explain", "1.SECRET"],
    ],
)
def test_odd_arguments_get_an_error_and_are_not_repeated(
    cli: Cli, engine: SessionEngine, ring: Path, line: list[str]
) -> None:
    """Neither a traceback nor an echo of what may be a secret."""
    keyfile.change(ring, lambda r: r.added(NEW, int(time.time())))

    found = cli(*line)

    assert found.code in (1, 2, 3)
    assert "SECRET" not in found.out + found.err


def test_a_full_disk_behind_a_pipe_is_an_error(ring: Path) -> None:
    """The output could not be written: no traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fluidauth", "keys", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


# -- sessions ----------------------------------------------------------------------------------


def test_commands_need_no_keyring_file(
    cli: Cli, engine: SessionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets of the environment serve as well."""
    _, handle = sign_in(engine)
    monkeypatch.delenv("FLUIDAUTH_KEYRING")
    without = cli("sessions", "show", handle)
    monkeypatch.setenv("FLUIDAUTH_SECRETS", f"{NEW} {OLD}")

    assert (without.code, "no secret:" in without.err) == (3, True)
    assert cli("sessions", "show", handle).code == 0
    assert cli("sessions", "rekey", "--json").json["done"] == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("absent.db", "there is no session database"),
        ("sqlite:///absent.db", "there is no session database"),
        ("memory://", "a memory store is inside its own process"),
        ("mysql://user:SECRET-password@host/db", "store URL with scheme 'mysql' is not known"),
        ("sqlite://user:SECRET-password@host/db", "a sqlite store URL needs a path and no host"),
        ("sqlite:///x.db?SECRET=1&timeout=SECRET", "the store URL has an unknown option"),
        ("http://[::1", "the store URL is not one"),
        (".", "is a folder; name a file in it"),
    ],
)
def test_a_store_that_is_not_there_is_code_3(
    cli: Cli, ring: Path, tmp_path: Path, url: str, message: str
) -> None:
    """No command makes an empty database where a name was mistyped."""
    for verb in (["list"], ["check"], ["stats"], ["clean"], ["rekey"]):
        found = cli("sessions", *verb, "--store", url)

        assert (found.code, message in found.err) == (3, True)
        assert "SECRET-" not in found.err
    assert not (tmp_path / "absent.db").exists()


def test_control_characters_in_the_database_do_not_reach_the_terminal(
    cli: Cli, engine: SessionEngine
) -> None:
    """Control characters and markup of a user id are shown as what they are."""
    sign_in(engine, "[red]\x1b[2Jbold")
    sign_in(engine, "team:key:1")

    found = cli("sessions", "list")

    assert "team:key:1" in found.out
    assert "\x1b" not in found.out
    assert "[red]\\x1b[2Jbold" in found.out


# -- token and doctor --------------------------------------------------------------------------


def test_no_command_prints_a_secret(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """But ``keys new``, whose whole purpose it is, and ``--decrypt``."""
    token, handle = sign_in(engine)
    lines = [
        ["keys", "list"],
        ["keys", "add"],
        ["keys", "promote", "--force"],
        ["sessions", "list"],
        ["sessions", "show", handle],
        ["sessions", "stats"],
        ["sessions", "check"],
        ["sessions", "rekey"],
        ["keys", "revoke", kid_of(OLD), "--dry-run", "--store", "sessions.db", *QUICK],
        ["keys", "revoke", kid_of(OLD), "--yes", *QUICK],
        ["keys", "prune"],
        ["doctor"],
        ["sessions", "revoke", handle],
        ["sessions", "revoke-all", "--yes"],
    ]
    told = "".join(result.out + result.err for line in lines for result in (cli(*line), cli(*line, "--json")))
    secrets = re.findall(r'"fask1_([^"]+)"', ring.read_text())

    assert secrets
    assert not [word for word in (OLD[6:], *secrets, token[9:41], "SECRET-") if word in told]


def test_output_can_be_cut_off(engine: SessionEngine, ring: Path) -> None:
    """Whoever reads, such as head, may stop; no traceback."""
    for _ in range(60):
        sign_in(engine)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "fluidauth", "sessions", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)

    assert b"Traceback" not in done.stderr
