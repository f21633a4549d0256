"""Logins that a page of another origin makes."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import MemoryStore, SessionEngine
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.handlers import current_user, put
from tests.support import Browser, Protocol

from .conftest import EVIL, HOST, OURS, SIBLING

NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
LOGINS = [
    pytest.param("POST", {"Sec-Fetch-Site": "same-origin"}, True, True, id="our form"),
    pytest.param("POST", {}, True, True, id="no browser"),
    pytest.param("POST", {"Origin": OURS}, True, True, id="our form in an old browser"),
    pytest.param("POST", {**NAVIGATION, "Origin": EVIL}, False, False, id="a form of another site"),
    pytest.param("POST", {"Origin": EVIL}, False, False, id="that in an old browser"),
    pytest.param("POST", {"Origin": "null"}, False, False, id="a form in a sandbox"),
    pytest.param("POST", {"Sec-Fetch-Site": "same-site", "Origin": SIBLING}, False, False, id="a sibling's"),
    pytest.param("GET", NAVIGATION, True, False, id="the way back from a provider"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Site": "none"}, True, True, id="a link in a mail program"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Site": "same-origin"}, True, True, id="our link"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}, False, False, id="a frame"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Dest": "frame"}, False, False, id="a frame of old"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Dest": "fencedframe"}, False, False, id="a fenced frame"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Dest": "embed"}, False, False, id="an embedded page"),
    pytest.param("GET", {**NAVIGATION, "Sec-Fetch-Dest": "object"}, False, False, id="an object"),
    pytest.param(
        "GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        False, False, id="an image",
    ),
    pytest.param(
        "GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        False, False, id="a script",
    ),
    pytest.param(
        "GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        True, True, id="a frame of ours",
    ),
    pytest.param("GET", {"Origin": EVIL}, False, False, id="a script in an old browser"),
]  # fmt: skip


@pytest.mark.requirement("75")
@pytest.mark.parametrize("cookie", [True, False], ids=["with a cookie", "without a cookie"])
@pytest.mark.parametrize(("method", "headers", "by_default", "strictly"), LOGINS)
def test_who_may_sign_in(
    browser: Browser, cookie: bool, method: str, headers: dict[str, str], by_default: bool, strictly: bool
) -> None:
    """A page of another site signs nobody in, but a navigation may, unless the call forbids it."""
    if cookie and method == "GET":  # a POST with a cookie is refused before
        browser.request(put(a=1))
    request: Any = {"method": method, "sent": {**HOST, **headers}}
    own, strict, checked = (browser.twin() for _ in range(3))

    assert own.request(lambda s: s.login("ada"), **request).status == (200 if by_default else 403)
    assert (own.get(current_user) == "ada") is by_default
    strict.request(lambda s: s.login("ada", cross_site=False), **request)
    assert (strict.get(current_user) == "ada") is strictly
    checked.request(lambda s: s.login("ada", cross_site=True), **request)
    assert checked.get(current_user) == "ada"


@pytest.mark.requirement("75")
@pytest.mark.parametrize("value", ["no", "same-origin", 0, 1, ()])
def test_a_login_takes_no_other_word_for_it(browser: Browser, value: Any) -> None:
    """Text that means no would switch the check off."""
    with pytest.raises(TypeError, match="cross_site="):
        browser.request(lambda session: session.login("ada", cross_site=value))
    assert browser.cookie is None


@pytest.mark.requirement("75")
def test_a_login_by_a_field_is_one(protocol: Protocol) -> None:
    """An application that signs in by a field is guarded as well; the field is not kept."""
    engine = SessionEngine(new_secret(), MemoryStore(), cross_origin="block", user_key="uid")
    browser = Browser(protocol, engine)

    response = browser.request(put(uid="ada"), method="POST", sent={**HOST, "Origin": EVIL})

    assert (response.status, browser.cookie) == (403, None)
    browser.request(put(uid="ada"), method="POST", sent={**HOST, "Origin": OURS})
    assert browser.get(current_user) == "ada"


@pytest.mark.requirement("75")
@pytest.mark.parametrize(("mode", "signs_in"), [("report", True), ("off", True), ("block", False)])
def test_the_modes_of_a_login(protocol: Protocol, mode: Any, signs_in: bool) -> None:
    """A call that forbids it is obeyed in each of them."""
    events: list[SessionEvent] = []
    engine = SessionEngine(new_secret(), MemoryStore(), cross_origin=mode, on_event=events.append)
    request: Any = {"method": "POST", "sent": {**HOST, "Origin": EVIL}}
    browser = Browser(protocol, engine)

    browser.request(lambda s: s.login("ada"), **request)
    strict = browser.with_cookie(None)

    assert (browser.get(current_user) == "ada") is signs_in
    assert [event.reason for event in events if event.name == "cross_origin"] == ["login"] * (mode != "off")
    assert strict.request(lambda s: s.login("ada", cross_site=False), **request).status == 403


@pytest.mark.requirement("75")
def test_an_exempt_route_may_sign_in(browser: Browser) -> None:
    """As the one to which a provider posts its answer."""
    request: Any = {"method": "POST", "path": "/saml/acs", "sent": {**HOST, "Origin": EVIL}}

    browser.request(lambda session: session.login("ada"), **request)

    assert browser.get(current_user) == "ada"
