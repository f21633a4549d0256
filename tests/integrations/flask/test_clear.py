"""``session.clear()`` is the logout of Flask's tutorial; it is one here, under each name of the session."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import flask
import flask_login
import pytest
import quart

from fluidauth import CookieOptions, SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine, sign_in
from tests.integrations.flask.sites import FlaskSite, Somebody
from tests.support import FlakyStore

pytestmark = pytest.mark.requirement("4")


@pytest.mark.parametrize("framework", [flask, quart])
@pytest.mark.parametrize("then", [None, "note"])
def test_flasks_clear(framework: Any, then: str | None) -> None:
    """Of ``flask.session`` itself, as in Flask's tutorial."""
    engine = memory_engine()
    app = framework.Flask(__name__) if framework is flask else framework.Quart(__name__)
    app.session_interface = FlaskInterface(engine) if framework is flask else QuartInterface(engine)

    def leave() -> Any:
        framework.session.clear()
        if then:
            framework.session[then] = ("bye",)
        return dict(framework.session)

    app.add_url_rule("/leave", view_func=leave)
    app.add_url_rule("/", view_func=lambda: dict(framework.session))
    client = app.test_client()
    sign_in(client, engine, "ada", {"user_id": 42})

    response = client.get("/leave")
    if asyncio.iscoroutine(response):
        response = asyncio.run(response)

    assert len(response.headers.getlist("Set-Cookie")) == 1
    assert ("Max-Age=0" in response.headers.getlist("Set-Cookie")[0]) is (then is None)
    assert engine.list_sessions("ada") == []
    again = client.get("/")
    fields = asyncio.run(json_of(again)) if asyncio.iscoroutine(again) else again.json
    assert fields == ({} if then is None else {then: ["bye"]})


async def json_of(coming: Any) -> Any:
    return await (await coming).get_json()


def test_clear_by_our_name_in_flask(site: FlaskSite) -> None:
    site.ask(lambda session: session.login("ada", {"cart": ("tea",)}))

    def switch(session: Any) -> Any:
        session.clear()
        before = dict(session), session.user_id
        session.login("bob", {"cart": (1,)})
        return before

    assert site.ask(switch) == ({}, None)
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("bob", {"cart": (1,)})


def test_clear_in_flask_needs_no_read(site_type: type[FlaskSite]) -> None:
    store = FlakyStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.ask(lambda session: session.login("ada"))
    store.broken = {"get", "update", "delete"}

    response = site.get(lambda session: session.clear() or "bye")
    store.broken = set()

    assert response.status_code == 503
    assert site.ask(lambda session: session.user_id) is None


def test_clear_of_nobody_in_flask_keeps_the_session(site: FlaskSite) -> None:
    site.ask(lambda session: session.update(a=1, b=[1]))
    handle = site.ask(lambda session: session.handle)

    site.ask(lambda session: [session.clear(), session.update(c=2)])

    assert site.ask(lambda session: (session.handle, dict(session))) == (handle, {"c": 2})


def clear_and_sign_in(somebody: Somebody, session: Any) -> None:
    session.clear()
    flask_login.login_user(somebody)


@pytest.mark.requirement("66")
def test_clear_before_flask_login_signs_in(flask_login_site: FlaskSite) -> None:
    """As against fixation, which many do: the old session ends, and the next user is known by the new one."""
    site = flask_login_site
    engine = site.interface.engine_for(site.app)
    for name in ("alice", "bob"):
        somebody = Somebody(name)
        site.ask(partial(clear_and_sign_in, somebody))

        assert site.ask(lambda session: session.user_id) == name
        assert [info.user_id for info in engine.list_sessions(name)] == [name]

    assert engine.list_sessions("alice") == []
    site.ask(lambda session: session.clear())
    assert engine.list_sessions("bob") == []
