"""``fluidauth keys``: a rotation by the command line."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fluidauth import SessionEngine
from fluidauth.keys import file as keyfile
from fluidauth.keys.key import kid_of
from tests.cli.support import NEW, OLD, QUICK, Cli, promote_new, sign_in


def test_keys_new_prints_a_secret_and_nothing_else(cli: Cli) -> None:
    """It can be assigned to a variable as it is."""
    text, again = cli("keys", "new"), cli("keys", "new", "--json")

    assert re.fullmatch(r"fask1_[\w-]{43}\n", text.out)
    assert kid_of(again.json["secret"]) == again.json["kid"]
    assert text.out.strip() != again.json["secret"]


def test_a_rotation_in_four_commands(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Add, promote, rekey, revoke: with what to type next, and the numbers before the last."""
    sign_in(engine)
    old = kid_of(OLD)

    added = cli("keys", "add", "--json")
    new = added.json["kid"]
    promoted = cli("keys", "promote", "--force")
    rekeyed = cli("sessions", "rekey", "--json")
    asked = cli("keys", "revoke", old, "--store", "sessions.db", "--dry-run", "--json", *QUICK)
    revoked = cli("keys", "revoke", old, "--yes", "--json", *QUICK)

    assert (added.code, added.json["state"], added.json["serial"]) == (0, "pending", 2)
    assert (promoted.out, promoted.code) == (f"key {new} signs\n", 0)
    assert promoted.err == f"next: fluidauth sessions rekey, then fluidauth keys revoke {old} --dry-run\n"
    assert rekeyed.json == {"done": 1, "skipped": 0, "failed": []}
    assert (asked.code, asked.json["logged_out"], asked.json["cookies"], asked.json["payloads"]) == (
        1,
        1,
        1,
        0,
    )
    assert (revoked.code, revoked.json["state"], revoked.json["signing"]) == (0, "revoked", new)
    assert OLD.encode() not in ring.read_bytes()


def test_the_first_key_of_a_file_signs_at_once(cli: Cli, tmp_path: Path) -> None:
    """A new deployment needs one command; the file is private."""
    found = cli("keys", "add", "--create")
    listed = cli("keys", "list", "--json").json

    assert found.out == f"key {listed['keys'][0]['kid']} is signing in the new file {tmp_path}/keyring.json\n"
    assert [key["state"] for key in listed["keys"]] == ["signing"]
    assert (tmp_path / "keyring.json").stat().st_mode & 0o777 == 0o600


def test_a_secret_in_use_can_be_taken_over(cli: Cli, monkeypatch: pytest.MonkeyPatch, ring: Path) -> None:
    """Who moves from the environment to a file keeps the key, and so the sessions."""
    monkeypatch.setenv("FLUIDAUTH_SECRET", OLD)
    line = ("keys", "add", "--create", "--keyring", "new.json")
    forgotten = cli(*line)
    taken = cli(*line, "--secret-stdin", given=f"{OLD}\n")
    again = cli(*line, "--secret-stdin", given=f"{OLD}\n")
    nothing = cli("keys", "add", "--secret-stdin", given="\n")
    weak = cli("keys", "add", "--secret-stdin", given="SECRET-short\n")

    assert (forgotten.code, "move it with --secret-stdin" in forgotten.err) == (1, True)
    assert taken.out.startswith(f"key {kid_of(OLD)} is signing in the new file ")
    assert "unset FLUIDAUTH_SECRET, restart once" in taken.err
    assert (again.code, "already" in again.err) == (1, True)
    assert (nothing.code, "no secret came on standard input" in nothing.err) == (1, True)
    assert (weak.code, "has 12 characters; at least 32 are needed" in weak.err) == (3, True)
    assert "SECRET-short" not in weak.err + weak.out


def test_keys_list_shows_states_and_times(cli: Cli, ring: Path) -> None:
    """A table for people; nothing secret in it."""
    promote_new(ring)
    found = cli("keys", "list")

    lines = [line.split() for line in found.out.splitlines()]
    assert lines[1][:3] == [kid_of(NEW), "signing", "2020-09-13"]
    assert lines[2][:2] == [kid_of(OLD), "verifying"]
    assert OLD[6:] not in found.out


