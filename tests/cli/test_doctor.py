"""``fluidauth doctor``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from fluidauth import SessionEngine
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret
from fluidauth.keys.key import kid_of
from fluidauth.stores.sqlite import wal_index
from tests.cli.support import LONG_AGO, NEW, OLD, Cli, sign_in


def test_a_healthy_deployment_has_no_errors(cli: Cli, engine: SessionEngine) -> None:
    """Each thing that was looked at is named."""
    sign_in(engine)
    found = cli("doctor", "--json")

    opinions = found.json["opinions"]
    assert found.code == 0
    assert {opinion["subject"] for opinion in opinions} >= {"clock", "secrets", "disk", "store", "cookie"}
    assert [o for o in opinions if o["level"] == "error"] == []


@pytest.mark.parametrize(
    ("is_supported", "says"),
    [
        (True, "from memory while nobody commits"),
        (False, "each one asks SQLite: this system or Python cannot"),
    ],
)
def test_doctor_says_how_reads_go(
    cli: Cli, engine: SessionEngine, monkeypatch: pytest.MonkeyPatch, is_supported: bool, says: str
) -> None:
    monkeypatch.setattr(wal_index, "is_supported", lambda: is_supported)

    opinions = cli("doctor", "--json").json["opinions"]

    assert next(opinion["says"] for opinion in opinions if opinion["subject"] == "reads").startswith(says)


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
        "1 of 2 created in the future",
        f"key {kid_of(OLD)}  has been signing for",
        "rotate within a year: fluidauth keys add",
        f"fluidauth keys promote {kid_of(NEW)}",
    ):
        assert words in told.out
    assert "has 15 characters; at least 32 are needed" in wrong.out
    assert "there is no session database" in wrong.out
    assert "SECRET-changeme" not in wrong.out


APPLICATION = """
from datetime import timedelta
from fluidauth import CookieOptions, MemoryStore, SessionEngine, SessionMiddleware, SQLiteStore
from fluidauth.keys import new_secret
def app(environ, start_response): ...
local = SessionEngine(new_secret(), MemoryStore(), development=True)
risky = SessionEngine(new_secret(), MemoryStore(), absolute_timeout=timedelta(days=30), idle_timeout=None,
    cookie=CookieOptions(name="sid", secure=False, http_only=False, domain="example.com"))
secure = SessionMiddleware(app, engine=SessionEngine(new_secret(), SQLiteStore("own.db")))
number = 5
class held:
    state = secure
"""


def test_doctor_looks_at_the_settings_of_an_application(cli: Cli, tmp_path: Path) -> None:
    """Cookie against scheme, timeouts against the standard, a store for development."""
    (tmp_path / "doctor_application.py").write_text(APPLICATION)

    risky = cli("doctor", "--engine", "doctor_application:risky", "--url", "https://example.com")
    plain = cli("doctor", "--engine", "doctor_application:secure", "--url", "http://example.com", "--json")
    good = cli(
        "doctor", "--engine", "doctor_application:held.state", "--url", "https://example.com", "--json"
    )
    wrong = [cli("doctor", "--engine", name) for name in ("doctor_application:number", "nowhere:x")]

    assert risky.code == 1
    for words in (
        "MemoryStore is for development",
        "secure=False is for development",
        "http_only=False",
        "every host under example.com",
        "absolute timeout above 24 h",
        "idle timeout above 1 h",
        "requests of other origins are only reported: set cross_origin='block'",
        "printenv FLUIDAUTH_SECRET | fluidauth keys add --create --secret-stdin --keyring FILE",
    ):
        assert words in risky.out
    assert plain.code == 1
    errors = [o for o in plain.json["opinions"] if o["level"] == "error"]
    assert [o["says"] for o in errors] == [
        "__Host-session is Secure, but http://example.com is plain http: browsers drop it"
    ]
    assert good.code == 0
    assert cli("doctor", "--engine", "doctor_application:local").out.count("only this machine is served") == 1
    assert [result.code for result in wrong] == [1, 1]
    assert "name the engine, such as app:engine" in wrong[0].out
    assert "No module named 'nowhere'" in wrong[1].out
    assert "store" in wrong[1].out  # the rest is looked at all the same
    sys.modules.pop("doctor_application").secure.engine.close()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("app.session_interface = FluidAuthSessionInterface()", "site_app:app"),
        ("def get_engine(): return SessionEngine(KEY)", "site_app:get_engine"),
    ],
)
def test_the_engine_of_an_application_is_found(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str
) -> None:
    """Where the documented line leaves no engine to name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for variable in ("FLUIDAUTH_KEYRING", "FLUIDAUTH_DATABASE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delitem(sys.modules, "site_app", raising=False)
    (tmp_path / "site_app.py").write_text(
        "from flask import Flask\nfrom fluidauth import SessionEngine\n"
        "from fluidauth.integrations.flask import FluidAuthSessionInterface\n"
        f"KEY = {new_secret()!r}\napp = Flask(__name__)\napp.secret_key = KEY\n{line}\n"
    )

    found = cli("doctor", "--engine", name, "--json")

    assert "cookie" in {opinion["subject"] for opinion in found.json["opinions"]}
