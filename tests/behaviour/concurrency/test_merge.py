"""Two requests of one session: what each changed is merged."""

from __future__ import annotations

import pytest

from fluidauth import Session
from tests.behaviour.concurrency.tabs import ENDINGS, START, Tabs, change, fields, log_in

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


# -- this request changed fields ----------------------------------------------------------


@pytest.mark.requirement("67")
def test_changes_to_different_fields_are_merged(tabs: Tabs) -> None:
    """Of concurrent changes none is lost; add and append combine."""
    response = tabs.overtaken(change, tabs.changed_others)

    assert response.set_cookies == []
    assert tabs.mine.get(fields) == {"a": "mine", "n": 16, "log": ["theirs", "mine"], "b": 2}


def test_same_field_has_the_value_of_the_later_commit(tabs: Tabs) -> None:
    """A plain assignment overwrites an earlier one."""
    tabs.overtaken(change, tabs.changed_same)

    assert tabs.mine.get(fields) == {"a": "mine", "n": 11, "log": ["mine"]}


def test_a_removal_survives_others_changes(tabs: Tabs) -> None:
    """A field that this request removed stays removed."""

    def remove(session: Session) -> None:
        del session["a"]

    tabs.overtaken(remove, tabs.changed_others)

    assert tabs.mine.get(fields) == {"n": 15, "log": ["theirs"], "b": 2}


def test_changes_follow_a_regenerated_id(tabs: Tabs) -> None:
    """A change under the old id arrives in the session's successor, and sets no cookie."""
    response = tabs.overtaken(change, tabs.regenerated)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == {"a": "mine", "n": 11, "log": ["mine"]}
    assert tabs.mine.get(fields) == {}


def test_changes_never_enter_a_login(tabs: Tabs) -> None:
    """What an anonymous request wrote late does not reach the user who signed in."""
    response = tabs.overtaken(change, tabs.logged_in)

    assert response.set_cookies == []
    assert tabs.other.get(fields) == START
    assert tabs.dropped() == ["logged_in"]


@pytest.mark.requirement("5")
@ENDINGS
def test_changes_never_revive_an_ended_session(tabs: Tabs, ending: str) -> None:
    """A slow request cannot bring back what was logged out, revoked or has expired."""
    response = tabs.overtaken(change, getattr(tabs, ending))

    assert response.set_cookies == []
    assert tabs.mine.get(fields) == {}
    assert tabs.dropped() == ["ended"]
    assert tabs.rows() == 0


# -- this request signed in ---------------------------------------------------------------


def test_a_login_carries_others_changes(tabs: Tabs) -> None:
    """What others saved before the login is in the new session."""
    tabs.overtaken(log_in, tabs.changed_others)

    assert tabs.mine.get(fields) == {"a": 1, "n": 15, "log": ["theirs"], "b": 2, "t": 1}
    assert tabs.other.get(fields) == {}


def test_a_login_carries_others_values_of_the_same_field(tabs: Tabs) -> None:
    """A field that only the other request changed keeps its value."""
    tabs.overtaken(log_in, tabs.changed_same)

    assert tabs.mine.get(fields) == {"a": "theirs", "n": 10, "log": [], "t": 1}


@pytest.mark.parametrize("renewal", ["regenerated", "logged_in"])
def test_login_concurrent_with_a_new_id_makes_its_own_session(tabs: Tabs, renewal: str) -> None:
    """Each acknowledged login lives, with what its own request saw."""
    tabs.overtaken(log_in, getattr(tabs, renewal))

    assert tabs.mine.get(lambda s: (s.user_id, dict(s))) == ("ann", {**START, "t": 1})
    assert tabs.other.get(fields) == START
    assert tabs.other.get(lambda s: s.user_id) == {"regenerated": None, "logged_in": "bob"}[renewal]


@ENDINGS
def test_a_login_after_an_end_carries_nothing(tabs: Tabs, ending: str) -> None:
    """What was logged out is not carried into the next login."""
    tabs.overtaken(log_in, getattr(tabs, ending))

    assert tabs.mine.get(lambda s: (s.user_id, dict(s))) == ("ann", {"t": 1})
