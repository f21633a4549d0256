"""What an engine does with one session outside of a request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fluidauth import Lifetime, SessionClosed
from fluidauth.errors import NoSuchSession
from fluidauth.testing import FakeClock
from tests.engine.calls import Calls
from tests.support import Browser


def test_a_session_can_begin_without_a_request(calls: Calls, protocol: Any) -> None:
    """create_session and set_cookie_header sign a user in from a script or a socket."""
    token, session = calls.create_session("user-42", {"a": 1})
    line = calls.set_cookie_header(token)

    browser = Browser(protocol, calls.engine)
    browser.cookie = line.partition(";")[0].partition("=")[2]

    assert browser.cookie == token
    assert line.endswith("; path=/; Max-Age=86400; httponly; samesite=lax; secure")
    assert browser.get(lambda s: (s.user_id, s.handle, dict(s))) == ("user-42", session.handle, {"a": 1})


def test_a_cookie_header_counts_what_is_left(calls: Calls, clock: FakeClock) -> None:
    """Max-Age reaches to the deadline of this very session."""
    token, _ = calls.create_session("user-42", lifetime=Lifetime(absolute=timedelta(hours=2)))
    clock.advance(600)

    line = calls.set_cookie_header(token)

    assert "; Max-Age=6600;" in line


def test_a_cookie_header_needs_a_live_session(calls: Calls) -> None:
    """A token that opens nothing gets no cookie."""
    token, session = calls.create_session("user-42")
    calls.delete_session(session.handle)

    for dead in (token, "", token[:-1] + "!"):
        with pytest.raises(NoSuchSession, match="the token opens no live session"):
            calls.set_cookie_header(dead)


def test_a_session_is_read_by_its_handle(calls: Calls) -> None:
    """get_session gives the session to read, and refuses changes."""
    _, created = calls.create_session("user-42", {"a": 1})

    session = calls.get_session(created.handle)

    assert (session.user_id, dict(session)) == ("user-42", {"a": 1})
    with pytest.raises(SessionClosed, match=r"change it inside `with engine\.edit\(handle\)`"):
        session["a"] = 2


@pytest.mark.parametrize("handle", ["", "x", "../etc/passwd", "A" * 64, "0" * 64, "0" * 63 + "\n", None])
def test_an_absent_handle_is_none(calls: Calls, handle: Any) -> None:
    """Whatever an administrator pastes, no store is harmed."""
    assert calls.get_session(handle) is None
    assert calls.delete_session(handle) is False
    assert calls.extend_session(handle, 60) is False


def test_an_edit_is_merged(calls: Calls, protocol: Any) -> None:
    """An administrator's change and a request's do not overwrite each other."""
    token, created = calls.create_session("user-42", {"a": 1, "n": 1})
    browser = Browser(protocol, calls.engine)
    browser.cookie = token

    with calls.edit(created.handle) as session:
        session["admin"] = True
        session.add("n")
        browser.request(lambda s: s.update(a=2, n=5))

    assert browser.get(dict) == {"a": 2, "n": 6, "admin": True}


def test_an_edit_that_fails_changes_nothing(calls: Calls) -> None:
    """An exception inside the block drops the changes."""
    _, created = calls.create_session("user-42", {"a": 1})

    with pytest.raises(RuntimeError), calls.edit(created.handle) as session:
        session["a"] = 2
        raise RuntimeError

    assert dict(calls.get_session(created.handle)) == {"a": 1}


def test_an_edit_may_log_out_but_not_in(calls: Calls) -> None:
    """No response is there to carry a new cookie."""
    _, created = calls.create_session("user-42")

    with calls.edit(created.handle) as session:
        with pytest.raises(SessionClosed):
            session.login("other")
        session.logout()

    assert calls.get_session(created.handle) is None


def test_an_edit_of_nothing_is_an_error(calls: Calls) -> None:
    """Who edits means a session that is there."""
    with pytest.raises(NoSuchSession, match="no live session has this handle"), calls.edit("0" * 64):
        pass


def test_deleting_follows_a_new_id(calls: Calls, protocol: Any) -> None:
    """A handle taken from a list still ends the session after it was regenerated."""
    token, created = calls.create_session("user-42")
    browser = Browser(protocol, calls.engine)
    browser.cookie = token
    browser.request(lambda session: session.regenerate())

    answers = [calls.delete_session(created.handle), calls.delete_session(created.handle)]

    assert answers == [True, False]
    assert browser.get(lambda session: session.user_id) is None


def test_extending_never_passes_the_deadline(calls: Calls, clock: FakeClock) -> None:
    """The idle deadline moves, the absolute one does not, and the dead stay dead."""
    _, created = calls.create_session("user-42")

    answers = [calls.extend_session(created.handle, timedelta(days=30))]
    clock.advance(86_399)
    alive = calls.get_session(created.handle) is not None
    clock.advance(1)
    answers.append(calls.extend_session(created.handle, 3_600))

    assert (answers, alive) == ([True, False], True)
