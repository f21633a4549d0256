"""The command line: what each command does, prints and exits with."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from itsdangerous import TimestampSigner

from fluidauth import CookieOptions, Keyring, Session, SessionEngine, SQLiteStore
from fluidauth.cli.commands import EXIT_CODES, fluidauth, run
from fluidauth.errors import FieldTampered
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.records import Body
from harness.servers.postgres import new_database, postgres_url
from harness.servers.redis import empty_redis

from .support import Browser

OLD, NEW = new_secret(), new_secret()
LONG_AGO = 1_600_000_000
QUICK = ("--interval", "0")  # nobody follows the file here
VERBS = {
    "keys": ["add", "list", "new", "promote", "prune", "revoke"],
    "sessions": ["check", "clean", "copy", "init", "list", "rekey", "revoke", "revoke-user", "show", "stats"],
    "token": ["explain"],
}


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Result]


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


def sign_in(engine: SessionEngine, user: str = "ada") -> tuple[str, str]:
    """Begin a session; return its token and handle."""
    token, session = engine.create_session(user, {"theme": "dark", "email": "SECRET-ada@example.com"})
    return token, str(session.handle)


def promote_new(path: Path) -> None:
    """Let a second key sign, as if long ago."""
    keyfile.change(path, lambda r: r.added(NEW, LONG_AGO).promoted(kid_of(NEW), LONG_AGO))


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


def test_it_runs_as_a_module_and_tells_its_version() -> None:
    """For where the command is not on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "fluidauth", "--version"], capture_output=True, text=True, check=True
    )

    assert re.fullmatch(r"fluidauth, version \d+\.\d+\.\d+\n", done.stdout)


def test_without_its_extra_it_says_how_to_get_it() -> None:
    """Nothing but the core is installed: one line, no traceback."""
    program = "import sys; sys.modules['click'] = None; from fluidauth.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the command line needs more packages: pip install 'fluidauth[cli]'\n"


def test_the_package_does_not_load_it() -> None:
    """An application pays nothing for the command line."""
    program = "import sys, fluidauth; print([n for n in ('click', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# -- keys --------------------------------------------------------------------------------------


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

    assert (forgotten.code, "take it along with --secret-stdin" in forgotten.err) == (1, True)
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
def test_what_the_keyring_does_not_allow_is_refused(
    cli: Cli, ring: Path, arguments: list[str], message: str
) -> None:
    """With exit code 1, and nothing changed."""
    before = ring.read_bytes()

    found = cli("keys", *arguments)

    assert (found.code, message in found.err) == (1, True)
    assert ring.read_bytes() == before


