"""Flask and Quart: what their documentation says of sessions, their settings, and Flask's own tests."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import flask
import flask_login
import pytest
import quart
from flask.json.tag import JSONTag, TaggedJSONSerializer
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fluidauth import ConfigError, CookieOptions, MemoryStore, PayloadError, SessionEngine, StoreError
from fluidauth.errors import FreshLoginRequired, SessionClosed
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.flask.sessions import FlaskSession
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.quart import session as quart_session
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock, memory_engine

from ..support import AsyncBasicStore, FlakyStore
from .upstream import run_suite

NOT_APPLICABLE = {
    "test_session_using_samesite_attribute": "where nothing is set, SameSite=Lax is said all the same",
    "test_session_cookie_setting": "a permanent session's cookie is sent again when its expiry moved by a"
    " twentieth, not with each response, where a slow one could bring an old cookie back",
    "test_session_refresh_vary": "so a page that does not use the session says nothing of it",
}

Handler = Callable[[Any], Any]


class FlaskSite:
    """One page of a Flask application, and a browser on it."""

    def __init__(self, engine: SessionEngine | None = None, *, store: Any = None, **config: Any) -> None:
        self.app: Any = self.make_app()
        self.app.config.update(config)
        self.interface = self.interface_of(engine, store)
        self.app.session_interface = self.interface
        self.app.add_url_rule("/", view_func=self.page_of())
        self.client: Any = self.app.test_client()
        self.handler: Handler = bool
        self.value: Any = None

    def make_app(self) -> Any:
        return flask.Flask(__name__)

    def interface_of(self, engine: SessionEngine | None, store: Any) -> Any:
        return FlaskInterface(engine, store=store)

    def page_of(self) -> Any:
        def page() -> Any:
            self.value = self.handler(flask.session)
            return "page" if not isinstance(self.value, tuple) else self.value

        return page

    def get(self, handler: Handler) -> Any:
        """Return the response to a request in which *handler* is called with the session."""
        self.handler = handler
        return self.client.get("/")

    def ask(self, handler: Handler) -> Any:
        """Return what *handler* returned."""
        assert self.get(lambda session: [handler(session)]).status_code in (200, 500)
        return self.value[0]


class QuartSite(FlaskSite):
    def make_app(self) -> Any:
        return quart.Quart(__name__)

    def interface_of(self, engine: SessionEngine | None, store: Any) -> Any:
        return QuartInterface(engine, store=store)

    def page_of(self) -> Any:
        async def page() -> Any:
            self.value = self.handler(quart.session)
            return "page" if not isinstance(self.value, tuple) else self.value

        return page

    def get(self, handler: Handler) -> Any:
        self.handler = handler
        return asyncio.run(self.client.get("/"))


Site = type[FlaskSite]


@pytest.fixture(params=[FlaskSite, QuartSite], ids=["flask", "quart"])
def site_type(request: pytest.FixtureRequest) -> Site:
    return request.param  # type: ignore[no-any-return]  # pytest does not type it


@pytest.fixture
def site(site_type: Site) -> FlaskSite:
    return site_type(memory_engine())


# -- Flask's own tests ---------------------------------------------------------------------------


@pytest.mark.check
@pytest.mark.timeout(600)
def test_flasks_own_tests_pass() -> None:
    """The whole suite, but for what fails without us as well."""
    found = run_suite("flask", "flask_adapter", "tests")
    broken = run_suite("flask", "flask_adapter", "tests", canary=True)
    theirs = run_suite("flask", "untouched", "tests")

    assert found.failed - theirs.failed <= NOT_APPLICABLE.keys(), found.report
    assert len(found.passed - found.failed) > 300
    sessions = {name for name in found.passed if "session" in name or "flash" in name}
    assert len(sessions & broken.failed) >= 8, "the canary was not felt"


# -- what may be kept ----------------------------------------------------------------------------

VALUES = {
    "tuple": (1, "a", (2,)),
    "bytes": b"\x00\xff",
    "uuid": uuid.UUID(int=7),
    "time": datetime.datetime(2026, 5, 1, 12, 30, tzinfo=datetime.UTC),
    "markup": Markup("<b>bold</b>"),
    "tagged": {" t": "looks like a tag"},
    "deep": {"list": [(1, b"2"), {"id": uuid.UUID(int=8)}]},
    "plain": [1, 2.5, None, True, "text"],
}


@pytest.mark.parametrize("name", VALUES)
def test_flasks_types_survive(site: FlaskSite, name: str) -> None:
    site.ask(lambda session: session.update({name: VALUES[name]}))

    assert site.ask(lambda session: session[name]) == VALUES[name]
    assert type(site.ask(lambda session: session[name])) is type(VALUES[name])


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary()
    | st.uuids()
    | st.text().map(Markup)
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.just(" t"), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1), _TREES, max_size=4), st.data())
def test_it_keeps_what_flask_keeps(fields: dict[str, Any], data: st.DataObject) -> None:
    """Any values; and a change made deep inside of them, of which nobody tells."""
    site = FlaskSite(memory_engine())
    expected = {name: _as_flask_keeps_it(value) for name, value in fields.items()}
    site.ask(lambda session: session.update(fields))
    assert site.ask(dict) == expected

    lists = [name for name, value in expected.items() if isinstance(value, list)]
    if lists:
        name, item = data.draw(st.sampled_from(lists)), data.draw(_TREES)
        site.ask(lambda session: session[name].append(item))
        expected[name] = _as_flask_keeps_it([*expected[name], item])
    assert site.ask(dict) == expected


def _as_flask_keeps_it(value: Any) -> Any:
    serializer = flask.sessions.session_json_serializer
    return serializer.loads(serializer.dumps(value))


class Fraction(tuple[int, int]):
    pass


class TagFraction(JSONTag):
    key = " fraction"

    def check(self, value: Any) -> bool:
        return isinstance(value, Fraction)

    def to_json(self, value: Any) -> Any:
        return list(value)

    def to_python(self, value: Any) -> Any:
        return Fraction(value)


def test_an_application_may_teach_it_types(site: FlaskSite) -> None:
    """By a tag, as Flask's documentation has it."""
    site.interface.serializer = flask.json.tag.TaggedJSONSerializer()
    site.interface.serializer.register(TagFraction, index=0)

    site.ask(lambda session: session.update(half=Fraction((1, 2))))

    assert type(site.ask(lambda session: session["half"])) is Fraction


