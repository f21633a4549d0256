"""One-time values: for one session and purpose, once, for a time."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import NotRedeemable
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.handlers import log_in
from tests.support import Browser, Protocol, state_of

from .asking import redeem

STATE = "oauth-state"


def issue(browser: Browser, data: Any = None, purpose: str = STATE, **options: Any) -> str:
    """Return a value that a request issued."""
    value: str = browser.get(lambda session: session.issue(purpose, data, **options))
    return value


@pytest.mark.requirement("80")
def test_a_value_is_redeemed_once(browser: Browser) -> None:
    """The second time it is refused, and the data comes back as it was."""
    value = issue(browser, {"next": "/cart", "nonce": [1, None, "ü"]})

    assert redeem(browser, STATE, value) == {"next": "/cart", "nonce": [1, None, "ü"]}
    assert redeem(browser, STATE, value) is NotRedeemable


@pytest.mark.requirement("80")
def test_a_value_is_for_one_purpose(browser: Browser) -> None:
    """What was issued for one thing does nothing else, and is still good for the first."""
    value = issue(browser, 1)

    assert redeem(browser, "e-mail", value) is NotRedeemable
    assert redeem(browser, STATE, value) == 1


@pytest.mark.requirement("80")
def test_a_value_is_for_one_session(browser: Browser) -> None:
    """A value that was planted in another browser opens nothing there."""
    value = issue(browser, 1)
    victim = browser.with_cookie(None)
    victim.request(log_in)

    assert redeem(victim, STATE, value) is NotRedeemable
    assert redeem(browser.with_cookie(None), STATE, value) is NotRedeemable
    assert redeem(browser, STATE, value) == 1


@pytest.mark.requirement("80")
def test_a_value_ends_with_its_time(browser: Browser, clock: FakeClock) -> None:
    """A second before the end it is good, and then it is not."""
    early, late = issue(browser, 1, ttl=60), issue(browser, 2, ttl=60)
    clock.advance(59)
    assert redeem(browser, STATE, early) == 1
    clock.advance(1)

    assert redeem(browser, STATE, late) is NotRedeemable


@pytest.mark.requirement("80")
@pytest.mark.parametrize("renew", [log_in, Session.regenerate], ids=["login", "regenerate"])
def test_a_value_goes_on_under_a_new_id(browser: Browser, renew: Any) -> None:
    """A login between the way there and the way back does not lose it."""
    value = issue(browser, 1)

    browser.request(renew)

    assert redeem(browser, STATE, value) == 1
    assert redeem(browser, STATE, value) is NotRedeemable


@pytest.mark.requirement("80")
def test_a_value_ends_with_the_session(browser: Browser) -> None:
    """After a logout, also of a copied cookie."""
    browser.request(log_in)
    value = issue(browser, 1)
    copied = browser.twin()

    browser.request(Session.logout)

    assert redeem(browser, STATE, value) is NotRedeemable
    assert redeem(copied, STATE, value) is NotRedeemable


@pytest.mark.requirement("80")
def test_nothing_goes_on_to_another_user(browser: Browser) -> None:
    """The next user at this browser cannot redeem what the last one was given."""
    browser.request(lambda session: session.login("ada"))
    value = issue(browser, 1)

    browser.request(lambda session: session.login("bob"))

    assert redeem(browser, STATE, value) is NotRedeemable

    def issues_too_early(session: Session) -> str:
        early = session.issue(STATE)
        session.login("cy")
        return early

    assert redeem(browser, STATE, browser.get(issues_too_early)) is NotRedeemable


@pytest.mark.requirement("80")
def test_two_tabs_have_values_of_their_own(browser: Browser) -> None:
    """Each tab began to sign in, and both come back."""
    first, second = issue(browser, "a"), issue(browser, "b")

    assert (redeem(browser, STATE, second), redeem(browser, STATE, first)) == ("b", "a")


@pytest.mark.requirement("80")
def test_of_many_values_the_oldest_gives_way(browser: Browser, clock: FakeClock) -> None:
    """So that a script that asks without end does not fill the session."""
    oldest = issue(browser, 0)
    clock.advance(1)

    def many(session: Session) -> list[str]:
        return [session.issue(STATE, number) for number in range(1, 51)]

    others = browser.get(many)

    assert redeem(browser, STATE, oldest) is NotRedeemable
    assert [redeem(browser, STATE, others[index]) for index in (0, 49)] == [1, 50]


@pytest.mark.requirement("80")
def test_a_redemption_survives_a_500(browser: Browser) -> None:
    """What the request does after it, or fails to do, brings the value not back."""
    value = issue(browser, 1)

    def fails(session: Session) -> Any:
        session["a"] = 1
        return session.redeem(STATE, value)

    async def afails(session: Session) -> Any:
        session["a"] = 1
        return await session.aredeem(STATE, value)

    assert browser.get(fails if browser.protocol == "wsgi" else afails, status=500) == 1
    assert browser.get(dict) == {}
    assert redeem(browser, STATE, value) is NotRedeemable


@pytest.mark.requirement("80")
def test_changes_beside_a_redemption_are_kept(browser: Browser) -> None:
    """The same request may write fields before and after, and issue another value."""
    browser.request(lambda session: session.update(a=0))
    value = issue(browser, 1)

    def handler(session: Session) -> Any:
        session["b"] = 1
        return session.redeem(STATE, value), session.issue(STATE, 2)

    async def ahandler(session: Session) -> Any:
        session["b"] = 1
        return await session.aredeem(STATE, value), await session.aissue(STATE, 2)

    found, another = browser.get(handler if browser.protocol == "wsgi" else ahandler)

    assert (found, browser.get(dict)) == (1, {"a": 0, "b": 1})
    assert redeem(browser, STATE, another) == 2


@pytest.mark.parametrize("value", [None, 7, "", "x", "ü" * 30, "a" * 600, "a" * 32, b"a" * 32])
def test_any_text_is_refused(protocol: Protocol, value: object) -> None:
    """Whatever a client sends, the answer is the same."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore()))
    issue(browser, 1)

    assert redeem(browser, STATE, value) is NotRedeemable
    assert browser.request(lambda session: session.redeem(STATE, value)).status == 400


