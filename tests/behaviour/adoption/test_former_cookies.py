"""Cookies of a former system: their spellings, their places, what they may hold and who may see it."""

from __future__ import annotations

import traceback
from contextlib import closing
from typing import Any

import pytest

from fluidauth import ConfigError, CookieOptions, Lifetime, MemoryStore, Session, SessionEngine, StoreError
from fluidauth.adoption import Adopted
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import ADA, DAY, OldSystem, whoami
from tests.support import AsyncBasicStore, Browser, FlakyStore, Protocol, state_of

REQUEST = ("environ", "scope", "message", "self", "task", "cookie", "messages", "cookie_header", "receive")
"""Local variables that are the request itself, or the test's."""


class Signed(OldSystem):
    """Signs its cookies, in a way that has many spellings: its sessions are named before a dot."""

    def identity(self, value: str) -> str | None:
        name, _, signature = value.partition(".")
        return name if signature.lower() == "genuine" else None

    def read(self, value: str) -> Adopted | None:
        return super().read(value.partition(".")[0])


@pytest.mark.requirement("21", "63")
def test_each_spelling_of_an_old_cookie_is_one_session(protocol: Protocol) -> None:
    """A logout under one ends it under all; and no store is asked for a forged one."""
    store = FlakyStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store, adopt=[Signed()]))
    browser.request(whoami, cookie_header="old=ada.genuine")

    others = ("old=ada.Genuine", "old=ada.GENUINE")
    seen = [browser.with_cookie(None).get(whoami, cookie_header=other) for other in others]
    browser.request(Session.logout)
    left = [browser.with_cookie(None).get(whoami, cookie_header=other) for other in others]
    store.calls.clear()
    forged = browser.with_cookie(None).get(whoami, cookie_header="old=ada.forged; old=ada.forged2")

    assert seen == [ADA, ADA]
    assert left == [(None, {}), (None, {})]
    assert forged == (None, {})
    assert store.calls == []


@pytest.mark.requirement("63")
def test_an_expired_session_stays_expired(browser: Browser, old: OldSystem, clock: FakeClock) -> None:
    """The old cookie may be good for longer than ours."""
    kept = dict(old.sessions)
    browser.request(whoami, cookie_header="old=ada")
    old.sessions = kept
    clock.advance(DAY)

    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


def test_a_genuine_cookie_of_ours_comes_first(browser: Browser, old: OldSystem) -> None:
    browser.request(lambda session: session.login("bob"))

    assert browser.get(whoami, cookie_header=f"old=ada; {browser.name}={browser.cookie}") == ("bob", {})
    assert "ada" in old.sessions


def test_the_same_name_and_place_need_no_second_cookie(
    store: Any, protocol: Protocol, old: OldSystem
) -> None:
    old.cookie = CookieOptions("session", secure=False)
    engine = SessionEngine(new_secret(), store, adopt=[old], cookie=CookieOptions(secure=False))
    browser = Browser(protocol, engine)

    response = browser.request(whoami, cookie_header="session=ada")

    assert [line.partition("=")[0] for line in response.set_cookies] == ["session"]
    assert browser.get(whoami) == ADA


def test_the_same_name_elsewhere_is_removed_there(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """A browser keeps both apart by path and domain."""
    old.cookie = CookieOptions("session", secure=False, path="/app")
    engine = SessionEngine(new_secret(), store, adopt=[old], cookie=CookieOptions(secure=False))

    response = Browser(protocol, engine).request(whoami, cookie_header="session=ada")

    assert ["Max-Age=0" in line for line in response.set_cookies] == [False, True]
    assert "path=/app" in response.set_cookies[1]


def test_a_lifetime_may_be_given(browser: Browser) -> None:
    response = browser.request(lambda session: session.set_lifetime(Lifetime(60)), cookie_header="old=ada")

    assert "Max-Age=60;" in response.set_cookies[0]
    assert browser.get(whoami) == ADA


@pytest.mark.requirement("62")
@pytest.mark.parametrize(
    "found", [Adopted({"x": object()}), Adopted({"x": float("nan")}), Adopted({}, ""), Adopted({}, "u" * 256)]
)
def test_old_session_that_cannot_be_kept_is_none(
    browser: Browser, old: OldSystem, events: list[SessionEvent], found: Adopted
) -> None:
    """No page is an error for as long as that cookie lasts, and who has it can sign in and out."""
    old.sessions["odd"] = found

    assert browser.get(whoami, cookie_header="old=odd") == (None, {})
    assert browser.request(Session.logout, cookie_header="old=odd").status == 200
    assert events[0].reason == "unstorable"


@pytest.mark.requirement("62")
def test_old_session_that_is_too_large_is_none(
    browser: Browser, old: OldSystem, events: list[SessionEvent]
) -> None:
    """Who has such a cookie sees each page as nobody and can sign in; no page is an error."""
    old.sessions["large"] = Adopted({"text": "x" * 70_000}, "ada")

    assert browser.get(whoami, cookie_header="old=large") == (None, {})
    assert [(event.name, event.reason) for event in events] == [("cookie_rejected", "too_large")]
    browser.request(lambda session: session.login("ada"), cookie_header="old=large")
    assert browser.get(whoami, cookie_header=f"old=large; {browser.name}={browser.cookie}") == ("ada", {})


@pytest.mark.requirement("62")
def test_nothing_of_an_old_cookie_is_shown(browser: Browser) -> None:
    shown = browser.get(
        lambda session: (session.user_id, repr(state_of(session).adoption)), cookie_header="old=ada"
    )

    assert shown == ("ada", "<Adoption old>")


@pytest.mark.parametrize("adopt", ["old", [object()], [OldSystem(), OldSystem()], OldSystem()])
def test_wrong_adopters_are_refused(adopt: Any) -> None:
    with pytest.raises(ConfigError, match="adopt"):
        SessionEngine(new_secret(), "memory://", adopt=adopt)


# -- the time for which they come in ---------------------------------------------------------------


@pytest.mark.requirement("59")
def test_an_old_cookie_is_in_no_traceback_of_an_outage(old: OldSystem, protocol: Protocol) -> None:
    """It opens the session, here and there."""
    old.down = True
    cookie = "the-old-cookie-of-ada"
    store = MemoryStore() if protocol == "wsgi" else AsyncBasicStore()  # which is read ahead, and awaited
    with closing(SessionEngine(new_secret(), store, adopt=[old])) as engine:
        browser = Browser(protocol, engine, on_store_error="raise")
        error = browser.request(whoami, cookie_header=f"old={cookie}", catch=True).error
    assert isinstance(error, StoreError)

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    shown = [repr(value) for frame in frames for name, value in frame.f_locals.items() if name not in REQUEST]
    assert [text for text in shown if cookie in text] == []
