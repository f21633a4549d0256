"""``fluidauth token explain``."""

from __future__ import annotations

from pathlib import Path

from fluidauth import SessionEngine
from fluidauth.keys import file as keyfile
from fluidauth.keys.key import kid_of
from tests.cli.support import LONG_AGO, OLD, Cli, promote_new, sign_in


def test_token_explain_names_the_user(cli: Cli, engine: SessionEngine) -> None:
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