def test_revoke_says_who_would_be_logged_out(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Exactly, over all stores named, and until when; code 0 once nobody is left."""
    promote_new(ring)
    quiet = cli("keys", "revoke", kid_of(OLD), "--dry-run")
    with closing(SQLiteStore("other.db")) as other:
        sign_in(SessionEngine(OLD, other))
    sign_in(SessionEngine(OLD, engine.requests.store))
    line = ("keys", "revoke", kid_of(OLD), "--dry-run", "--store", "sessions.db", "--store", "other.db")
    found, told = cli(*line, "--json"), cli(*line)
    for path in ("sessions.db", "other.db"):
        with closing(SQLiteStore(path)) as store:
            SessionEngine(NEW, store).revoke_all()
    nobody = cli(*line)

    assert (quiet.code, quiet.out.count("0 live sessions")) == (0, 1)
    assert found.code == told.code == 1
    assert {name: found.json[name] for name in ("logged_out", "cookies", "payloads", "fields")} == {
        "logged_out": 2,
        "cookies": 2,
        "payloads": 2,
        "fields": 0,
    }
    assert 3590 < found.json["until"] - time.time() <= 3600
    assert f"Revoking {kid_of(OLD)} logs out 2 live sessions (2 cookies, 2 payloads under it)" in told.out
    assert "by expiry alone" in told.out
    assert (nobody.code, "logs out 0 live sessions" in nobody.out) == (0, True)


def test_revoke_asks_before_it_logs_anybody_out(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """A script must say that it means it; where nobody is left nothing is asked."""
    sign_in(engine)
    promote_new(ring)
    refused = cli("keys", "revoke", kid_of(OLD), "--store", "sessions.db")
    engine.revoke_all()
    done = cli("keys", "revoke", kid_of(OLD), "--store", "sessions.db")

    assert (refused.code, "logs out 1 live session (" in refused.err, "--yes" in refused.err) == (
        1,
        True,
        True,
    )
    assert (done.code, done.out) == (0, f"key {kid_of(OLD)} is revoked; {kid_of(NEW)} signs\n")


def test_a_leaked_signing_key_is_replaced_in_one_step(cli: Cli, ring: Path) -> None:
    """At no moment is there a ring without a signing key, or with the leaked one beside a new one."""
    found = cli("keys", "revoke", kid_of(OLD), "--leaked", "--yes", "--json")

    document = keyfile.read(ring)[0]
    assert (found.code, document.serial) == (0, 2)
    assert [entry.state for entry in document.entries] == ["signing", "revoked"]
    assert found.json["signing"] == document.entries[0].kid


def test_revoke_waits_until_no_process_signs_with_the_key(
    cli: Cli, engine: SessionEngine, ring: Path
) -> None:
    """Right after a promotion some still do, and the sessions they begin would not be counted."""
    keyfile.change(ring, lambda r: r.added(NEW, LONG_AGO).promoted(kid_of(NEW), int(time.time())))
    line = ("keys", "revoke", kid_of(OLD), "--interval", "100")

    refused = [cli(*line, "--no-wait", *more) for more in ([], ["--dry-run"], ["--yes"])]
    leaked = cli(*line, "--no-wait", "--leaked", "--yes")

    assert [result.code for result in refused] == [1, 1, 1]
    waited = re.search(
        r"has not signed for (\d+) s; every process follows within (\d+) s more", refused[0].err
    )
    assert waited is not None
    assert sum(map(int, waited.groups())) in (100, 101, 102)  # an interval and a second, each rounded
    assert leaked.code == 0


def test_revoke_says_what_it_did(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """How many sessions end; a store that was named must be there, one that was not need not."""
    sign_in(engine)
    promote_new(ring)
    line = ("keys", "revoke", kid_of(OLD), "--yes")

    absent = cli(*line, "--store", "absent.db")
    done = cli(*line)

    assert (absent.code, "there is no session database" in absent.err) == (3, True)
    assert done.out.splitlines() == [
        f"key {kid_of(OLD)} is revoked; {kid_of(NEW)} signs",
        "sessions that end within seconds: 1",
    ]
    assert cli("keys", "revoke", kid_of(NEW), "--leaked", "--yes", "--json").json["logged_out"] is None


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


def test_no_keyring_is_made_by_mistake(cli: Cli, tmp_path: Path) -> None:
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


# -- sessions ----------------------------------------------------------------------------------


def test_sessions_are_listed(cli: Cli, engine: SessionEngine) -> None:
    """All or a user's, in order of handle, in pages, expired ones when asked."""
    handles = sorted(sign_in(engine, f"user-{number % 2}")[1] for number in range(6))
    found = cli("sessions", "list", "--json").json["sessions"]
    first = cli("sessions", "list", "--limit", "4", "--json").json["sessions"]
    rest = cli("sessions", "list", "--after", first[-1]["handle"][:12], "--json").json["sessions"]
    mine = cli("sessions", "list", "--user", "user-1", "--json").json["sessions"]
    table = cli("sessions", "list", "--limit", "2")

    assert [session["handle"] for session in found] == handles
    assert [session["handle"] for session in first + rest] == handles
    assert {session["user_id"] for session in mine} == {"user-1"}
    assert len(mine) == 3
    assert set(found[0]) == {"handle", "user_id", "created_at", "expires_at", "version", "kid", "bytes"}
    assert table.out.splitlines()[1].startswith(f"{handles[0][:12]}  user-")
    assert table.err == f"next page: --after {handles[1][:12]}\n"
    assert cli("sessions", "list", "--limit", "6", "--json").json["next"] is None
    assert cli("sessions", "list", "--limit", "5", "--json").json["next"] == handles[4]
    assert cli("sessions", "list", "--key", kid_of(OLD), "--json").json["sessions"] == found
    assert cli("sessions", "list", "--key", kid_of(NEW), "--json").json["sessions"] == []


def test_expired_sessions_are_listed_only_when_asked(cli: Cli, engine: SessionEngine) -> None:
    """A row that waits for its cleaning is no session."""
    expire(engine, sign_in(engine)[1])

    assert cli("sessions", "list", "--json").json["sessions"] == []
    assert len(cli("sessions", "list", "--expired", "--json").json["sessions"]) == 1


def expire(engine: SessionEngine, handle: str) -> None:
    """Let the stored session be over."""
    store = engine.requests.store
    record = store.get(handle)
    assert record is not None
    store.delete(handle)
    store.create(record._replace(expires_at=int(time.time()) - 1))


def test_show_verifies_the_seal_and_hides_encrypted_fields(cli: Cli, engine: SessionEngine) -> None:
    """Only ``--decrypt`` shows them; the id is shown by nothing."""
    token, handle = sign_in(engine)
    found = cli("sessions", "show", handle[:8], "--json")
    text = cli("sessions", "show", handle)
    clear = cli("sessions", "show", handle, "--decrypt", "--json").json

    assert (found.code, found.json["genuine"], found.json["verdict"]) == (0, True, "live")
    assert found.json["sealed_by"] == kid_of(OLD)
    assert found.json["fields"] == {
        "email": {"stored": f"encrypted by {kid_of(OLD)}"},
        "theme": {"stored": "plain", "value": "dark"},
    }
    assert "genuine" in text.out
    assert clear["fields"]["email"]["value"] == "SECRET-ada@example.com"
    assert "SECRET-" not in found.out + text.out
    assert token[9:41] not in found.out + text.out


def test_show_says_that_a_row_was_changed(cli: Cli, engine: SessionEngine) -> None:
    """And shows nothing of what it claims to hold."""
    _, handle = sign_in(engine)
    change_row("UPDATE fluidauth_sessions SET user_id = 'mallory'")

    found = cli("sessions", "show", handle)

    assert found.code == 1
    assert "NOT genuine" in found.out
    assert "its seal does not fit" in found.out
    assert "dark" not in found.out


def change_row(statement: str, *values: Any) -> None:
    with closing(sqlite3.connect("sessions.db")) as connection, connection:
        connection.execute(statement, values)


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ("abc", "that is no handle: it has 64 hex digits, the first 8 or more will do"),
        ("zzzzzzzzzz", "that is no handle"),
        ("0" * 8, "no session has a handle like 00000000"),
        ("f" * 70, "that is no handle"),
        ("'; DROP TABLE x", "that is no handle"),
        ("1.abcdef.SECRET", "a cookie goes into fluidauth token explain"),
    ],
)
def test_a_handle_that_names_nothing_is_refused(
    cli: Cli, engine: SessionEngine, handle: str, message: str
) -> None:
    """Too short, not hexadecimal, or of no session."""
    for verb in ("show", "revoke"):
        found = cli("sessions", verb, handle)

        assert (found.code, message in found.err) == (1, True)
        assert "SECRET" not in found.err
    assert cli("sessions", "show", "0" * 64).code == 1


