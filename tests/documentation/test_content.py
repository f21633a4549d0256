"""The pages have what they promise: each framework, each former library, what is true of each integration."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from quart import Quart
from starlette.applications import Starlette

from fluidauth import Lifetime, MemoryStore, SessionEngine, new_secret
from fluidauth.integrations.flask import FluidAuthSessionInterface, session
from fluidauth.integrations.litestar import FluidAuthSessionConfig
from fluidauth.integrations.starlette import SessionMiddleware
from harness import ROOT

DOCS = ROOT / "docs"
NAMES = ("Flask", "Quart", "Django", "Starlette", "FastAPI", "Litestar", "Falcon", "Bottle", "Pyramid")
DAY = 24 * 60 * 60  # seconds


@pytest.mark.parametrize("name", NAMES)
def test_each_framework_has_its_line_and_its_example(name: str) -> None:
    assert re.search(rf"^\| .*\b{name}\b.* \|", (DOCS / "frameworks.md").read_text("utf-8"), re.MULTILINE)
    assert (ROOT / "examples" / f"{name.lower()}_app.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_each_framework_has_its_beginning(name: str) -> None:
    """A page of its own, or a part of the page for the others."""
    page = DOCS / "start" / f"{name.lower()}.md"

    assert name in (page if page.is_file() else DOCS / "start" / "others.md").read_text("utf-8")


def test_each_former_library_has_its_part() -> None:
    moving = (DOCS / "moving.md").read_text("utf-8").partition("## Nobody is logged out")[0]

    assert re.findall(r"^### (.+)$", moving, re.MULTILINE) == [
        "Flask's cookie sessions",
        "Flask-Session",
        "Django",
        "Starlette's `SessionMiddleware`",
        "starsessions",
        "Litestar's server-side sessions",
        "Beaker",
        "express-session",
    ]


def lifetime_of(name: str) -> Lifetime:
    """Return how long a session lasts where the integration makes the engine."""
    secret, store = new_secret(), MemoryStore()
    if name in ("flask", "quart"):
        app: Any = Flask(name) if name == "flask" else Quart(name)
        app.secret_key = secret
        return lifetime_for(app, store)
    engine: Any = FluidAuthSessionConfig(secret=secret, store=store).engine
    if name != "litestar":
        engine = SessionMiddleware(Starlette(), secret_key=secret, store=store).engine
    assert isinstance(engine, SessionEngine)
    return engine.policy.lifetime


def lifetime_for(app: Any, store: MemoryStore) -> Lifetime:
    """Return how long a session of Flask lasts, by its record; the setting is Quart's as well."""
    engine = FluidAuthSessionInterface(app=app, store=store).engine_for(app)
    assert engine is not None
    flask = Flask(__name__)
    flask.secret_key = app.secret_key
    flask.session_interface = FluidAuthSessionInterface(app=flask, store=store)
    flask.add_url_rule("/", view_func=sign_in)
    flask.test_client().get("/")
    [record] = [each for each in store.scan() if each.user_id]
    assert app.config["PERMANENT_SESSION_LIFETIME"] == flask.config["PERMANENT_SESSION_LIFETIME"]
    return Lifetime(engine.policy.lifetime.absolute, record.expires_at - record.created_at)


def sign_in() -> str:
    session.login("user-42")
    return ""


@pytest.mark.parametrize("name", ["flask", "quart", "starlette", "fastapi", "litestar"])
def test_the_pages_say_how_long_a_session_lasts(name: str) -> None:
    """With an engine of one's own, and where the integration makes it."""
    page = (DOCS / "start" / f"{name}.md").read_text("utf-8")
    security = (DOCS / "security.md").read_text("utf-8")
    own = SessionEngine(new_secret(), MemoryStore()).policy.lifetime
    theirs = lifetime_of(name)
    absolute = theirs.absolute_seconds // DAY

    assert (own.idle_seconds, own.absolute_seconds) == (60 * 60, DAY)
    assert "after an hour without use, and after 24 hours in any" in page
    if theirs.idle_seconds is None:
        assert f"(Without one, a session ends after {absolute} days, by" in page
        assert f"| Starlette, FastAPI, Litestar | none | {absolute} days |" in security
    else:
        idle = theirs.idle_seconds // DAY
        assert f"(Without one, a session ends after {idle} days without use, by" in page
        assert f"| Flask, Quart | {idle} days | {absolute} days |" in security
