"""How the user authenticated, when, and what a page may demand of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluidauth import Lifetime, MemoryStore, Session, SessionEngine
from fluidauth.errors import FreshLoginRequired
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.handlers import log_in
from tests.support import Browser, Protocol, Response, each_store

from .asking import refused

store = each_store("memory", "sqlite", "basic")


def sign_in(session: Session) -> None:
    session.login("ada", methods=("pwd", "otp"))


@pytest.fixture
def pages(protocol: Protocol, clock: FakeClock) -> Browser:
    """A browser on an application that has a page of sign-in."""
    return Browser(protocol, SessionEngine(new_secret(), MemoryStore(), clock=clock, login_url="/login"))


@pytest.mark.requirement("77")
def test_a_login_notes_how_and_when(browser: Browser, clock: FakeClock) -> None:
    """Each method has its time, which a confirmation of one moves, and only of that."""
    begun = int(clock.now)
    browser.request(sign_in)
    clock.advance(100)

    browser.request(lambda session: session.confirm(("otp",)))

    assert browser.get(lambda s: (s.methods, s.auth_time)) == (
        {"pwd": begun, "otp": begun + 100},
        begun + 100,
    )


@pytest.mark.requirement("77")
@pytest.mark.parametrize(
    ("demand", "after", "passes"),
    [
        pytest.param({}, 10_000, True, id="any login"),
        pytest.param({"within": 300}, 300, True, id="fresh"),
        pytest.param({"within": 300}, 301, False, id="stale"),
        pytest.param({"method": "otp"}, 10_000, True, id="by a method, some time"),
        pytest.param({"method": "hwk"}, 0, False, id="by another method"),
        pytest.param({"method": ("hwk", "otp")}, 0, True, id="by one of two"),
        pytest.param({"within": 300, "method": "otp"}, 300, True, id="lately by a method"),
        pytest.param({"within": 300, "method": "otp"}, 301, False, id="by a method, but long ago"),
    ],
)
def test_what_a_page_may_demand(
    protocol: Protocol, clock: FakeClock, demand: Any, after: int, passes: bool
) -> None:
    """An authentication at the right time, by the right method."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore(), clock=clock, idle_timeout=None))
    browser.request(sign_in)
    clock.advance(after)

    assert refused(browser, lambda session: session.require(**demand)) is (
        None if passes else FreshLoginRequired
    )


@pytest.mark.requirement("77")
def test_a_fresh_login_is_not_a_fresh_method(browser: Browser, clock: FakeClock) -> None:
    """A password that was given again does not make the code of yesterday fresh."""
    browser.request(sign_in)
    clock.advance(301)
    browser.request(lambda session: session.confirm(("pwd",)))

    assert refused(browser, lambda session: session.require(within=300)) is None
    assert refused(browser, lambda session: session.require(300, "otp")) is FreshLoginRequired


@pytest.mark.requirement("77")
@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(Session.regenerate, id="a new id"),
        pytest.param(lambda session: session.update(amr={"hwk": 1}, methods={"hwk": 1}), id="a field"),
        pytest.param(lambda session: session.confirm(), id="a confirmation by nothing said"),
        pytest.param(lambda session: session.set_lifetime(Lifetime(86_400)), id="a longer life"),
        pytest.param(lambda session: session.keep_only_this(), id="the end of others"),
    ],
)
def test_nothing_else_raises_a_level(
    protocol: Protocol, full_store: Any, nothing: Callable[[Session], object]
) -> None:
    """Only an authentication that says so does."""
    browser = Browser(protocol, SessionEngine(new_secret(), full_store))
    browser.request(sign_in)

    browser.request(nothing)

    assert sorted(browser.get(lambda session: session.methods)) == ["otp", "pwd"]
    assert refused(browser, lambda session: session.require(method="hwk")) is FreshLoginRequired


@pytest.mark.requirement("77")
@pytest.mark.parametrize("who", ["ada", "bob"])
def test_another_login_begins_anew(browser: Browser, who: str) -> None:
    """Also of the same user: what was proven before does not count for it."""
    browser.request(sign_in)

    browser.request(lambda session: session.login(who, methods=("pwd",)))

    assert [*browser.get(lambda session: session.methods)] == ["pwd"]