def test_a_prefix_of_two_handles_is_refused(cli: Cli, engine: SessionEngine) -> None:
    """Nothing is ended by chance."""
    _, handle = sign_in(engine)
    record = engine.requests.store.get(handle)
    assert record is not None
    twin = handle[:-1] + ("0" if handle[-1] != "0" else "1")
    engine.requests.store.create(record._replace(handle=twin))

    found = cli("sessions", "revoke", handle[:20])

    assert (found.code, "more than one session has a handle like" in found.err) == (1, True)


def test_sessions_are_revoked(cli: Cli, engine: SessionEngine) -> None:
    """One, also under the id it was renewed to; or all of a user but one."""
    _, handle = sign_in(engine)
    kept = sign_in(engine, "eve")[1]
    sign_in(engine, "eve")

    one = cli("sessions", "revoke", handle)
    again = cli("sessions", "revoke", handle, "--json")
    user = cli("sessions", "revoke-user", "eve", "--except", kept[:10], "--json")
    none = cli("sessions", "revoke-user", "nobody")

    assert (one.code, one.out) == (0, f"session {handle[:12]} of 'ada' is ended\n")
    assert (again.code, again.json) == (1, {"handle": handle, "user_id": None, "revoked": False})
    assert (user.code, user.json) == (0, {"user": "eve", "revoked": 1})
    assert (none.code, none.out) == (1, "0 sessions of 'nobody' ended\n")
    assert [info.handle for info in engine.list_sessions("eve")] == [kept]
    assert cli("sessions", "revoke-user", "").code == 1


