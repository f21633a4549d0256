"""Two requests of one session of which one gives it a new id."""

from __future__ import annotations

import pytest

from fluidauth import Session
from tests.behaviour.concurrency.tabs import ENDINGS, START, Tabs, change, fields, log_in

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


# -- this request regenerated -------------------------------------------------------------


def test_regenerate_merges(tabs: Tabs) -> None:
    """The new id has the changes of both requests."""

    def both(session: Session) -> None:
        session.regenerate()
        change(session)

    response = tabs.overtaken(both, tabs.changed_others)

    assert len(response.set_cookies) == 1
    assert tabs.mine.get(fields) == {"a": "mine", "n": 16, "log": ["theirs", "mine"], "b": 2}
    assert tabs.other.get(fields) == {}


def test_regenerate_twice_gives_one_new_id(tabs: Tabs) -> None:
    """The slower of two has nothing more to do and sets no cookie."""
    response = tabs.overtaken(Session.regenerate, tabs.regenerated)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == START
    assert tabs.rows() == 1


def test_regenerate_with_changes_follows_the_first(tabs: Tabs) -> None:
    """The slower of two brings its changes to the id that the faster one made."""

    def both(session: Session) -> None:
        change(session)
        session.regenerate()

    response = tabs.overtaken(both, tabs.regenerated)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == {"a": "mine", "n": 11, "log": ["mine"]}


def test_regenerate_concurrent_with_a_login_is_dropped(tabs: Tabs) -> None:
    """The user's new session stays as the login made it."""
    response = tabs.overtaken(Session.regenerate, tabs.logged_in)

    assert response.set_cookies == []
    assert tabs.other.get(lambda s: (s.user_id, dict(s))) == ("bob", START)
    assert tabs.dropped() == ["logged_in"]


@pytest.mark.requirement("5")
@ENDINGS
def test_regenerate_never_revives_an_ended_session(tabs: Tabs, ending: str) -> None:
    """A new id for a dead session is no session."""
    response = tabs.overtaken(Session.regenerate, getattr(tabs, ending))

    assert response.set_cookies == []
    assert tabs.rows() == 0


# -- tombstones ---------------------------------------------------------------------------


def test_a_write_under_a_replaced_id_sets_no_cookie(tabs: Tabs) -> None:
    """A late request with the old cookie must not overwrite the new one."""
    tabs.mine.request(log_in)

    response = tabs.other.request(lambda session: session.update(late=1))

    assert response.set_cookies == []
    assert tabs.dropped() == ["replaced"]
    assert tabs.rows() == 1


def test_a_second_login_under_a_replaced_id_works(tabs: Tabs) -> None:
    """A double click on "sign in" leaves the user signed in."""
    tabs.mine.request(log_in)

    tabs.other.request(log_in)

    assert tabs.other.get(lambda s: s.user_id) == "ann"


def test_a_tombstone_lasts_a_minute(tabs: Tabs) -> None:
    """A client that never got its new cookie can begin anew after a minute."""
    tabs.mine.request(log_in)
    tabs.clock.advance(61)

    response = tabs.other.request(lambda session: session.update(late=1))

    assert len(response.set_cookies) == 1
    assert tabs.other.get(fields) == {"late": 1}
