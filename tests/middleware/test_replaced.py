"""What an application, or another middleware, puts in the place of our session is understood or refused."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from litestar.types import Empty
from starlette.middleware.sessions import Session as StarlettesSession

from fluidauth import PayloadError, Session, SessionClosed, SessionEvent
from fluidauth.session.faces import view_of
from fluidauth.session.session import visit_of
from fluidauth.testing import memory_engine
from tests.support import Browser, FlakyStore, each_store

pytestmark = pytest.mark.requirement("71")


# One that is read at once, and one that has to be waited for: what is kept is the same for all.
store = each_store("memory", "redis")


def put(found: Any) -> Callable[[Session], None]:
    """Return a handler that puts *found* where its request has the session."""

    def handler(session: Session) -> None:
        visit = visit_of(session)
        visit.request[visit.key] = found

    return handler


def who(session: Session) -> Any:
    return session.user_id, dict(session)


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.request(lambda session: session.login("ada", {"a": [1], "b": 2}))
    return browser


@pytest.mark.parametrize(
    "fields",
    [
        {"a": [1], "c": 3},
        OrderedDict(a=[1], c=3),
        MappingProxyType({"a": [1], "c": 3}),
        type("Mine", (dict,), {})(a=[1], c=3),
    ],
    ids=lambda fields: type(fields).__name__,
)
def test_fields_in_our_place_replace_those_of_the_session(ada: Browser, fields: Any) -> None:
    """And nothing else: who is signed in stays so, under the same cookie."""
    cookie = ada.cookie

    response = ada.request(put(fields))

    assert (response.set_cookies, ada.cookie) == ([], cookie)
    assert response.all("vary") == ["Cookie"]
    assert ada.get(who) == ("ada", {"a": [1], "c": 3})


def test_fields_in_our_place_begin_a_session(browser: Browser) -> None:
    response = browser.request(put({"a": 1}))

    assert len(response.set_cookies) == 1
    assert response.all("cache-control") == ["no-store"]
    assert browser.get(who) == (None, {"a": 1})


def test_a_dict_in_our_place_may_change_while_the_body_is_sent(ada: Browser) -> None:
    fields: dict[str, Any] = {"a": 1}

    ada.request(put(fields), later=lambda session: fields.update(b=[2]))

    assert ada.get(who) == ("ada", {"a": 1, "b": [2]})


NOTHING: list[Any] = [None, Empty, {}, OrderedDict()]


@pytest.mark.requirement("4")
@pytest.mark.parametrize("nothing", NOTHING, ids=lambda nothing: type(nothing).__name__)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_nothing_in_our_place_is_a_logout(ada: Browser, nothing: Any, status: int) -> None:
    """Of who is signed in, and however the response ends."""
    copied = ada.twin()

    response = ada.request(put(nothing), status=status)

    assert "Max-Age=0" in response.set_cookies[0]
    assert copied.get(who) == (None, {})


@pytest.mark.requirement("4")
@pytest.mark.parametrize("nothing", NOTHING, ids=lambda nothing: type(nothing).__name__)
def test_nothing_in_our_place_is_a_logout_of_a_request_that_fails(ada: Browser, nothing: Any) -> None:
    def handler(session: Session) -> None:
        put(nothing)(session)
        raise ZeroDivisionError

    copied = ada.twin()
    assert isinstance(ada.request(handler, catch=True).error, ZeroDivisionError)
    assert copied.get(who) == (None, {})


@pytest.mark.requirement("4")
@pytest.mark.parametrize("nothing", NOTHING, ids=lambda nothing: type(nothing).__name__)
def test_nothing_in_our_place_while_the_body_is_sent_is_a_logout(ada: Browser, nothing: Any) -> None:
    copied = ada.twin()
    ada.request(len, later=put(nothing))

    assert copied.get(who) == (None, {})


@pytest.mark.requirement("4")
def test_nothing_in_our_place_needs_no_read(flaky: Browser) -> None:
    """As any logout."""
    store: FlakyStore = flaky.engine.requests.store  # type: ignore[assignment]  # a fixture made it
    copied = flaky.twin()
    store.broken.add("get")

    flaky.request(put(None))
    store.broken.clear()

    assert copied.get(who) == (None, {})


@pytest.mark.parametrize("nothing", NOTHING, ids=lambda nothing: type(nothing).__name__)
def test_nothing_in_our_place_ends_the_session_of_nobody(browser: Browser, nothing: Any) -> None:
    browser.request(lambda session: session.update(a=1))

    response = browser.request(put(nothing))

    assert "Max-Age=0" in response.set_cookies[0]
    assert browser.get(who) == (None, {})


@pytest.mark.requirement("20")
@pytest.mark.parametrize("nothing", NOTHING, ids=lambda nothing: type(nothing).__name__)
def test_nothing_in_our_place_of_who_has_no_session_is_nothing(browser: Browser, nothing: Any) -> None:
    response = browser.request(put(nothing))

    assert response.set_cookies == []
    assert browser.engine.clean() == 0


JUNK = [42, "ada", ["a"], object(), Session]


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: type(junk).__name__)
def test_what_is_no_session_is_an_error_in_the_place_of_the_response(ada: Browser, junk: Any) -> None:
    """A success would say that something was stored."""
    response = ada.request(put(junk), catch=True)

    holder = "environ['fluidauth.session']" if ada.protocol == "wsgi" else "scope['session']"
    kind = type(junk)
    assert isinstance(response.error, PayloadError)
    assert str(response.error) == (
        f"{holder} was set to a {kind.__module__}.{kind.__qualname__}, which is no session: put a dict of "
        "JSON values there, or None to clear the session"
    )
    assert response.status == 0  # no head has left: the server makes a 500 of it
    assert ada.get(who) == ("ada", {"a": [1], "b": 2})


@pytest.mark.parametrize("junk", [*JUNK, {"a": object()}], ids=lambda junk: type(junk).__name__)
def test_it_is_no_second_error_where_the_response_tells_of_one(ada: Browser, junk: Any) -> None:
    """As a framework's own page of a 500, or what the handler raised."""

    def fails(session: Session) -> None:
        put(junk)(session)
        raise ZeroDivisionError

    assert ada.request(put(junk), status=500).status == 500
    assert isinstance(ada.request(fails, catch=True).error, ZeroDivisionError)
    assert ada.get(who) == ("ada", {"a": [1], "b": 2})


