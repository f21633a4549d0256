"""A framework's weak key beside a secret of our own: it signs nothing, and opens nothing."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from starlette.applications import Starlette

from fluidauth import MemoryStore
from fluidauth.integrations.flask import FluidAuthSessionInterface
from fluidauth.integrations.starlette import SessionMiddleware
from fluidauth.keys import Keyring, new_secret


def flask_app(secret: str, **config: Any) -> Any:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=secret, **config)
    app.session_interface = FluidAuthSessionInterface(store=MemoryStore())
    app.add_url_rule("/", view_func=lambda: str(flask.session.get("user_id")))
    return app


def forged(secret: str) -> str:
    app = flask.Flask(__name__)
    app.secret_key = secret
    signing = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signing is not None
    return str(signing.dumps({"user_id": 1}))


@pytest.mark.requirement("32")
def test_who_knows_a_weak_key_of_flask_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strong one beside it reads its own former sessions still, as a rotation left it."""
    own, strong = new_secret(), new_secret()
    monkeypatch.setenv("FLUIDAUTH_SECRET", own)
    app = flask_app("dev", SECRET_KEY_FALLBACKS=[strong])
    said = []

    for secret in ("dev", strong):
        client = app.test_client()
        client.set_cookie("session", forged(secret))
        said.append(client.get("/").text)

    assert said == ["None", "1"]
    engine = app.session_interface.engine_for(app)
    assert engine.policy.keyring.kids == Keyring.from_secrets(own).kids


@pytest.mark.requirement("32")
def test_who_knows_a_weak_key_of_starlette_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUIDAUTH_SECRET", new_secret())
    engines = [
        SessionMiddleware(Starlette(), key, store=MemoryStore()).engine for key in ("dev", new_secret())
    ]

    assert [engine.requests.adopts for engine in engines] == [False, True]


def test_our_own_secret_is_enough_for_flask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the application has no key at all."""
    monkeypatch.setenv("FLUIDAUTH_SECRET", new_secret())
    app = flask_app("")
    app.add_url_rule("/in", "in", lambda: str(flask.session.update(user_id=7)))
    client = app.test_client()

    client.get("/in")

    assert client.get("/").text == "7"


def test_a_configured_application_is_looked_at_at_once() -> None:
    """One that is not configured yet is left alone until it is."""
    app = flask.Flask(__name__)

    FluidAuthSessionInterface(app=app)
    app.secret_key = "dev"
    with pytest.raises(ValueError, match=r"^SECRET_KEY has 3 characters; .* do not change it"):
        FluidAuthSessionInterface(app=app)
