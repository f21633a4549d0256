"""What holds in Flask and Quart beyond what they document: logouts, failing stores, WebSockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import flask
import flask_login
import pytest
import quart

from fluidauth import ConfigError, CookieOptions, SessionEngine
from fluidauth.errors import SessionClosed
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.flask.sessions import FlaskSession, mirror_of
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.quart import session as quart_session
from fluidauth.keys import new_secret
from fluidauth.testing import memory_engine
from tests.integrations.flask.sites import FlaskSite, QuartSite, Site, seen, sign_in
from tests.support import AsyncBasicStore, FlakyStore

# -- promises ------------------------------------------------------------------------------------


def test_changes_of_two_tabs_both_survive(site: FlaskSite) -> None:
    """A request that began first, and held a container, takes nothing back."""
    site.ask(lambda session: session.update(a=[1], b=[1]))
    engine = site.interface.engine_for(site.app)

    def slow(session: Any) -> None:
        session["a"].append(2)
        session["b"].copy()
        with engine.edit(session.handle) as other:  # another request, meanwhile
            other["b"].append(2)

    site.ask(slow)

    assert site.ask(dict) == {"a": [1, 2], "b": [1, 2]}


def test_a_logout_is_final_against_a_slower_request(site: FlaskSite) -> None:
    site.ask(lambda session: session.login("ada"))
    engine = site.interface.engine_for(site.app)

    def slow(session: Any) -> None:
        session["n"] = 1
        engine.revoke_user("ada")

    site.ask(slow)

    assert site.ask(lambda session: (session.user_id, dict(session))) == (None, {})


def test_a_failed_request_keeps_nothing_but_a_logout(site: FlaskSite) -> None:
    def fail(session: Any) -> None:
        session["n"] = 1
        raise ZeroDivisionError

    def fail_after_logout(session: Any) -> None:
        session.logout()
        raise ZeroDivisionError

    site.ask(lambda session: session.login("ada"))
    assert site.get(fail).status_code == 500
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {})
    assert site.get(fail_after_logout).status_code == 500
    assert site.ask(lambda session: session.user_id) is None


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_failing_store_is_a_503_and_costs_no_cookie(site_type: Site, verb: str) -> None:
    store = FlakyStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.ask(lambda session: session.login("ada"))

    store.broken = {verb}
    failed = site.get(lambda session: [session.update(n=1)])
    store.broken = set()

    assert failed.status_code == 503
    assert "Set-Cookie" not in failed.headers
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {})


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_failing_store_may_raise_instead(site_type: Site, verb: str) -> None:
    """For applications with an error page of their own."""
    store = FlakyStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.interface.responds = False
    site.ask(lambda session: session.login("ada"))

    store.broken = {verb}
    failed = site.get(lambda session: [session.update(n=1)])
    store.broken = set()

    assert failed.status_code == 500
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {})


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
def test_any_store_serves(site_type: Site, kind: str, tmp_path: Any) -> None:
    """A remote one is read ahead in Quart, where nothing may wait."""
    from tests.support import opened

    with opened(kind, tmp_path) as store:
        site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
        site.ask(lambda session: session.login("ada", {"n": (1,)}))

        assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {"n": (1,)})


# -- WebSockets of Quart -------------------------------------------------------------------------


def test_a_websocket_has_the_session() -> None:
    """It reads and changes it; what changed is saved when the socket closes."""
    engine = memory_engine()
    site = QuartSite(engine)

    async def live() -> None:
        await quart.websocket.send_json(dict(quart.session))
        quart.session["seen"] = True

    async def visit() -> Any:
        async with site.client.websocket("/live") as socket:
            return await socket.receive_json()

    site.app.add_websocket("/live", view_func=live)
    site.ask(lambda session: session.update(n=1))

    assert asyncio.run(visit()) == {"n": 1}
    assert site.ask(dict) == {"n": 1, "seen": True}


def test_a_websocket_cannot_begin_a_session() -> None:
    """No response is left to carry its cookie."""
    site = QuartSite(memory_engine())
    refusals: list[str] = []

    async def live() -> None:
        with pytest.raises(SessionClosed) as refusal:
            quart.session["n"] = 1
        refusals.append(str(refusal.value))
        await quart.websocket.send("done")

    async def visit() -> None:
        async with site.client.websocket("/live") as socket:
            await socket.receive()

    site.app.add_websocket("/live", view_func=live)
    asyncio.run(visit())

    assert "Set-Cookie" in refusals[0]


def test_only_our_sessions_are_saved() -> None:
    """An interface that is wrapped wrongly hears of it."""
    interface, app = FlaskInterface(memory_engine()), flask.Flask(__name__)

    with pytest.raises(ConfigError, match="SecureCookieSession"):
        interface.save_session(app, flask.sessions.SecureCookieSession(), flask.Response())
    assert issubclass(FlaskSession, dict)


# -- responses that were never saved ----------------------------------------------------------------


def audit_fails() -> None:
    raise RuntimeError("the audit mail could not be sent")


@pytest.mark.requirement("4")
@pytest.mark.parametrize("setting", ["default", "PROPAGATE_EXCEPTIONS", "TESTING", "DEBUG"])
@pytest.mark.parametrize("fails", ["handler", "after_request", "teardown_request"])
def test_a_logout_stands_whatever_fails_after_it(site_type: Site, setting: str, fails: str) -> None:
    """Where the interface is never asked to save: an error that is passed on, a failing hook."""
    engine = memory_engine()
    site = site_type(engine)
    if setting != "default":
        site.app.config[setting] = True

    def leave(session: Any) -> Any:
        session.logout()
        if fails == "handler":
            audit_fails()
        return "bye"

    if fails != "handler":
        site.app.after_request(lambda response: audit_fails() if site.handler is leave else response)
    if fails == "teardown_request":
        site.app.teardown_request(lambda error: audit_fails() if site.handler is leave else None)
    site.ask(lambda session: session.login("alice"))

    with suppress(RuntimeError):
        site.get(leave)

    assert engine.list_sessions("alice") == []


async def signed_in_to_quart(engine: SessionEngine, view: Any) -> None:
    """Have *view* answer a request of somebody who is signed in as ada."""
    app: Any = quart.Quart(__name__)
    app.session_interface = QuartInterface(engine)

    async def login() -> str:
        quart_session.login("ada")
        return ""

    app.add_url_rule("/login", view_func=login)
    app.add_url_rule("/view", view_func=view)
    client = app.test_client()
    await client.get("/login")
    await client.get("/view")


@pytest.mark.requirement("4")
@pytest.mark.parametrize("kind", ["sync", "async", "async, beside a save"])
def test_a_logout_in_a_stream_of_quart_stands(kind: str) -> None:
    """On a store that must be awaited; before the stream has ended, but where a save is under way."""
    engine = SessionEngine(new_secret(), AsyncBasicStore(), cookie=CookieOptions(secure=False))
    alive = list[bool]()
    handle = ""

    async def leave() -> Any:
        nonlocal handle
        session: Any = quart_session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        handle = session.handle

        def sync() -> Any:
            yield b"a"
            session.logout()
            yield b"b"

        async def asynchronous() -> Any:
            yield b"a"
            if kind != "async":
                session["n"] = 1
                saving = asyncio.create_task(session.asave())
                await asyncio.sleep(0)
            session.logout()
            yield b"b"
            if kind != "async":
                await saving

        return sync() if kind == "sync" else asynchronous()

    async def main() -> None:
        await signed_in_to_quart(engine, leave)
        alive.append(await engine.aget_session(handle) is not None)

    asyncio.run(main())

    assert handle
    assert alive == [False]


@pytest.mark.requirement("4")
def test_a_logout_that_the_store_refuses_is_tried_again_at_the_end_of_a_stream_of_quart() -> None:
    """Also where the stream goes on for long after it."""
    store = FlakyStore()
    engine = SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False))

    async def leave() -> Any:
        session: Any = quart_session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        assert session.user_id == "ada"

        async def chunks() -> Any:
            store.broken = {"delete"}
            session.logout()
            yield b"a"
            await mirror_of(session).visit.quiet()
            store.broken = set()
            yield b"b"

        return chunks()

    asyncio.run(signed_in_to_quart(engine, leave))

    assert engine.list_sessions("ada") == []


@pytest.mark.requirement("4", "66")
@pytest.mark.parametrize("setting", ["default", "PROPAGATE_EXCEPTIONS"])
@pytest.mark.parametrize("fails", ["handler", "503"])
def test_a_logout_by_fields_stands_where_the_request_fails(
    flask_login_site: FlaskSite, setting: str, fails: str
) -> None:
    site = flask_login_site
    site.app.config[setting] = True
    sign_in(site, "alice")

    def leave(session: Any) -> Any:
        flask_login.logout_user()
        if fails == "handler":
            audit_fails()
        return "unavailable", 503

    with suppress(RuntimeError):
        site.get(leave)

    assert site.ask(seen) == (None, None)
    assert site.interface.engine_for(site.app).list_sessions("alice") == []


@pytest.mark.requirement("4")
def test_logout_during_an_outage_denies_the_session(site_type: Site) -> None:
    """It needs nothing that was read."""
    store = FlakyStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.ask(lambda session: session.login("alice"))
    store.broken = {"get", "update", "delete"}

    response = site.get(lambda session: session.logout() or "bye")
    store.broken = set()

    assert response.status_code == 503
    assert site.ask(lambda session: session.user_id) is None
