"""``fluidauth sessions revoke``, ``revoke-user``, ``revoke-all``: what they end, ask and say before."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from fluidauth import Session, SessionEngine
from tests.cli.support import Cli, expire, former_visitor, sign_in
from tests.support import Browser


def test_dry_run_ends_nothing(cli: Cli, engine: SessionEngine) -> None:
    """It says what would end, by the exit code of the real run as well."""
    _, handle = sign_in(engine)
    kept = sign_in(engine)[1]
    sign_in(engine, "eve")

    one = cli("sessions", "revoke", handle[:10], "--dry-run")
    one_json = cli("sessions", "revoke", handle, "--dry-run", "--json")
    none = cli("sessions", "revoke", "0" * 64, "--dry-run")
    user = cli("sessions", "revoke-user", "ada", "--dry-run", "--except", kept)
    user_json = cli("sessions", "revoke-user", "ada", "--dry-run", "--json")
    nobody = cli("sessions", "revoke-user", "nobody", "--dry-run")
    everybody = cli("sessions", "revoke-all", "--dry-run")
    everybody_json = cli("sessions", "revoke-all", "--dry-run", "--json")

    assert (one.code, one.out) == (0, f"session {handle[:12]} of 'ada' would end\n")
    assert one_json.json == {"handle": handle, "user_id": "ada", "would_revoke": True}
    assert (none.code, none.out) == (1, "session 000000000000 was not there\n")
    assert (user.code, user.out) == (0, "1 session of 'ada' would end\n")
    assert (user_json.code, user_json.json) == (0, {"user": "ada", "would_revoke": 2})
    assert (nobody.code, nobody.out) == (1, "0 sessions of 'nobody' would end\n")
    assert (everybody.code, everybody.out) == (0, "Revoking all ends 3 live sessions (3 signed-in).\n")
    assert everybody_json.json == {"would_revoke": 3, "by_kind": {"signed-in": 3}}
    assert len(cli("sessions", "list", "--json").json["sessions"]) == 3


@pytest.mark.parametrize("more", [(), ("--user", "ada")])
def test_session_is_revoked_by_its_former_handle(
    cli: Cli, engine: SessionEngine, more: tuple[str, ...]
) -> None:
    """What it was renewed to is meant, in the dry run too, and told with its user."""
    browser = Browser("wsgi", engine)
    browser.request(lambda session: session.login("ada"))
    former = browser.get(lambda session: session.handle)
    browser.request(Session.regenerate)

    said = cli("sessions", "revoke", former, *more, "--dry-run")
    done = cli("sessions", "revoke", former, *more)

    assert (said.code, said.out) == (0, f"session {former[:12]} of 'ada' would end\n")
    assert (done.code, done.out) == (0, f"session {former[:12]} of 'ada' is ended\n")
    assert engine.list_sessions("ada") == []


def test_session_of_another_user_is_spared(cli: Cli, engine: SessionEngine) -> None:
    _, handle = sign_in(engine, "ada")

    spared = [cli("sessions", "revoke", handle, "--user", "eve", *more) for more in ((), ("--dry-run",))]
    odd = cli("sessions", "revoke", handle, "--user", "")
    done = cli("sessions", "revoke", handle, "--user", "ada", "--json")

    for found in spared:
        assert (found.code, found.out) == (1, f"session {handle[:12]} of 'eve' was not there\n")
    assert odd.code == 1
    assert (done.code, done.json) == (0, {"handle": handle, "user_id": "ada", "revoked": True})


def test_revoke_all_wants_a_yes_where_nobody_can_answer(cli: Cli, engine: SessionEngine) -> None:
    """It says how many would go; with nobody signed in there is nothing to ask."""
    for user in ("ada", "ada", "eve"):
        sign_in(engine, user)
    engine.create_session(None, {"cart": 1})
    expire(engine, sign_in(engine)[1])

    refused = cli("sessions", "revoke-all")
    there = len(cli("sessions", "list", "--json").json["sessions"])
    engine.requests.store.delete_many([(info.handle, None) for info in engine.list_sessions("ada")])
    dry = cli("sessions", "revoke-all", "--dry-run")
    done = cli("sessions", "revoke-all", "--yes", "--json")
    again = cli("sessions", "revoke-all")

    assert (refused.code, refused.out) == (1, "")
    assert "Revoking all ends 4 live sessions (3 signed-in, 1 anonymous). Add --yes to do it" in refused.err
    assert there == 4
    assert (done.code, done.json) == (0, {"revoked": 3})
    assert (dry.code, dry.out) == (0, "Revoking all ends 2 live sessions (1 anonymous, 1 signed-in).\n")
    assert (again.code, again.out) == (1, "every session is ended, 0 records removed\n")
    assert cli("sessions", "revoke-all", "--dry-run").code == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
def test_revoke_all_asks_who_is_at_a_terminal(
    engine: SessionEngine, ring: Path, answer: str, code: int, left: int
) -> None:
    sign_in(engine)
    terminal, theirs = pty.openpty()
    os.write(terminal, f"{answer}\n".encode())

    done = subprocess.run(
        [sys.executable, "-m", "fluidauth", "sessions", "revoke-all"],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(terminal)
    os.close(theirs)

    assert "Revoking all ends 1 live session (1 signed-in). Revoke them? [y/N]" in done.stderr
    assert (done.returncode, len(engine.list_sessions("ada"))) == (code, left)
    assert done.stdout == ("" if left else "every session is ended, 1 record removed\n")


def test_revoke_all_ends_what_has_not_come_in_yet(cli: Cli, engine: SessionEngine, ring: Path) -> None:
    """Sessions of a former system as well, in whatever process they would."""
    tab, cookie = former_visitor(engine, ring)
    first, second = cookie("ada"), cookie("bob")
    before = tab().get(lambda session: session.user_id, cookie_header=first)

    done = cli("sessions", "revoke-all", "--yes")

    assert before == "ada"
    assert done.code == 0
    assert tab().get(lambda session: session.user_id, cookie_header=second) is None