def test_what_cannot_be_kept_is_refused_where_it_is_set(site: FlaskSite) -> None:
    def refused(session: Any) -> str:
        with pytest.raises(PayloadError) as refusal:
            session["connection"] = object()
        return str(refusal.value)

    assert "session['connection']" in site.ask(refused)


def test_what_only_looks_like_a_tag_is_left_alone() -> None:
    """Another framework on the same store may keep it."""
    engine = memory_engine()
    site = FlaskSite(engine)
    token, _ = engine.create_session(None, {"id": {" u": "no uuid"}})
    site.client.set_cookie("session", token)

    assert site.ask(dict) == {"id": {" u": "no uuid"}}


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


def test_a_change_made_while_streaming_is_saved() -> None:
    """Of a session that has its cookie already; and what others changed meanwhile stays."""
    engine = memory_engine()
    site = FlaskSite(engine)

    def stream() -> Any:
        session: Any = flask.session
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


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"__Host-session", "path=/", "httponly", "samesite=lax", "secure"}),
        ({"SESSION_COOKIE_NAME": "sid"}, {"sid", "path=/", "httponly", "samesite=lax", "secure"}),
        (
            {"SESSION_COOKIE_DOMAIN": "localhost", "SESSION_COOKIE_SAMESITE": "Strict"},
            {
                "__Secure-session",
                "path=/",
                "httponly",
                "samesite=strict",
                "secure",
                "domain=localhost",
            },
        ),
        (
            {
                "SESSION_COOKIE_PATH": "/shop",
                "SESSION_COOKIE_HTTPONLY": False,
                "SESSION_COOKIE_PARTITIONED": True,
            },
            {"__Secure-session", "path=/shop", "samesite=lax", "secure", "partitioned"},
        ),
        (
            {"APPLICATION_ROOT": "/shop"},
            {"__Secure-session", "path=/shop", "httponly", "samesite=lax", "secure"},
        ),
    ],
)
def test_what_is_set_stands_over_the_engine(
    site_type: Site, config: dict[str, Any], expected: set[str]
) -> None:
    site = site_type(memory_engine(cookie=CookieOptions()), **config)

    pair, *attributes = site.get(lambda session: [session.update(n=1)]).headers["Set-Cookie"].split("; ")

    assert {pair.partition("=")[0], *attributes} == expected


