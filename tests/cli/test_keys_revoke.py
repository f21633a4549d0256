"""``fluidauth keys revoke``: who would be logged out is told before."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

from fluidauth import SessionEngine, SQLiteStore
from fluidauth.keys import file as keyfile
from fluidauth.keys.key import kid_of
from tests.cli.support import LONG_AGO, NEW, OLD, Cli, promote_new, sign_in


def test_revoke_tells_how_many_users_it_logs_out(cli: Cli, engine: SessionEngine, ring: Path) -> None:
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
    assert "By expiry alone" in told.out
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