@pytest.mark.requirement("77")
def test_a_visitor_has_no_method(browser: Browser) -> None:
    """Before the login, and after the logout."""
    assert browser.get(lambda session: session.methods) == {}
    assert refused(browser, lambda session: session.require()) is FreshLoginRequired
    browser.request(sign_in)
    browser.request(Session.logout)
    assert browser.get(lambda session: session.methods) == {}


# -- the answer -------------------------------------------------------------------------


@pytest.mark.requirement("77")
def test_the_answer_says_what_is_wanted(pages: Browser) -> None:
    """By the parameters of RFC 9470, so that a client can ask for just that."""
    pages.request(log_in)

    response = pages.request(lambda session: session.require(within=300, method=("otp", "hwk")))

    assert response.status == 401
    assert response.all("www-authenticate") == [
        'Session error="insufficient_user_authentication", max_age="300", acr_values="otp hwk"'
    ]


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Host": "shop.test"}


def demanded(pages: Browser, **request: Any) -> Response:
    return pages.request(lambda session: session.require(within=1, method="otp"), **request)


@pytest.mark.requirement("77")
@pytest.mark.parametrize(
    ("request_", "location"),
    [
        pytest.param({"path": "/e-mail"}, "/login?next=%2Fe-mail", id="a page"),
        pytest.param({"path": "/ä b"}, "/login?next=%2F%25C3%25A4%2520b", id="a path to be quoted"),
        pytest.param({"path": "//evil.test/x"}, "/login", id="a path that leads away"),
        pytest.param(
            {"method": "POST", "path": "/e-mail", "referer": "https://shop.test/form?a=1"},
            "/login?next=%2Fform%3Fa%3D1",
            id="a form leads back to its page",
        ),
        pytest.param(
            {"method": "POST", "path": "/e-mail", "referer": "https://evil.test/form"},
            "/login",
            id="a form of another site leads nowhere",
        ),
        pytest.param({"method": "POST", "path": "/e-mail"}, "/login", id="a form that hides its page"),
        pytest.param(
            {"method": "POST", "path": "/e-mail", "referer": "https://[::"}, "/login", id="no address at all"
        ),
    ],
)
def test_a_page_leads_to_the_page_of_sign_in(pages: Browser, request_: Any, location: str) -> None:
    """And from there back to where the user was. Nothing is sent twice without the user."""
    request_ = dict(request_)
    sent = {**NAVIGATION, **({"Referer": request_.pop("referer")} if "referer" in request_ else {})}
    if pages.protocol == "wsgi" and "path" in request_:
        request_["path"] = request_["path"].encode("utf-8").decode("latin-1")  # PEP 3333

    response = demanded(pages, sent=sent, **request_)

    assert (response.status, response.all("location")) == (303, [location])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, 401),
        ({"Accept": "application/json"}, 401),
        ({}, 401),
        ({"Accept": "text/html,*/*"}, 303),
    ],
)
def test_a_script_gets_an_answer_that_it_can_read(pages: Browser, sent: dict[str, str], status: int) -> None:
    """Only what loads a page is led to another one."""
    assert demanded(pages, sent=sent).status == status


def test_without_a_page_of_sign_in_it_is_401(browser: Browser) -> None:
    """As it was before."""
    assert demanded(browser, sent=NAVIGATION).status == 401


@pytest.mark.parametrize("methods", ["pwd", ("pwd", 7), 7, None])
def test_methods_are_a_tuple_of_text(browser: Browser, methods: Any) -> None:
    """One string would be taken for its letters."""
    with pytest.raises(TypeError):
        browser.request(lambda session: session.login("ada", methods=methods))
    assert browser.cookie is None


@pytest.mark.parametrize("methods", [("",), ("a b",), ('a"',), ("a\n",), tuple("abcdefghijklmnopq")])
def test_names_of_methods_are_words(browser: Browser, methods: Any) -> None:
    """They go into a header."""
    with pytest.raises(ValueError, match="method"):
        browser.request(lambda session: session.login("ada", methods=methods))


@pytest.mark.parametrize("nothing", [(), [], set(), ""])
def test_a_demand_names_a_method(browser: Browser, nothing: Any) -> None:
    """An empty list of a configuration would open the page to every level."""
    browser.request(log_in)

    with pytest.raises(ValueError, match="method"):
        browser.request(lambda session: session.require(method=nothing))