def test_settings_are_read_at_each_request(site: FlaskSite) -> None:
    site.ask(lambda session: session.update(n=1))
    site.app.config["SESSION_COOKIE_NAME"] = "other"

    assert site.ask(dict) == {}
    with pytest.raises(ConfigError, match="same_site"):
        site.app.config.update(SESSION_COOKIE_SAMESITE="loose")
        site.interface.begin(site.app, "")


def test_permanent(site_type: Site) -> None:
    """Not, and the cookie ends with the browser; permanent, and it says when."""
    site = site_type(memory_engine(absolute_timeout=60 * 86_400), PERMANENT_SESSION_LIFETIME=3_600)

    def set_it(session: Any, permanent: bool) -> bool:
        session["n"], session.permanent = 1, permanent
        return bool(session.permanent)

    def keep(permanent: bool) -> str:
        response = site.get(lambda session: [set_it(session, permanent)])
        assert site.value == [permanent]
        return str(response.headers.get("Set-Cookie"))

    lines = [keep(False), keep(False), keep(True), keep(True), keep(False)]

    assert ["Max-Age=3600" in line and "expires=" in line for line in lines] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert [line == "None" for line in lines] == [False, True, False, True, False]


@pytest.mark.parametrize("refresh", [True, False])
def test_the_lifetime_of_a_permanent_session(site_type: Site, refresh: bool) -> None:
    """From the last request, or from the last change; the cookie keeps step."""
    clock = FakeClock()
    engine = memory_engine(clock=clock, absolute_timeout=60 * 86_400)
    site = site_type(engine, PERMANENT_SESSION_LIFETIME=3_600, SESSION_REFRESH_EACH_REQUEST=refresh)

    def sign_in(session: Any) -> None:
        session.permanent = True
        session.login("ada")

    site.ask(sign_in)
    clock.advance(3_000)
    cookie = site.get(lambda session: [session.user_id]).headers.get("Set-Cookie")
    clock.advance(700)
    after_reading = site.ask(lambda session: session.user_id)

    assert (after_reading, cookie is not None) == (("ada", True) if refresh else (None, False))

    site.ask(sign_in)
    clock.advance(3_000)
    cookie = site.get(lambda session: [session.update(n=1)]).headers.get("Set-Cookie")
    clock.advance(3_000)
    assert cookie is not None
    assert site.ask(lambda session: session.user_id) == "ada"


def test_an_engine_decides_where_nothing_is_set(site_type: Site) -> None:
    clock = FakeClock()
    site = site_type(memory_engine(clock=clock, idle_timeout=600))
    site.ask(lambda session: session.login("ada"))
    clock.advance(590)
    alive = site.ask(lambda session: session.user_id)
    clock.advance(600)

    assert (alive, site.ask(lambda session: session.user_id)) == ("ada", None)


# -- without an engine ---------------------------------------------------------------------------


