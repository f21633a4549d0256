"""A store's path, in text or as a Path, and its URL: each drop-in that makes an engine takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import quart
from starlette.applications import Starlette

from fluidauth import ConfigError, SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.starlette import SessionMiddleware
from fluidauth.keys import new_secret


def by_starlette(store: Any) -> SessionEngine:
    return SessionMiddleware(Starlette(), new_secret(), store=store).engine


def by_flask(store: Any) -> SessionEngine | None:
    app = flask.Flask(__name__)
    app.secret_key = new_secret()
    return FlaskInterface(store=store).engine_for(app)


def by_quart(store: Any) -> SessionEngine | None:
    app = quart.Quart(__name__)
    app.secret_key = new_secret()
    return QuartInterface(store=store).engine_for(app)


@pytest.mark.parametrize("by", [by_starlette, by_flask, by_quart])
@pytest.mark.parametrize("form", [Path, str, "sqlite:///{}".format])
def test_a_drop_in_takes_a_path(by: Callable[[Any], SessionEngine], form: Any, tmp_path: Path) -> None:
    """As its framework's own settings give one."""
    engine = by(form(tmp_path / "s.db"))
    engine.close()

    assert (tmp_path / "s.db").is_file()


@pytest.mark.parametrize("by", [by_starlette, by_flask, by_quart])
def test_a_drop_in_refuses_what_only_a_shell_reads(by: Callable[[Any], SessionEngine]) -> None:
    with pytest.raises(ConfigError, match="begins with ~, which only a shell replaces"):
        by("~/s.db")
