"""Sessions of a former system go on as ours, each once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from fluidauth import Keyring, MemoryStore, Session, SessionEngine
from fluidauth.errors import FreshLoginRequired
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from tests.behaviour.adoption.former_system import ADA, DAY, Between, OldSystem, sessions_of_ada, whoami
from tests.behaviour.sign_in.asking import redeem, refused, take_flashes
from tests.support import Browser, Protocol, apart


def nothing(session: Session) -> None:
    """Do as a page that needs no session."""


@pytest.mark.requirement("63")
def test_an_old_session_goes_on_under_a_fresh_id(
    browser: Browser, old: OldSystem, events: list[SessionEvent]
) -> None:
    """Its fields and its user; the old cookie is removed where it was, and the old system forgets it."""
    response = browser.request(whoami, cookie_header="old=ada")

    assert response.value == ADA
    assert browser.get(whoami) == ADA
    ours, theirs = response.set_cookies
    assert ours.startswith("__Host-session=1.")
    assert theirs.startswith("old=; path=/app; Max-Age=0; expires=Thu, 01 Jan 1970")
    assert "domain=example.org" in theirs
    assert old.sessions.keys() == {"anon"}
    assert [(event.name, event.reason, event.user_id) for event in events] == [
        ("session_adopted", "old", "ada")
    ]
    assert sessions_of_ada(browser.engine) == 1


def test_changes_of_the_first_request_count(browser: Browser) -> None:
    browser.request(lambda session: session["cart"].append("cup"), cookie_header="old=ada")

    assert browser.get(whoami) == ("ada", {"cart": ["tea", "cup"]})


@pytest.mark.requirement("80")
def test_what_the_first_request_issues_is_kept(browser: Browser) -> None:
    """A value, a message and the token of a form, as in any other request."""

    def first(session: Session) -> tuple[str, str]:
        session.flash("welcome")
        return session.issue("state", 7), session.csrf_token()

    value, token = browser.get(first, cookie_header="old=ada")

    assert refused(browser, lambda session: session.check_csrf_token(token)) is None
    assert take_flashes(browser) == [("message", "welcome")]
    assert redeem(browser, "state", value) == 7


@pytest.mark.requirement("49")
def test_a_token_of_the_request_that_renews_it(browser: Browser) -> None:
    """It is one of the session that goes on."""

    def first(session: Session) -> str:
        session.regenerate()
        return session.csrf_token()

    token = browser.get(first, cookie_header="old=ada")

    assert refused(browser, lambda session: session.check_csrf_token(token)) is None


@pytest.mark.requirement("78")
@pytest.mark.parametrize("renew", [None, Session.regenerate], ids=["as it is", "under another id"])
def test_the_first_request_ends_all_others(protocol: Protocol, old: OldSystem, renew: Any) -> None:
    """A password can be changed in it, too."""
    engine = SessionEngine(new_secret(), MemoryStore(), adopt=[old])
    browser = Browser(protocol, engine)
    engine.create_session("ada")

    def first(session: Session) -> None:
        if renew is not None:
            renew(session)
        session.keep_only_this()

    browser.request(first, cookie_header="old=ada")

    assert browser.get(whoami) == ADA
    assert len(engine.list_sessions("ada")) == 1


def test_adopted_login_is_not_fresh(browser: Browser) -> None:
    def refused(session: Session) -> bool:
        with pytest.raises(FreshLoginRequired):
            session.require_fresh(DAY)
        return session.is_authenticated

    assert browser.get(refused, cookie_header="old=ada") is True
    assert browser.get(refused) is True


def test_page_without_a_session_adopts_nothing(browser: Browser, old: OldSystem) -> None:
    response = browser.request(nothing, cookie_header="old=ada")

    assert response.set_cookies == []
    assert "ada" in old.sessions


@pytest.mark.requirement("62")
@pytest.mark.parametrize("value", ["forged", "", "a" * 4_000, "1." + "x" * 64, "\x00", "é"])
def test_cookie_that_the_old_system_refuses_is_not_adopted(
    browser: Browser, value: str, events: list[SessionEvent]
) -> None:
    response = browser.request(whoami, cookie_header=f"old={value}")

    assert response.value == (None, {})
    assert response.set_cookies == []
    assert [event.reason for event in events] == ["old_system"] * bool(value)


@pytest.mark.requirement("63")
def test_adoption_with_a_lost_response_is_repeated(browser: Browser) -> None:
    """Who comes with the old cookie again gets the same session, and its cookie."""
    first = browser.request(whoami, cookie_header="old=ada")
    browser.request(lambda session: session.update(n=2))
    again = browser.request(whoami, cookie_header="old=ada")

    assert again.value == ("ada", {"cart": ["tea"], "n": 2})
    assert again.set_cookies == first.set_cookies


@pytest.mark.requirement("63")
def test_two_tabs_take_over_one_session(browser: Browser) -> None:
    """Both at once, each with a change of its own."""

    def slow(session: Session) -> None:
        session["slow"] = True
        apart(partial(tab.request, lambda other: other.update(fast=True), cookie_header="old=ada"))

    tab = browser.twin()
    browser.request(slow, cookie_header="old=ada")

    assert tab.cookie == browser.cookie
    assert browser.get(whoami) == ("ada", {"cart": ["tea"], "slow": True, "fast": True})
    assert sessions_of_ada(browser.engine) == 1


@pytest.mark.requirement("63")
def test_another_user_signs_in_and_takes_nothing(browser: Browser) -> None:
    browser.request(lambda session: session.login("bob"), cookie_header="old=ada")

    assert browser.get(whoami) == ("bob", {})
    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("63")
def test_two_servers_adopting_at_once_make_one_session(protocol: Protocol, old: OldSystem) -> None:
    """The marker decides which of their ids lives; who lost joins."""
    store, keys = Between(), [new_secret(), new_secret()]
    first = Browser(protocol, SessionEngine(keys, store, adopt=[old]))
    second = Browser(protocol, SessionEngine(keys[::-1], store, adopt=[old]))

    def slow(session: Session) -> None:
        assert whoami(session) == ADA
        store.meanwhile = partial(apart, partial(second.request, whoami, cookie_header="old=ada"))

    first.request(slow, cookie_header="old=ada")

    assert first.get(whoami) == second.get(whoami) == ADA
    assert sessions_of_ada(second.engine) == 1


@pytest.mark.parametrize("status", [200, 500])
def test_a_failed_request_takes_nothing_over(browser: Browser, old: OldSystem, status: int) -> None:
    """The next one does; a logout stands all the same."""
    browser.request(whoami, cookie_header="old=ada", status=status)

    assert ("ada" in old.sessions) is (status == 500)
    if status == 500:
        browser.request(lambda session: session.logout(), cookie_header="old=ada", status=500)
    else:
        browser.request(lambda session: session.logout())
    assert browser.get(whoami, cookie_header="old=ada") == (None, {})


@pytest.mark.requirement("62")
def test_an_old_store_that_is_down_is_a_503(browser: Browser, old: OldSystem) -> None:
    """And no logout."""
    old.down = True
    failed = browser.request(whoami, cookie_header="old=ada")
    old.down = False

    assert failed.status == 503
    assert failed.set_cookies == []
    assert browser.get(whoami, cookie_header="old=ada") == ADA


def test_an_old_store_that_cannot_forget_costs_nothing(
    browser: Browser, old: OldSystem, events: list[SessionEvent]
) -> None:
    def go_down(session: Session) -> str | None:
        old.down = True
        return session.user_id

    assert browser.get(lambda session: (session.user_id, go_down(session)), cookie_header="old=ada")
    assert browser.get(whoami) == ADA
    assert ("store_error", "forget") in [(event.name, event.reason) for event in events]


def test_adoption_survives_a_rotation_of_the_secret(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """The same old cookie leads to the same session under the next key, and to nothing without the first."""
    first, second = new_secret(), new_secret()
    Browser(protocol, SessionEngine(first, store, adopt=[old])).request(whoami, cookie_header="old=ada")

    rotated = Browser(protocol, SessionEngine([second, first], store, adopt=[old]))
    assert rotated.get(whoami, cookie_header="old=ada") == ADA
    assert rotated.get(whoami) == ADA
    without = Browser(protocol, SessionEngine(second, store, adopt=[old]))
    assert without.get(whoami, cookie_header="old=ada") == (None, {})
    assert without.with_cookie(rotated.cookie).get(whoami) == ADA


@pytest.mark.requirement("63")
def test_two_servers_adopting_during_a_rotation_make_one_session(
    store: Any, protocol: Protocol, old: OldSystem
) -> None:
    """Each makes another id; the marker decides, who lost joins, and nothing is left of the other."""
    first, second = new_secret(), new_secret()
    slow = Browser(protocol, SessionEngine([first, second], store, adopt=[old]))
    fast = Browser(protocol, SessionEngine([second, first], store, adopt=[old]))

    def beside(session: Session) -> None:
        assert session.user_id == "ada"
        apart(partial(fast.request, whoami, cookie_header="old=ada"))

    slow.request(beside, cookie_header="old=ada")
    assert slow.get(lambda session: session.handle) == fast.get(lambda session: session.handle)
    assert slow.get(whoami, cookie_header="old=ada") == ADA
    assert sessions_of_ada(fast.engine) == 1


@pytest.mark.requirement("63")
def test_a_revoked_key_brings_nothing_back(store: Any, protocol: Protocol, old: OldSystem) -> None:
    """What was under it is over, and the old cookie was used."""
    secret = new_secret()
    kept = dict(old.sessions)
    Browser(protocol, SessionEngine(secret, store, adopt=[old])).request(whoami, cookie_header="old=ada")
    old.sessions = kept

    ring = Keyring.from_secrets(new_secret())
    assert Browser(protocol, SessionEngine(ring, store, adopt=[old])).get(
        whoami, cookie_header="old=ada"
    ) == (None, {})
