"""``fluidauth sessions``: pages of a list, one session, its end."""

from __future__ import annotations

import pytest

from fluidauth import SessionEngine
from fluidauth.keys.key import kid_of
from tests.cli.support import NEW, OLD, Cli, change_row, expire, sign_in


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
    assert set(found[0]) == {
        *("handle", "user_id", "created_at", "expires_at", "version", "kid", "bytes", "kind", "successor")
    }
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


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ("abc", "this is no handle: a handle has 64 hex digits, and the first 8 are enough"),
        ("zzzzzzzzzz", "this is no handle"),
        ("0" * 8, "no session has a handle like 00000000"),
        ("f" * 70, "this is no handle"),
        ("'; DROP TABLE x", "this is no handle"),
        ("1.abcdef.SECRET", "for a cookie use fluidauth token explain"),
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