def test_the_secret_key_of_the_application_serves(site_type: Site) -> None:
    """And a rotation by SECRET_KEY_FALLBACKS signs nobody out."""
    old, new = new_secret(), new_secret()
    site = site_type(store=MemoryStore(), SECRET_KEY=old)
    cookie = site.get(lambda session: [session.update(n=1)]).headers["Set-Cookie"]
    site.app.config.update(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old])
    found = site.ask(dict)
    site.app.config.update(SECRET_KEY_FALLBACKS=None)

    assert cookie.startswith("session=")
    assert found == {"n": 1}
    assert site.ask(dict) == {"n": 1}


def test_without_a_key_flask_explains(site_type: Site) -> None:
    def refused(session: Any) -> int:
        with pytest.raises(RuntimeError, match="secret key"):
            session["n"] = 1
        return len(session)

    assert site_type(store=MemoryStore()).ask(refused) == 0


def test_a_weak_key_is_refused_with_the_remedy(site_type: Site) -> None:
    site = site_type(store=MemoryStore(), SECRET_KEY="dev")

    with pytest.raises(ConfigError, match="new_secret"):
        site.interface.begin(site.app, "")
    with pytest.raises(ConfigError, match="not both"):
        site.interface_of(memory_engine(), MemoryStore())


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


def test_what_cannot_be_kept_deep_inside_fails_the_request(site: FlaskSite) -> None:
    """And changes nothing; a logout stands even then."""

    def spoil(session: Any) -> None:
        session["log"].append(object())

    def log_out_and_spoil(session: Any) -> None:
        session.logout()
        session["log"] = log = []
        log.append(object())

    site.ask(lambda session: session.login("ada", {"log": []}))
    assert site.get(spoil).status_code == 500
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {"log": []})
    assert site.get(log_out_and_spoil).status_code == 500
    assert site.ask(lambda session: session.user_id) is None


class FailingStore(MemoryStore):
    failing = ""

    def _refuse(self, what: str) -> None:
        if what == self.failing:
            raise StoreError("out of order")

    def get(self, handle: str) -> Any:
        self._refuse("get")
        return super().get(handle)

    def update(self, record: Any) -> bool:
        self._refuse("update")
        return super().update(record)


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_failing_store_is_a_503_and_costs_no_cookie(site_type: Site, verb: str) -> None:
    store = FailingStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.ask(lambda session: session.login("ada"))

    store.failing = verb
    failed = site.get(lambda session: [session.update(n=1)])
    store.failing = ""

    assert failed.status_code == 503
    assert "Set-Cookie" not in failed.headers
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {})


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_failing_store_may_raise_instead(site_type: Site, verb: str) -> None:
    """For applications with an error page of their own."""
    store = FailingStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.interface.responds = False
    site.ask(lambda session: session.login("ada"))

    store.failing = verb
    failed = site.get(lambda session: [session.update(n=1)])
    store.failing = ""

    assert failed.status_code == 500
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {})


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
def test_any_store_serves(site_type: Site, kind: str, tmp_path: Any) -> None:
    """A remote one is read ahead in Quart, where nothing may wait."""
    from ..support import opened

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


@pytest.mark.requirement("4")
@pytest.mark.parametrize("kind", ["sync", "async", "async, beside a save"])
def test_a_logout_in_a_stream_of_quart_stands(kind: str) -> None:
    """On a store that must be awaited; before the stream has ended, but where a save is under way."""
    engine = SessionEngine(new_secret(), AsyncBasicStore(), cookie=CookieOptions(secure=False))
    app: Any = quart.Quart(__name__)
    alive = list[bool]()
    app.session_interface = QuartInterface(engine)
    handle = ""

    async def login() -> str:
        quart_session.login("ada")
        return ""

    async def leave() -> Any:
        nonlocal handle
        session: Any = quart.session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
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

    app.add_url_rule("/login", view_func=login)
    app.add_url_rule("/leave", view_func=leave)

    async def main() -> None:
        client = app.test_client()
        await client.get("/login")
        await client.get("/leave")
        alive.append(await engine.aget_session(handle) is not None)

    asyncio.run(main())

    assert handle
    assert alive == [False]


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


