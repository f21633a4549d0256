"""A site of Flask, and the same in Quart."""

from __future__ import annotations

import flask_login
import pytest

from fluidauth import MemoryStore
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine
from tests.integrations.flask.sites import FlaskSite, QuartSite, Site, Somebody


@pytest.fixture(params=[FlaskSite, QuartSite], ids=["flask", "quart"])
def site_type(request: pytest.FixtureRequest) -> Site:
    return request.param  # type: ignore[no-any-return]  # pytest does not type it


@pytest.fixture
def site(site_type: Site) -> FlaskSite:
    return site_type(memory_engine())


@pytest.fixture
def flask_login_site() -> FlaskSite:
    site = FlaskSite(store=MemoryStore(), SECRET_KEY=new_secret(), PERMANENT_SESSION_LIFETIME=600)
    manager = flask_login.LoginManager(site.app)
    manager.user_loader(Somebody)
    return site