def test_what_expired_is_cleaned(cli: Cli, engine: SessionEngine) -> None:
    """Live sessions stay."""
    expire(engine, sign_in(engine)[1])
    sign_in(engine)

    assert cli("sessions", "clean", "--json").json == {"removed": 1, "revoked": 0}
    assert cli("sessions", "clean").out == "0 expired records removed\n"
    assert len(engine.list_sessions("ada")) == 1


def test_a_store_is_made_before_its_first_use(cli: Cli, tmp_path: Path) -> None:
    """In SQLite a private file, in PostgreSQL a schema; a second time does no harm."""
    postgres = new_database(postgres_url())
    before = cli("sessions", "stats", "--store", postgres)
    for place in (str(tmp_path / "new.db"), postgres):
        first, second = (cli("sessions", "init", "--store", place) for _ in range(2))
        assert (first.out, second.out) == ("the store is ready\n", "the store was ready before\n")
        assert cli("sessions", "stats", "--store", place, "--json").json["live"] == 0

    assert (before.code, "fluidauth sessions init" in before.err) == (3, True)
    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600
    assert cli("sessions", "init", "--store", "memory://").code == 3


def test_stats_count_sessions_users_and_keys(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """By the key of the cookie and of the seal."""
    for user in ("ada", "ada", "eve"):
        sign_in(engine, user)
    expire(engine, sign_in(engine)[1])
    found = cli("sessions", "stats", "--json").json
    text = cli("sessions", "stats").out

    assert (found["live"], found["expired"], found["users"]) == (3, 1, 2)
    assert found["by_cookie_key"] == found["by_seal_key"] == {kid_of(OLD): 3}
    assert found["largest_payload"] * 4 >= found["payload_bytes"] > 0
    assert re.search(rf"cookies under {kid_of(OLD)} +3", text)


def test_check_reports_every_bad_record(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Tampered, foreign, undecryptable and revoked ones by their handles; code 0 without any."""
    good = cli("sessions", "check", "--json")
    handles = [sign_in(engine)[1] for _ in range(4)]
    store = engine.requests.store
    change_row(
        "UPDATE fluidauth_sessions SET user_id = 'mallory' WHERE handle = ?", bytes.fromhex(handles[0])
    )
    foreign = SessionEngine(new_secret(), store).create_session("ada")[1].handle

    found = cli("sessions", "check", "--json")
    text = cli("sessions", "check")
    promote_new(ring)
    keyfile.change(ring, lambda r: r.revoked(kid_of(OLD), LONG_AGO))
    after = cli("sessions", "check", "--json").json

    assert (good.code, good.json) == (0, {"records": 0, "verdicts": {}, "damage": [], "bad": []})
    assert found.code == text.code == 1
    assert found.json["verdicts"] == {"live": 3, "tampered": 1, "foreign": 1}
    assert {bad["handle"]: bad["verdict"] for bad in found.json["bad"]} == {
        handles[0]: "tampered",
        foreign: "foreign",
    }
    assert handles[0] in text.out
    assert after["verdicts"] == {"revoked": 4, "foreign": 1}
    assert [bad["verdict"] for bad in after["bad"]] == ["foreign"]
    assert cli("sessions", "rekey", "--json").json["skipped"] == 4
    assert "by a revoked key" in cli("sessions", "show", handles[1]).out
    assert cli("sessions", "clean", "--revoked", "--json").json == {"removed": 0, "revoked": 4}
    assert len(stored_handles()) == 1


@pytest.mark.requirement("63", "64")
def test_what_says_that_an_old_cookie_was_used_is_none(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """It is in no list, and stays when sessions under a revoked key are removed: nobody comes back."""
    secret = new_secret()

    def old_cookie(user: str) -> str:
        fields = b64encode(json.dumps({"user": user}).encode())
        return f"session={TimestampSigner(secret).sign(fields).decode()}"

    cookies = [old_cookie("ada"), old_cookie("bob")]

    def browser() -> Browser:
        adopter = StarletteCookie(secret, user_id=lambda fields: fields.get("user"))
        adopting = SessionEngine(Keyring.from_file(ring), engine.requests.store, adopt=[adopter])
        return Browser("wsgi", adopting)

    def users() -> list[str | None]:
        tab = browser()
        return [tab.with_cookie(None).get(lambda session: session.user_id, cookie_header=c) for c in cookies]

    browser().request(Session.logout, cookie_header=cookies[0])
    browser().engine.revoke_user("bob")
    listed = cli("sessions", "list", "--json").json["sessions"]
    before = users()
    promote_new(ring)
    keyfile.change(ring, lambda r: r.revoked(kid_of(OLD), LONG_AGO))
    cli("sessions", "clean", "--revoked")

    assert listed == []
    assert before == users() == [None, None]


def test_check_finds_fields_that_cannot_be_read(cli: Cli, engine: SessionEngine) -> None:
    """The seal is genuine, one envelope in it belongs elsewhere."""
    _, handle = sign_in(engine)
    _, other = sign_in(engine)
    store, sealer = engine.requests.store, engine.policy.sealer
    record, source = store.get(handle), store.get(other)
    assert record and source
    body, others = sealer.unseal(record), sealer.unseal(source)
    assert isinstance(body, Body) and isinstance(others, Body)
    locked = {name: kept._replace(error=FieldTampered(name)) for name, kept in others.locked.items()}
    store.update(sealer.seal(record._replace(version=2), body._replace(fields={}, locked=locked)))

    found = cli("sessions", "check", "--json")

    assert found.code == 1
    assert [bad["verdict"] for bad in found.json["bad"]] == ["undecryptable"]
    assert "'email'" in found.json["bad"][0]["detail"]


def test_check_reports_a_damaged_file(cli: Cli, engine: SessionEngine, tmp_path: Path) -> None:
    """Pages that do not fit together are found before anybody meets them."""
    for number in range(50):
        sign_in(engine, f"user-{number}")
    engine.close()
    path = tmp_path / "sessions.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'fluidauth_sessions_by_user'")

    found = cli("sessions", "check")

    assert found.code == 1
    assert "error" in found.out
    assert "never used" in found.out


def test_rekey_keeps_to_its_rate(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Throttled it takes its time, and a second run has nothing to do."""
    for number in range(20):
        sign_in(engine, f"user-{number}")
    promote_new(ring)
    start = time.monotonic()

    first = cli("sessions", "rekey", "--rate", "40", "--json")
    took = time.monotonic() - start
    second = cli("sessions", "rekey", "--rate", "0")

    assert (first.code, first.json) == (0, {"done": 20, "skipped": 0, "failed": []})
    assert took >= 0.45
    assert second.out.startswith("0 done, 20 skipped, 0 failed in ")


def test_copy_moves_every_session_and_what_is_done_is_done(
    cli: Cli, engine: SessionEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file to Redis; expired ones stay behind, a second run has nothing to do."""
    tokens = [sign_in(engine, f"user-{number}")[0] for number in range(20)]
    _, expired = sign_in(engine)
    change_row("UPDATE fluidauth_sessions SET expires_at = 1000 WHERE handle = ?", bytes.fromhex(expired))
    new = empty_redis()
    monkeypatch.setenv("FLUIDAUTH_DATABASE", f"{tmp_path / 'sessions.db'} -> {new}")
    start = time.monotonic()

    first = cli("sessions", "copy", "--rate", "40", "--json")
    took = time.monotonic() - start
    second = cli("sessions", "copy", "--store", f"sqlite:///{tmp_path / 'sessions.db'} -> {new}")

    assert (first.code, first.json) == (0, {"moved": 20, "skipped": 1})
    assert took >= 0.45
    assert second.out.startswith("0 sessions moved, 1 expired or gone in ")
    assert second.err == "next: give the application the new store alone\n"
    assert [record.handle for record in engine.requests.store.scan()] == [expired]
    with closing(SessionEngine(Keyring.from_file(tmp_path / "keyring.json"), new)) as moved:
        assert all(moved.set_cookie_header(token) for token in tokens)


@pytest.mark.parametrize("store", ["sqlite:///a.db", "sqlite:///a.db + sqlite:///b.db"])
def test_copy_refuses_what_is_no_migration(cli: Cli, store: str, tmp_path: Path) -> None:
    """An application that knows the old store alone would find nothing of what was moved."""
    for name in ("a.db", "b.db"):
        SQLiteStore(tmp_path / name).open()
    os.chdir(tmp_path)

    found = cli("sessions", "copy", "--store", store)

    assert found.code == 1
    assert "of which the application has both" in found.err


def test_rekey_names_what_it_left_alone(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """With exit code 1."""
    _, handle = sign_in(engine)
    change_row("UPDATE fluidauth_sessions SET user_id = 'mallory'")
    promote_new(ring)

    found, text = cli("sessions", "rekey", "--json"), cli("sessions", "rekey")

    assert (found.code, found.json["failed"][0]["handle"]) == (1, handle)
    assert handle in text.out


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
        ("memory://", "a memory store lives in its own process alone"),
        ("mysql://user:SECRET-password@host/db", "store URL with scheme 'mysql' is not known"),
        ("sqlite://user:SECRET-password@host/db", "a sqlite store URL needs a path and no host"),
        ("sqlite:///x.db?SECRET=1&timeout=SECRET", "the store URL has an unknown option"),
        ("http://[::1", "the store URL is not one"),
        (".", "cannot be opened as a session database"),
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


def test_words_from_the_database_cannot_write_to_the_terminal(cli: Cli, engine: SessionEngine) -> None:
    """Control characters and markup of a user id are shown as what they are."""
    sign_in(engine, "[red]\x1b[2Jbold")
    sign_in(engine, "team:key:1")

    found = cli("sessions", "list")

    assert "team:key:1" in found.out
    assert "\x1b" not in found.out
    assert "[red]\\x1b[2Jbold" in found.out


def stored_handles() -> list[str]:
    with closing(sqlite3.connect("sessions.db")) as connection:
        return [row[0].hex() for row in connection.execute("SELECT handle FROM fluidauth_sessions")]


# -- token and doctor --------------------------------------------------------------------------


def test_token_explain_says_who_is_signed_in(cli: Cli, engine: SessionEngine) -> None:
    """From a token or a whole header on standard input; the id is not echoed."""
    token, handle = sign_in(engine)

    found = cli("token", "explain", "--json", given=token)
    header = cli("token", "explain", given=f"Cookie: a=b; __Host-session={token}\n")
    offline = cli("token", "explain", "--offline", "--store", "absent.db", given=token)
    named = cli("token", "explain", "--cookie-name", "sid", given=f"sid={token}")
    plain = cli("token", "explain", given=f"Set-Cookie: session={token}; path=/; httponly")
    misplaced = cli("token", "explain", token)

    assert (found.code, found.json["signed_in"], found.json["user_id"]) == (0, True, "ada")
    assert header.out.endswith(f"signed in as 'ada', session {handle}\n")
    assert (offline.code, offline.out.splitlines()[-1]) == (
        0,
        "the token is genuine; the store was not asked",
    )
    assert (named.code, plain.code, misplaced.code) == (0, 0, 2)
    assert "found as" in header.out and "found as" not in cli("token", "explain", given=token).out
    assert not [r for r in (found, header, offline, named, plain, misplaced) if token[9:41] in r.out + r.err]


def test_token_explain_says_why_not(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """With exit code 1, and the reason that the log would have."""
    token, handle = sign_in(engine)
    engine.delete_session(handle)
    gone = cli("token", "explain", given=token)
    promote_new(ring)
    keyfile.change(ring, lambda r: r.revoked(kid_of(OLD), LONG_AGO))
    revoked = cli("token", "explain", "--offline", "--json", given=token)

    assert (gone.code, gone.out.splitlines()[-1]) == (1, "not signed in: unknown_id")
    assert (revoked.code, revoked.json["reason"]) == (1, "revoked_key")
    assert cli("token", "explain", given="").code == 1


def test_a_healthy_deployment_has_no_errors(cli: Cli, engine: SessionEngine) -> None:
    """Each thing that was looked at is named."""
    sign_in(engine)
    found = cli("doctor", "--json")

    opinions = found.json["opinions"]
    assert found.code == 0
    assert {opinion["subject"] for opinion in opinions} >= {"clock", "secrets", "disk", "store", "cookie"}
    assert [o for o in opinions if o["level"] == "error"] == []


def test_doctor_says_what_is_wrong_and_what_to_do(
    cli: Cli, engine: SessionEngine, ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes of files, old keys, a clock behind, expired rows, an absent store, weak secrets."""
    _, handle = sign_in(engine)
    record = engine.requests.store.get(handle)
    assert record is not None
    engine.requests.store.create(record._replace(handle="ab" * 32, created_at=int(time.time()) + 3600))
    for path in tmp_path.glob("sessions.db*"):
        path.chmod(0o640)
    tmp_path.chmod(0o775)
    keyfile.change(ring, lambda r: r.added(NEW, LONG_AGO))
    told = cli("doctor")
    monkeypatch.setenv("FLUIDAUTH_DATABASE", "absent.db")
    monkeypatch.delenv("FLUIDAUTH_KEYRING")
    monkeypatch.setenv("FLUIDAUTH_SECRET", "SECRET-changeme")
    wrong = cli("doctor")
    monkeypatch.setenv("FLUIDAUTH_SECRETS", f"{NEW} {OLD}")
    both = cli("doctor")

    assert (told.code, wrong.code, both.code) == (1, 1, 1)
    assert "FLUIDAUTH_SECRET and FLUIDAUTH_SECRETS are both set: no engine starts; unset one" in both.out
    ring.chmod(0o644)
    monkeypatch.delenv("FLUIDAUTH_SECRET")
    monkeypatch.delenv("FLUIDAUTH_SECRETS")
    mounted = cli("doctor", "--keyring", str(ring), "--trust-mount", "--store", "sessions.db")

    assert f"{ring}, serial " in mounted.out
    for words in (
        "can be opened by others (mode 0640): chmod 600",
        "others may write in",
        "1 of 2 records were created in the future",
        f"key {kid_of(OLD)}  has been signing for",
        "rotate within a year: fluidauth keys add",
        f"fluidauth keys promote {kid_of(NEW)}",
    ):
        assert words in told.out
    assert "has 15 characters; at least 32 are needed" in wrong.out
    assert "there is no session database" in wrong.out
    assert "SECRET" not in wrong.out


APPLICATION = """
from datetime import timedelta
from fluidauth import CookieOptions, MemoryStore, SessionEngine, SessionMiddleware, SQLiteStore
from fluidauth.keys import new_secret
def app(environ, start_response): ...
risky = SessionEngine(new_secret(), MemoryStore(), absolute_timeout=timedelta(days=30), idle_timeout=None,
    cookie=CookieOptions(name="sid", secure=False, http_only=False, domain="example.com"))
secure = SessionMiddleware(app, engine=SessionEngine(new_secret(), SQLiteStore("own.db")))
number = 5
"""


def test_doctor_looks_at_the_settings_of_an_application(cli: Cli, tmp_path: Path) -> None:
    """Cookie against scheme, timeouts against the standard, a store for development."""
    (tmp_path / "doctor_application.py").write_text(APPLICATION)

    risky = cli("doctor", "--engine", "doctor_application:risky", "--url", "https://example.com")
    plain = cli("doctor", "--engine", "doctor_application:secure", "--url", "http://example.com", "--json")
    good = cli("doctor", "--engine", "doctor_application:secure", "--url", "https://example.com", "--json")
    wrong = [cli("doctor", "--engine", name) for name in ("doctor_application:number", "nowhere:x")]

    assert risky.code == 1
    for words in (
        "MemoryStore is for development",
        "secure=False is for development",
        "http_only=False",
        "every host under example.com",
        "absolute timeout above 24 h",
        "idle timeout above 1 h",
        "printenv FLUIDAUTH_SECRET | fluidauth keys add --create --secret-stdin --keyring FILE",
    ):
        assert words in risky.out
    assert plain.code == 1
    errors = [o for o in plain.json["opinions"] if o["level"] == "error"]
    assert [o["says"] for o in errors] == [
        "__Host-session is Secure, but http://example.com is plain http: browsers drop it"
    ]
    assert good.code == 0
    assert [result.code for result in wrong] == [1, 1]
    assert "name the engine, such as app:engine" in wrong[0].out
    assert "No module named 'nowhere'" in wrong[1].out
    assert "store" in wrong[1].out  # the rest is looked at all the same
    sys.modules.pop("doctor_application").secure.engine.close()


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