@pytest.mark.requirement("62")
def test_a_former_cookie_is_known_by_the_applications_own_name() -> None:
    """The line that changes logs nobody out, whatever the cookie is called."""
    secret = new_secret()
    former = flask.Flask(__name__)
    former.config.update(SECRET_KEY=secret, SESSION_COOKIE_NAME="shop", SESSION_COOKIE_PATH="/")
    signing = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(former)
    assert signing is not None
    site = FlaskSite(store=MemoryStore(), SECRET_KEY=secret, SESSION_COOKIE_NAME="shop")
    site.client.set_cookie("shop", signing.dumps({"_user_id": "ada"}))

    assert site.ask(lambda session: session.user_id) == "ada"
    assert site.ask(lambda session: session.user_id) == "ada"


class Counting(TaggedJSONSerializer):
    """Counts the characters that it writes."""

    written = 0

    def dumps(self, value: Any) -> str:
        text = super().dumps(value)
        self.written += len(text)
        return text


@pytest.mark.requirement("43")
def test_appending_in_a_loop_takes_linear_time(site: FlaskSite) -> None:
    """So does adding beside long lists, and asking who is signed in."""

    def written(count: int) -> int:
        site.interface.serializer = serializer = Counting()

        def grow(session: Any) -> None:
            session["long"] = list(range(count))
            for number in range(count):
                session.append("items", {"n": number})
                session.add("n")
                assert session.user_id is None

        site.ask(grow)
        site.ask(lambda session: session.clear())
        return serializer.written

    assert written(400) < 6 * written(100)


@pytest.mark.requirement("4")
def test_a_logout_during_an_outage_lets_nobody_in(site_type: Site) -> None:
    """It needs nothing that was read."""
    store = FlakyStore()
    site = site_type(SessionEngine(new_secret(), store, cookie=CookieOptions(secure=False)))
    site.ask(lambda session: session.login("alice"))
    store.broken = {"get", "update", "delete"}

    response = site.get(lambda session: session.logout() or "bye")
    store.broken = set()

    assert response.status_code == 503
    assert site.ask(lambda session: session.user_id) is None


# -- Flask-Login, which knows nothing of us --------------------------------------------------------------


class Somebody(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture
def flask_login_site() -> FlaskSite:
    site = FlaskSite(store=MemoryStore(), SECRET_KEY=new_secret(), PERMANENT_SESSION_LIFETIME=600)
    manager = flask_login.LoginManager(site.app)
    manager.user_loader(Somebody)
    return site


def seen(session: Any) -> tuple[str | None, str | None]:
    """Return who is signed in, as Flask-Login and as the session say."""
    user = flask_login.current_user
    return user.id if user.is_authenticated else None, session.user_id


def sign_in(site: FlaskSite, name: str) -> None:
    site.ask(lambda session: flask_login.login_user(Somebody(name)))


@pytest.mark.requirement("66")
def test_flask_logins_user_is_the_sessions(flask_login_site: FlaskSite) -> None:
    """Signing in gives a new id, to be listed and revoked; signing out ends it, and so for the next user."""
    site = flask_login_site
    engine = site.interface.engine_for(site.app)
    handles = []
    site.ask(lambda session: session.update(cart=("tea",)))
    for name in ("alice", "bob"):
        handles.append(site.ask(lambda session: session.handle))
        sign_in(site, name)
        assert site.ask(seen) == (name, name)
        assert [info.user_id for info in engine.list_sessions(name)] == [name]
        handles.append(site.ask(lambda session: session.handle))
        site.ask(lambda session: flask_login.logout_user())
        assert site.ask(seen) == (None, None)
        assert engine.list_sessions(name) == []
    assert site.ask(lambda session: session["cart"]) == ("tea",)
    assert len(set(handles)) == 4
    assert all(engine.get_session(handle) is None for handle in handles[:3])

    sign_in(site, "eve")
    assert site.ask(lambda session: session.expires_at - session.created_at) <= 600
    assert engine.revoke_user("eve") == 1
    assert site.ask(seen) == (None, None)
