"""``SessionEngine(user_key=…)``: who writes that field signs in, who removes it signs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import Lifetime, MemoryStore, Session, SessionEngine, StoreError
from fluidauth.errors import ConfigError, NotSupported, SessionClosed
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import whoami
from tests.handlers import current_user
from tests.middleware.test_replaced import put
from tests.support import Browser, FlakyStore, Protocol, each_store

store = each_store("memory", "sqlite", "postgres", "redis")


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

    with pytest.raises(SessionClosed, match="a login by a field needs a Set-Cookie header"):
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


@pytest.mark.parametrize("value", [True, 1.5, {"id": 7}, [7], "\0"])
def test_a_value_that_names_nobody_is_told(value: Any) -> None:
    """And nothing is stored of it."""
    browser = Browser("wsgi", SessionEngine(new_secret(), MemoryStore(), user_key="user_id"))

    error = browser.request(signs_in(value), catch=True).error

    assert isinstance(error, TypeError | ValueError)
    assert "user" in str(error)
    assert browser.get(whoami) == (None, {})


@pytest.mark.parametrize("user_key", ["", ("a", ""), {"a"}, 7, b"user_id", ("a", 1)])
def test_a_user_key_that_is_none_is_refused(user_key: Any) -> None:
    with pytest.raises(ConfigError, match="must be one or more field names, or a function"):
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


# -- what an attack found ----------------------------------------------------------------------


@pytest.fixture
def by_dict(protocol: Protocol) -> Browser:
    """An application that keeps a dict of the user, found by a function that does not look twice."""
    engine = SessionEngine(new_secret(), MemoryStore(), user_key=lambda fields: fields["user"]["sub"])
    return Browser(protocol, engine)


@pytest.mark.requirement("66")
def test_a_function_that_finds_nothing_to_look_into_finds_nobody(by_dict: Browser) -> None:
    """A visitor's cart is no error, and a logout is one."""
    by_dict.request(lambda session: session.update(cart=1))
    by_dict.request(lambda session: session.update(user={"sub": "7"}))
    assert by_dict.get(current_user) == "7"
    copied = by_dict.twin()

    by_dict.request(Session.clear)

    assert copied.get(current_user) is None


@pytest.mark.requirement("66")
@pytest.mark.parametrize("inside", [False, True])
def test_the_new_users_own_field_stays_whatever_it_is(by_dict: Browser, inside: bool) -> None:
    """Set anew where a dict stood, or changed inside of it."""
    by_dict.request(lambda session: session.update(user={"sub": "7", "mail": "of 7"}, card="of 7"))

    def switch(session: Session) -> None:
        if inside:
            session["user"].update(sub="8", mail="of 8")
        else:
            session["user"] = {"sub": "8"}

    by_dict.request(switch)

    user, fields = by_dict.get(whoami)
    assert (user, fields["user"]["sub"], fields.get("card")) == ("8", "8", None)


@pytest.mark.requirement("66")
def test_what_the_new_login_set_stays_though_it_is_as_before(by_field: Browser) -> None:
    by_field.request(signs_in(7, tenant="acme", role="admin", cart=[1]))

    by_field.request(signs_in(8, tenant="acme", cart=[1]))

    assert by_field.get(whoami) == ("8", {"user_id": 8, "tenant": "acme", "cart": [1]})


@pytest.mark.requirement("66")
def test_the_second_of_several_fields_stays_where_it_names_the_user(protocol: Protocol) -> None:
    engine = SessionEngine(new_secret(), MemoryStore(), user_key=("account", "user_id"))
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.update(account="7", user_id="8", card="of 7"))

    browser.request(lambda session: session.pop("account"))

    assert browser.get(whoami) == ("8", {"user_id": "8"})


@pytest.mark.requirement("66")
@pytest.mark.parametrize("nobody", ["", False, None])
def test_a_field_that_is_emptied_is_a_logout(by_field: Browser, nobody: Any) -> None:
    by_field.request(signs_in(7))
    copied = by_field.twin()

    by_field.request(signs_in(nobody))

    assert copied.get(current_user) is None
    assert by_field.get(current_user) is None


@pytest.mark.requirement("4")
@pytest.mark.requirement("66")
def test_a_logout_stands_whatever_the_field_holds_then(by_field: Browser) -> None:
    by_field.request(signs_in(7))
    copied = by_field.twin()

    def handler(session: Session) -> None:
        session.logout()
        session["user_id"] = 1.5

    assert isinstance(by_field.request(handler, catch=True).error, TypeError)
    assert copied.get(current_user) is None


@pytest.fixture
def unnamed(store: Any, protocol: Protocol, clock: FakeClock) -> Iterator[Browser]:
    """A session of 7 by its fields, stored before the field was named."""
    secret = new_secret()
    with closing(SessionEngine(secret, store, user_key=None, clock=clock)) as former:
        browser = Browser(protocol, former)
        month = Lifetime(absolute=30 * 24 * 3600, idle=None)
        browser.request(signs_in(7, card="of 7"))
        browser.request(lambda session: session.set_lifetime(month))
        engine = SessionEngine(secret, store, user_key="user_id", clock=clock)
        yield Browser(protocol, engine).with_cookie(browser.cookie)