def test_values_that_are_not_json_are_named(ada: Browser) -> None:
    response = ada.request(put({"a": {"b": object()}}), catch=True)

    assert isinstance(response.error, PayloadError)
    assert "session['a']['b'] is a object" in str(response.error)
    assert ada.get(who) == ("ada", {"a": [1], "b": 2})


def test_what_is_no_session_while_the_body_is_sent_is_an_error_as_well(ada: Browser) -> None:
    """The head has left; the server tells of it, and cuts the body where it can."""
    with pytest.raises(PayloadError):
        ada.request(len, later=put(42))


def test_our_session_under_another_face_is_ours(ada: Browser) -> None:
    def handler(session: Session) -> None:
        put(view_of(session))(session)
        session["c"] = 3

    ada.request(handler)

    assert ada.get(who) == ("ada", {"a": [1], "b": 2, "c": 3})


def test_a_session_of_an_earlier_request_is_its_fields(ada: Browser) -> None:
    """It is over, so nothing can come of it but them."""
    kept: list[Session] = []
    ada.request(lambda session: kept.append(session) or len(session))  # type: ignore[func-returns-value]  # None

    other = ada.with_cookie(None)
    other.request(put(kept[0]))

    assert other.get(who) == (None, {"a": [1], "b": 2})
    with pytest.raises(SessionClosed):
        kept[0]["late"] = 1


def test_another_middlewares_session_is_told_once_and_left_alone(
    protocol: Any, events: list[SessionEvent], caplog: pytest.LogCaptureFixture
) -> None:
    """Ours is as it was, whatever stands in its place: as in an application that is mounted in ours."""
    ada = Browser(protocol, memory_engine(on_event=events.append))
    ada.request(lambda session: session.login("ada", {"a": 1}))
    name = "starlette.middleware.sessions.SessionMiddleware"

    def handler(session: Session) -> None:
        session["b"] = 2
        put(StarlettesSession({"theirs": 1}))(session)

    with caplog.at_level(logging.WARNING, "fluidauth"):
        for _ in range(3):
            ada.request(handler)

    assert ada.get(who) == ("ada", {"a": 1, "b": 2})
    assert [event.reason for event in events if event.name == "session_replaced"] == [name]
    assert caplog.messages == [
        f"{name} is inside of fluidauth's middleware and replaces our session by its own. Remove it, unless "
        "it is for a part of the application that does not use our sessions"
    ]


class TheirSession:
    """One that nobody has heard of: it can be saved."""

    def save(self) -> None: ...


def test_one_that_nobody_has_heard_of_is_told_by_its_class(protocol: Any, events: list[SessionEvent]) -> None:
    browser = Browser(protocol, memory_engine(on_event=events.append))

    browser.request(put(TheirSession()))

    assert [event.reason for event in events if event.name == "session_replaced"] == [
        f"{__name__}.TheirSession"
    ]


def test_two_engines_under_one_name_are_told(protocol: Any, events: list[SessionEvent]) -> None:
    """In an environ, which layers share, the inner one has replaced the outer one's session."""
    ada = Browser(protocol, memory_engine(on_event=events.append))
    inner = Browser(protocol, memory_engine())
    inner.app.app, ada.app.app = ada.app.app, inner.app

    ada.request(lambda session: session.update(a=1))

    told = [event.reason for event in events if event.name == "session_replaced"]
    inside = "fluidauth.middleware.wsgi.WSGISessionMiddleware"
    assert told == ([inside] if protocol == "wsgi" else [])
