"""``SessionEngine(user_key=…)``: who writes that field signs in, who removes it signs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import ConfigError, NotSupported, SessionClosed
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import whoami
from tests.handlers import current_user
from tests.support import Browser, Protocol


@pytest.fixture
def by_field(
    store: Any, protocol: Protocol, clock: FakeClock, events: list[SessionEvent]
) -> Iterator[Browser]:
    """Nobody yet, in an application that keeps in ``user_id`` who is signed in."""
    with closing(
        SessionEngine(new_secret(), store, user_key="user_id", clock=clock, on_event=events.append)
    ) as engine:
        yield Browser(protocol, engine)


def signs_in(user_id: object, **fields: Any) -> Any:
    return lambda session: session.update(user_id=user_id, **fields)


def signs_out(session: Session) -> None:
    session.pop("user_id", None)


def revoked(engine: SessionEngine, user_id: str) -> int:
    """Return how many sessions of *user_id* ended; 1 where the store cannot tell."""
    try:
        return engine.revoke_user(user_id)
    except NotSupported:
        return 1


@pytest.mark.requirement("3")
@pytest.mark.requirement("66")
def test_a_sign_in_by_the_field_has_a_new_id(by_field: Browser, clock: FakeClock) -> None:
    """Session fixation: who planted the cookie from before the login has nothing; the cart goes along."""
    by_field.request(lambda session: session.update(cart=["tea"]))
    planted = by_field.twin()

    by_field.request(signs_in(7))

    assert by_field.get(whoami) == ("7", {"cart": ["tea"], "user_id": 7})
    assert by_field.get(lambda session: session.auth_time) == int(clock.now)
    assert planted.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_sign_out_everywhere_finds_who_signed_in_by_the_field(by_field: Browser) -> None:
    other = by_field.with_cookie(None)
    for browser in (by_field, other):
        browser.request(signs_in(7))

    with suppress(NotSupported):
        assert len(by_field.engine.list_sessions("7")) == 2
        assert by_field.engine.revoke_user("7") == 2
        assert by_field.get(whoami) == other.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_removing_the_field_is_a_logout(by_field: Browser) -> None:
    """What this request wrote goes on under a new id, as a message to show; the rest was the user's."""
    by_field.request(signs_in("7", mail="ada@example.com", notes=["seen"]))
    copied = by_field.twin()

    def leave(session: Session) -> None:
        signs_out(session)
        session["message"] = "goodbye"
        session["notes"].append("left")

    by_field.request(leave)

    assert by_field.get(whoami) == (None, {"message": "goodbye", "notes": ["left"]})
    assert copied.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_a_login_as_another_user_carries_nothing_over(by_field: Browser) -> None:
    """Nothing that was the first user's, also changed inside; what this request set is the second's."""
    by_field.request(signs_in(7, mail="ada@example.com", cart={"tea": 1}, seen=1))

    def switch(session: Session) -> None:
        session["cart"]["milk"] = 2
        session.add("seen", 1)
        session.update(user_id=8, theme="dark")

    by_field.request(switch)

    assert by_field.get(whoami) == ("8", {"user_id": 8, "theme": "dark", "seen": 1})


@pytest.mark.requirement("66")
def test_a_sign_in_after_clear_is_one_login(by_field: Browser) -> None:
    """As Flask's tutorial signs in."""
    by_field.request(signs_in(7, mail="ada@example.com"))
    copied = by_field.twin()

    def tutorial(session: Session) -> None:
        session.clear()
        session["user_id"] = 8

    response = by_field.request(tutorial)

    assert len(response.set_cookies) == 1
    assert by_field.get(whoami) == ("8", {"user_id": 8})
    assert copied.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_a_failed_request_signs_nobody_in_but_out(by_field: Browser) -> None:
    by_field.request(signs_in(7), status=500)
    assert by_field.get(current_user) is None

    by_field.request(signs_in(7))
    by_field.request(signs_in(8), status=500)
    assert by_field.get(current_user) == "7"

    by_field.request(signs_out, status=500)
    assert by_field.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_a_sign_in_after_the_head_is_refused(by_field: Browser) -> None:
    """No cookie can carry the new id; who was signed in stays, and is not somebody else in the fields."""
    by_field.request(signs_in(7))

    with pytest.raises(SessionClosed, match="a sign-in by a field needs a Set-Cookie header"):
        by_field.request(whoami, later=signs_in(8))

    assert by_field.get(whoami) == ("7", {"user_id": 7})