def test_promote_waits_until_every_process_has_the_key(cli: Cli, ring: Path) -> None:
    """Two intervals after it was added, and a second since times are whole seconds."""
    cli("keys", "add")
    refused = cli("keys", "promote", "--interval", "100", "--no-wait")
    promoted = cli("keys", "promote", "--interval", "0.05")
    ended = time.time()

    assert (refused.code, refused.out) == (1, "")
    waited = re.search(
        r"has been pending for (\d+) s; every process learns it within (\d+) s more", refused.err
    )
    assert waited is not None
    assert sum(map(int, waited.groups())) in (200, 201, 202)  # two intervals and a second, each rounded
    assert promoted.code == 0
    entry = keyfile.read(ring)[0].entries[0]
    assert entry.state == "signing"
    assert entry.changed > entry.created  # it waited before it signed
    assert ended >= entry.changed + 1.05  # and until every process followed


def test_promote_can_be_interrupted(ring: Path) -> None:
    """Ctrl-C while it waits changes nothing."""
    keyfile.change(ring, lambda r: r.added(NEW, int(time.time())))
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", INTERRUPTIBLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()

    assert (process.returncode, told.strip()) == (130, "interrupted")
    assert keyfile.read(ring)[0].states[kid_of(NEW)] == "pending"


# Says when it has begun to wait, so that the test need not guess.
INTERRUPTIBLE = """
import signal, sys, time
from fluidauth.cli import keys, main
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
real, sys.argv = time.sleep, ["fluidauth", "keys", "promote", "--interval", "60"]
keys.time.sleep = lambda seconds: (print("waiting"), real(seconds))
main()
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote"], "no key is pending; add one first: fluidauth keys add"),
        (["promote", kid_of(OLD)], "is signing; only a pending key can be promoted"),
        (["revoke", kid_of(OLD), "--yes"], "promote another first, or if it leaked, fluidauth keys revoke"),
        (["add", "--create"], "there is a keyring file"),
    ],
)
def test_transition_that_the_keyring_does_not_allow_is_refused(
    cli: Cli, ring: Path, arguments: list[str], message: str
) -> None:
    """With exit code 1, and nothing changed."""
    before = ring.read_bytes()

    found = cli("keys", *arguments)

    assert (found.code, message in found.err) == (1, True)
    assert ring.read_bytes() == before


def test_mistyped_keyring_path_makes_no_keyring(cli: Cli, tmp_path: Path) -> None:
    """A mistyped path is refused: another ring would sign everybody out."""
    found = cli("keys", "add", "--keyring", "mistyped.json")

    assert (found.code, "is the path right? --create makes a new one" in found.err) == (1, True)
    assert not (tmp_path / "mistyped.json").exists()


def test_prune_forgets_keys_revoked_long_ago(cli: Cli, ring: Path) -> None:
    """By default what was revoked 400 days ago: no cookie is that old."""
    promote_new(ring)
    keyfile.change(ring, lambda r: r.revoked(kid_of(OLD), int(time.time()) - 100))

    assert cli("keys", "prune", "--json").json == {"pruned": [], "serial": 4}
    assert cli("keys", "prune", "--older-than", "0").out == f"forgot {kid_of(OLD)}\n"
    assert list(keyfile.read(ring)[0].states) == [kid_of(NEW)]


@pytest.mark.parametrize("verb", [["list"], ["promote"], ["revoke", "aaaaaa"], ["prune"]])
def test_a_keyring_in_the_way_is_code_3(cli: Cli, ring: Path, verb: list[str]) -> None:
    """Missing, open to others or malformed, it is said what is wrong with it."""
    ring.chmod(0o644)
    opened = cli("keys", *verb)
    ring.unlink()
    missing = cli("keys", *verb)

    assert (opened.code, "others may read keyring file" in opened.err) == (3, True)
    assert (missing.code, "No such file or directory" in missing.err) == (3, True)