@pytest.mark.requirement("66")
def test_nothing_of_who_was_not_named_yet_reaches_the_next(unnamed: Browser) -> None:
    unnamed.request(signs_in(8))

    assert unnamed.get(whoami) == ("8", {"user_id": 8})


@pytest.mark.requirement("66")
def test_who_was_not_named_yet_signs_out(unnamed: Browser) -> None:
    copied = unnamed.twin()

    unnamed.request(signs_out)

    assert copied.get(whoami) == unnamed.get(whoami) == (None, {})


@pytest.mark.requirement("8")
def test_to_be_named_moves_no_deadline(unnamed: Browser, clock: FakeClock) -> None:
    before = unnamed.get(lambda session: session.expires_at)
    clock.advance(5000)

    unnamed.request(lambda session: session.update(seen=1))

    assert unnamed.get(lambda session: (session.user_id, session.expires_at)) == ("7", before)


@pytest.mark.requirement("5")
def test_to_be_named_brings_nobody_back(unnamed: Browser) -> None:
    """A slower request that only writes, beside a logout."""
    other = unnamed.twin()

    def slow(session: Session) -> None:
        session["note"] = 1
        other.request(Session.logout)

    response = unnamed.request(slow)

    assert response.set_cookies == []
    assert unnamed.get(whoami) == (None, {})


@pytest.mark.requirement("66")
@pytest.mark.parametrize(("then", "user"), [(signs_out, None), (signs_in("7"), "7"), (signs_in("9"), "9")])
def test_a_sign_in_that_was_not_stored_may_be_taken_back(protocol: Protocol, then: Any, user: Any) -> None:
    """After a save that failed, and one that the application only looked at."""
    store = FlakyStore()
    engine = SessionEngine(new_secret(), store, user_key="user_id")
    browser = Browser(protocol, engine)
    browser.request(signs_in("7", card="of 7"))

    async def by_asgi(session: Session) -> None:
        session["user_id"] = "8"
        store.broken = {"replace", "update", "create"}
        with pytest.raises(StoreError):
            await session.asave()
        store.broken = set()
        then(session)

    def by_wsgi(session: Session) -> None:
        session["user_id"] = "8"
        store.broken = {"replace", "update", "create"}
        with pytest.raises(StoreError):
            session.save()
        store.broken = set()
        then(session)

    browser.request(by_wsgi if protocol == "wsgi" else by_asgi)

    found, fields = browser.get(whoami)
    assert (found, fields.get("user_id")) == (user, user)


@pytest.mark.requirement("66")
def test_a_dict_in_the_sessions_place_is_taken_in_once(protocol: Protocol) -> None:
    """Its fields of the first user do not come back when the response has ended."""
    engine = SessionEngine(new_secret(), MemoryStore(), user_key="user_id")
    browser = Browser(protocol, engine)
    browser.request(signs_in("7", card="of 7"))

    def switch(session: Session) -> None:
        put({**session, "user_id": "8"})(session)

    def leave(session: Session) -> None:
        put({name: value for name, value in session.items() if name != "user_id"})(session)

    browser.request(switch, later=lambda session: None)
    assert browser.get(whoami) == ("8", {"user_id": "8"})
    copied = browser.twin()
    browser.request(leave, later=lambda session: None)
    assert browser.get(whoami) == copied.get(whoami) == (None, {})


@pytest.mark.requirement("67")
def test_a_dict_in_the_sessions_place_takes_nothing_of_others_back(browser: Browser) -> None:
    """Neither when the head leaves, nor when the response has ended; what it becomes meanwhile is kept."""
    browser.request(lambda session: session.update(a=1))
    other = browser.twin()
    mine: dict[str, Any] = {}

    def handler(session: Session) -> None:
        mine.update(session, b=2)
        put(mine)(session)
        other.request(lambda theirs: theirs.update(note=1))

    browser.request(handler, later=lambda session: mine.update(c=3))

    assert browser.get(dict) == {"a": 1, "b": 2, "c": 3, "note": 1}


@pytest.mark.requirement("66")
def test_who_is_only_remembered_gets_no_more_time(protocol: Protocol, clock: FakeClock) -> None:
    """Flask-Login says so beside its field: nobody gave a password."""
    browser = Browser(protocol, SessionEngine(new_secret(), MemoryStore(), idle_timeout=None, clock=clock))
    browser.request(lambda session: session.update(cart=1))
    before = browser.get(lambda session: session.expires_at)
    clock.advance(1000)

    browser.request(lambda session: session.update(_user_id="7", _fresh=False))

    found = browser.get(lambda session: (session.user_id, session.auth_time, session.expires_at))
    assert found == ("7", None, before)