def test_the_value_may_be_drawn_by_others(browser: Browser) -> None:
    """As the state of an OAuth client, which must be hard to guess."""
    drawn = "s" * 22

    assert issue(browser, 1, value=drawn) == drawn
    assert redeem(browser, STATE, drawn) == 1
    for bad in ("s" * 21, "ü" * 30, 7):
        with pytest.raises(ValueError, match="nobody can guess"):
            browser.request(lambda session, bad=bad: session.issue(STATE, value=bad))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("purpose", "data", "options", "error"),
    [
        (7, 1, {}, TypeError),
        ("", 1, {}, ValueError),
        ("p", {1}, {}, ValueError),
        ("p", 1, {"ttl": 0}, ValueError),
    ],
)
def test_what_cannot_be_issued(
    protocol: Protocol, purpose: Any, data: Any, options: Any, error: type[Exception]
) -> None:
    """The call says so, and stores nothing."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore()))

    with pytest.raises(error):
        browser.request(lambda session: session.issue(purpose, data, **options))
    assert browser.cookie is None


@pytest.mark.requirement("80")
def test_the_store_has_neither_value_nor_data(protocol: Protocol) -> None:
    """A stolen database yields nothing to redeem, and not what was kept for it."""
    store = MemoryStore()
    browser = Browser(protocol, SessionEngine(new_secret(), store))
    value = issue(browser, {"verifier": "a-secret-of-pkce"})
    (record,) = store.scan()

    assert value.encode() not in record.payload
    assert b"a-secret-of-pkce" not in record.payload
    assert b"oauth-state" not in record.payload


def test_a_value_is_no_field(browser: Browser) -> None:
    """The application sees no trace of it, and cannot clear it by accident."""
    value = issue(browser, 1)

    assert browser.get(dict) == {}
    browser.request(lambda session: session.update(a=1))
    browser.request(Session.clear)
    assert redeem(browser, STATE, value) == 1


def test_an_empty_session_of_a_value_is_kept(browser: Browser) -> None:
    """A visitor without fields gets a cookie, or could never come back."""
    issue(browser, 1)

    assert browser.cookie is not None
    assert browser.get(lambda session: state_of(session).record is not None)
