"""Applications that keep in a field who is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.adoption import Adopted
from fluidauth.errors import NotSupported
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.behaviour.adoption.former_system import OldSystem, whoami
from tests.support import Browser, Protocol, live_sessions


class OldFields(OldSystem):
    """One whose application says in a field who is signed in, and goes on to do so."""

    def user_of(self, fields: dict[str, Any]) -> str | None:
        return fields.get("user")


@pytest.fixture
def by_field(
    store: Any, protocol: Protocol, clock: FakeClock, events: list[SessionEvent]
) -> Iterator[Browser]:
    """Ada, whose session was just taken over."""
    old = OldFields()
    old.sessions["ada"] = Adopted({"user": "ada", "cart": ["tea"]}, "ada")
    with closing(
        SessionEngine(new_secret(), store, adopt=[old], clock=clock, on_event=events.append)
    ) as engine:
        browser = Browser(protocol, engine)
        assert browser.get(whoami, cookie_header="old=ada")[0] == "ada"
        yield browser


def signs_out(session: Session) -> None:
    del session["user"]


def signs_in(user_id: str) -> Any:
    return lambda session: session.update(user=user_id)


@pytest.mark.requirement("66")
def test_sign_out_by_a_field_is_a_logout(by_field: Browser, events: list[SessionEvent]) -> None:
    """The old id opens nothing, and a slower request changes nothing; what it left is nobody's."""
    former = by_field.twin()

    def slow(session: Session) -> None:
        session["cart"].append("late")
        by_field.request(signs_out)

    former.request(slow)

    assert by_field.get(whoami) == (None, {})
    assert by_field.get(lambda session: (session.is_authenticated, session.auth_time)) == (False, None)
    assert former.get(whoami) == (None, {})
    with suppress(NotSupported):
        assert by_field.engine.list_sessions("ada") == []
    assert ("session_logout", "ada") in [(event.name, event.user_id) for event in events]


@pytest.mark.requirement("66")
def test_clearing_all_fields_is_a_logout(by_field: Browser, events: list[SessionEvent]) -> None:
    former = by_field.twin()
    response = by_field.request(Session.clear)

    assert "Max-Age=0" in response.set_cookies[0]
    assert former.get(whoami) == (None, {})
    assert events[-2].name == "session_logout"


@pytest.mark.requirement("66")
def test_sign_in_by_a_field_is_a_login(by_field: Browser) -> None:
    """Under a new id, with a time of login, to be listed and revoked; also where nobody was."""
    former = by_field.twin()
    fresh = by_field.with_cookie(None)

    by_field.request(signs_in("bob"))
    fresh.request(signs_in("eve"))

    assert by_field.get(whoami) == ("bob", {"user": "bob"})
    assert by_field.get(lambda session: session.require_fresh(1)) is None
    assert former.get(whoami) == (None, {})
    assert fresh.get(lambda session: session.user_id) == "eve"
    with suppress(NotSupported):
        assert by_field.engine.revoke_user("ada") == 0
        assert by_field.engine.revoke_user("bob") == 1
        assert by_field.get(whoami) == (None, {})


@pytest.mark.requirement("66")
def test_sign_out_by_a_field_counts_in_the_adopting_request(by_field: Browser) -> None:
    """Nobody comes back by the old cookie."""
    old = by_field.engine.requests._adopters._by_name["old"]
    assert isinstance(old, OldFields)
    for name, handler, after in (
        ("one", signs_out, (None, {})),
        ("two", Session.clear, (None, {})),
        ("three", signs_in("bob"), ("bob", {"user": "bob"})),
    ):
        old.sessions[name] = Adopted({"user": name, "n": 1}, name)
        tab = by_field.with_cookie(None)
        tab.request(handler, cookie_header=f"old={name}")
        assert tab.get(whoami) == after
        old.sessions[name] = Adopted({"user": name, "n": 1}, name)
        assert by_field.with_cookie(None).get(whoami, cookie_header=f"old={name}") == (None, {})


@pytest.mark.requirement("66")
def test_a_login_of_ours_counts_more_than_fields(by_field: Browser) -> None:
    """Of the same request; in a later one the field is changed to sign in again."""

    def both(session: Session) -> None:
        session["user"] = "bob"
        session.login("carol", {"user": "bob"})

    def again(session: Session) -> None:
        session["user"] = "bob"
        session.login("ada")

    by_field.request(again)
    assert by_field.get(lambda session: session.user_id) == "ada"
    by_field.request(both)
    by_field.request(lambda session: session.update(seen=1))
    assert by_field.get(lambda session: session.user_id) == "carol"
    by_field.request(lambda session: session.update(user="dave"))

    assert by_field.get(whoami) == ("dave", {"user": "dave"})


@pytest.mark.requirement("66")
def test_sign_out_by_a_field_after_the_head_is_a_logout(by_field: Browser) -> None:
    former = by_field.twin()

    by_field.request(whoami, later=signs_out)

    assert former.get(whoami) == (None, {})
    assert live_sessions(by_field.engine) == 0


@pytest.mark.requirement("66")
@pytest.mark.parametrize("named", ["ada", 7])
def test_a_field_that_the_engine_knows_names_the_user_of_a_former_session(
    store: Any, protocol: Protocol, clock: FakeClock, named: Any
) -> None:
    """Where the former system cannot tell; so ``revoke_user`` also ends what has not come in yet."""
    old = OldSystem()
    old.sessions.update(one=Adopted({"user": named}), two=Adopted({"user": named}))
    engine = SessionEngine(new_secret(), store, adopt=[old], user_key="user", clock=clock)
    with closing(engine):
        browser = Browser(protocol, engine)

        assert browser.get(whoami, cookie_header="old=one") == (str(named), {"user": named})

        with suppress(NotSupported):
            assert engine.revoke_user(str(named)) == 1
            assert browser.with_cookie(None).get(whoami, cookie_header="old=two") == (None, {})


@pytest.mark.requirement("66")
def test_a_former_session_whose_field_names_nobody_is_not_taken_over(protocol: Protocol) -> None:
    old = OldSystem()
    old.sessions["one"] = Adopted({"user": ["ada"]})
    engine = SessionEngine(new_secret(), MemoryStore(), adopt=[old], user_key="user")

    assert Browser(protocol, engine).get(whoami, cookie_header="old=one") == (None, {})
