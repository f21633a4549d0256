"""Sessions of Flask and Quart: their attributes, and Flask's helpers."""

from __future__ import annotations

import asyncio
from typing import Any

import flask
import pytest

from fluidauth.errors import FreshLoginRequired
from fluidauth.integrations.flask import session as flask_session
from fluidauth.testing import memory_engine
from tests.integrations.flask.sites import FlaskSite

# -- its attributes ------------------------------------------------------------------------------


def test_new_modified_accessed(site: FlaskSite) -> None:
    def look(session: Any) -> tuple[bool, bool, bool]:
        before = session.modified
        session["n"] = session.get("n", 0) + 1
        return session.new, before, session.modified

    assert site.ask(look) == (True, False, True)
    assert site.ask(look) == (False, False, True)
    assert site.ask(lambda session: session["n"] and session.modified) is False
    assert site.get(lambda session: [session["n"]]).headers["Vary"] == "Cookie"


def test_changes_may_be_dropped(site: FlaskSite) -> None:
    def change_and_drop(session: Any) -> None:
        session["n"] = 2
        session.modified = False

    site.ask(lambda session: session.update(n=1))
    site.ask(change_and_drop)

    assert site.ask(lambda session: session["n"]) == 1


def test_sid_opens_nothing(site: FlaskSite) -> None:
    """It is the handle, as everywhere; the cookie's value stays with the browser."""
    response = site.get(lambda session: [session.update(n=1)])
    sid = site.ask(lambda session: session.sid)

    assert len(sid) == 64
    assert sid not in response.headers["Set-Cookie"]


def test_a_page_that_asks_for_no_session_gets_no_header(site: FlaskSite) -> None:
    site.app.add_url_rule("/plain", view_func=lambda: "plain", endpoint="plain")
    site.ask(lambda session: session.update(n=1))
    response = site.client.get("/plain")
    headers = (asyncio.run(response) if asyncio.iscoroutine(response) else response).headers

    assert "Vary" not in headers
    assert "Set-Cookie" not in headers


def test_a_session_does_all_that_ours_does(site: FlaskSite) -> None:
    """login, add, append, regenerate, require_fresh, logout."""
    site.ask(lambda session: session.update(cart=("tea",)))
    site.ask(lambda session: session.login("ada", {"since": b"now"}))
    first = site.ask(lambda session: (session.user_id, session.is_authenticated, session.handle))
    site.ask(lambda session: [session.add("n", 2), session.append("log", (1,)), session.regenerate()])

    def look(session: Any) -> tuple[Any, ...]:
        session.require_fresh(60)
        return dict(session), session.handle == first[2]

    assert first[:2] == ("ada", True)
    assert site.ask(look) == ({"cart": ("tea",), "since": b"now", "n": 2, "log": [(1,)]}, False)
    site.ask(lambda session: session.logout())

    def refused(session: Any) -> Any:
        with pytest.raises(FreshLoginRequired):
            session.require_fresh(60)
        return session.user_id, dict(session)

    assert site.ask(refused) == (None, {})


def test_a_change_made_before_a_login_is_kept(site: FlaskSite) -> None:
    """Values of Flask's types, that the application holds on to."""

    def sign_in(session: Any) -> bool:
        session["cart"] = cart = [("tea",)]
        session.login("ada")
        cart.append(("cup",))
        return session["cart"] is cart

    assert site.ask(sign_in) is True
    assert site.ask(lambda session: session["cart"]) == [("tea",), ("cup",)]


# -- helpers of Flask ----------------------------------------------------------------------------


def test_flashes_are_shown_once() -> None:
    site = FlaskSite(memory_engine())

    site.ask(lambda session: flask.flash("saved", "info"))

    assert site.ask(lambda session: flask.get_flashed_messages(with_categories=True)) == [("info", "saved")]
    assert site.ask(lambda session: flask.get_flashed_messages()) == []


def test_a_test_changes_the_session() -> None:
    """``session_transaction()`` of the test client, for a session that is there and one that is not."""
    site = FlaskSite(memory_engine())
    for turn in (1, 2):
        with site.client.session_transaction() as session:
            session["turns"] = (*session.get("turns", ()), turn)

    assert site.ask(lambda session: session["turns"]) == (1, 2)


def test_handlers_and_blueprints_see_one_session() -> None:
    site = FlaskSite(memory_engine())
    shop = flask.Blueprint("shop", __name__, url_prefix="/shop")

    def count() -> None:
        flask.session["n"] = flask.session.get("n", 0) + 1

    def tell(response: flask.Response) -> flask.Response:
        flask.session["last"] = response.status_code
        return response

    @shop.get("/")
    def page() -> dict[str, Any]:
        return dict(flask.session)

    site.app.before_request(count)
    site.app.after_request(tell)
    site.app.register_blueprint(shop)

    assert site.client.get("/shop/").json == {"n": 1}
    assert site.client.get("/shop/").json == {"n": 2, "last": 200}


@pytest.mark.requirement("67")
def test_what_changes_after_modified_was_read_is_saved(site: FlaskSite) -> None:
    """To ask whether anything changed ends nothing."""

    def handler(session: Any) -> bool:
        session["a"] = 1
        asked = bool(session.modified)
        session["b"] = [2]
        return asked

    assert site.ask(handler) is True
    assert site.ask(dict) == {"a": 1, "b": [2]}


@pytest.mark.requirement("67")
def test_changes_to_a_session_that_was_ended_meanwhile_are_dropped_and_the_response_is_whole() -> None:
    engine = memory_engine()
    site = FlaskSite(engine)
    site.ask(lambda session: session.update(n=1))

    def handler(session: Any) -> str:
        session["a"] = 5
        assert session.modified
        session["b"] = [1]
        engine.delete_session(session.handle)
        return "whole"

    assert site.ask(handler) == "whole"
    assert site.ask(dict) == {}


def test_a_change_made_while_streaming_is_saved() -> None:
    """Of a session that has its cookie already; and what others changed meanwhile stays."""
    engine = memory_engine()
    site = FlaskSite(engine)

    def stream() -> Any:
        session: Any = flask_session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        session["log"].copy()
        with engine.edit(session.handle) as other:
            other["log"].append("another request")
        session["seen"] = True

        def chunks() -> Any:
            yield "a"
            session["n"] = 2
            yield "b"

        return flask.Response(flask.stream_with_context(chunks()))

    site.app.add_url_rule("/stream", view_func=stream)
    site.ask(lambda session: session.update(n=1, log=[]))

    assert site.client.get("/stream", buffered=True).data == b"ab"
    assert site.ask(dict) == {"n": 2, "seen": True, "log": ["another request"]}