@pytest.mark.requirement("66")
def test_a_sign_out_after_the_head_stands(by_field: Browser) -> None:
    by_field.request(signs_in(7))
    copied = by_field.twin()

    by_field.request(whoami, later=signs_out)

    assert copied.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_who_was_signed_in_before_the_field_was_named_is_found(
    store: Any, protocol: Protocol, clock: FakeClock
) -> None:
    """At the next change: listed, to be revoked, and with no time of login, nor more time than was left."""
    secret = new_secret()
    with closing(SessionEngine(secret, store, clock=clock)) as former:
        browser = Browser(protocol, former)
        browser.request(signs_in(7))
        cookie = browser.cookie
        clock.advance(1000)
        engine = SessionEngine(secret, store, user_key="user_id", clock=clock)
        browser = Browser(protocol, engine).with_cookie(cookie)

        browser.request(lambda session: session.update(seen=1))

        assert browser.get(whoami) == ("7", {"user_id": 7, "seen": 1})
        assert browser.get(lambda session: session.auth_time) is None
        assert browser.cookie != cookie
        clock.advance(engine.policy.lifetime.absolute_seconds - 1000)
        assert browser.get(whoami) == (None, {})


@pytest.mark.requirement("66")
@pytest.mark.parametrize(
    ("user_key", "fields"),
    [
        (("account", "user_id"), {"user_id": 7}),
        (["account", "user_id"], {"account": "7", "user_id": 8}),
        (lambda fields: fields.get("user", {}).get("sub"), {"user": {"sub": "7", "name": "Ada"}}),
        (lambda fields: fields.get("user", {}).get("id"), {"user": {"id": 7}}),
        ("_user_id", {"_user_id": "7"}),
    ],
)
def test_the_field_may_be_one_of_several_or_found_by_a_function(
    protocol: Protocol, user_key: Any, fields: dict[str, Any]
) -> None:
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore(), user_key=user_key))
    browser.request(lambda session: session.update(cart=1))
    planted = browser.twin()

    browser.request(lambda session: session.update(fields))

    assert browser.get(current_user) == "7"
    assert planted.get(current_user) is None


@pytest.mark.requirement("66")
def test_flask_logins_field_counts_unless_it_is_switched_off(protocol: Protocol) -> None:
    by_default = Browser(protocol, SessionEngine(new_secret(), MemoryStore()))
    switched_off = Browser(protocol, SessionEngine(new_secret(), MemoryStore(), user_key=None))

    for browser in (by_default, switched_off):
        browser.request(lambda session: session.update(_user_id="7"))

    assert (by_default.get(current_user), switched_off.get(current_user)) == ("7", None)


@pytest.mark.parametrize("value", [True, 1.5, {"id": 7}, [7], ""])
def test_a_value_that_names_nobody_is_told(value: Any) -> None:
    """And nothing is stored of it."""
    browser = Browser("wsgi", SessionEngine(new_secret(), MemoryStore(), user_key="user_id"))

    error = browser.request(signs_in(value), catch=True).error

    assert isinstance(error, TypeError | ValueError)
    assert "user" in str(error)
    assert browser.get(whoami) == (None, {})


@pytest.mark.parametrize("user_key", ["", ("a", ""), {"a"}, 7, b"user_id", ("a", 1)])
def test_a_user_key_that_is_none_is_refused(user_key: Any) -> None:
    with pytest.raises(ConfigError, match="must be the name of a field, several, or a function"):
        SessionEngine(new_secret(), MemoryStore(), user_key=user_key)


Step = tuple[str, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("in"), st.sampled_from(["7", "8"])),
        st.tuples(st.just("out"), st.none()),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("put"), st.sampled_from(["a", "b"])),
        st.tuples(st.just("login"), st.sampled_from(["7", "8"])),
        st.tuples(st.just("logout"), st.none()),
    ),
    max_size=4,
)


def _do(session: Session, steps: list[Step], owner: str) -> None:
    for what, value in steps:
        if what == "in":
            session["user_id"] = value
        elif what == "out":
            session.pop("user_id", None)
        elif what == "clear":
            session.clear()
        elif what == "put":
            session[value] = owner
        elif what == "login":
            session.login(value, {"user_id": value})
            break  # which counts more than what a field says in the same request
        else:
            session.logout()


@given(requests=st.lists(STEPS, max_size=4))
def test_fields_of_one_user_never_reach_another(requests: list[list[Step]]) -> None:
    """Whatever an application does: fields and record name the same user, and an old cookie is dead."""
    browser = Browser("wsgi", SessionEngine(new_secret(), MemoryStore(), user_key="user_id"))
    secret_of: dict[str, str] = {}
    for number, steps in enumerate(requests):
        before, former = browser.get(current_user), browser.twin()
        browser.request(lambda session, n=number, s=steps: _do(session, s, f"request {n}"))  # type: ignore[misc]
        user, fields = browser.get(whoami)

        assert fields.get("user_id") == user
        for name in ("a", "b"):
            if name in fields and fields[name] in secret_of:
                assert secret_of[fields[name]] in (user, None)
            if name in fields and fields[name] == f"request {number}":
                secret_of[fields[name]] = user
        if user != before and former.cookie is not None:
            assert former.get(whoami) == (None, {})
