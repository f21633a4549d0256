"""What a framework hands out of a session, and the view with all names: one session, whoever is asked."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from fluidauth import Session
from fluidauth.engine.visit import Visit
from fluidauth.session.faces import SessionView, asks_behind, hides_names, view_of
from fluidauth.session.session import visit_of
from tests.session.desk import FIELDS, Desk
from tests.session.test_lazydict import ALL


@hides_names("ask session_of(request).{name}", beside=("modified",))
class Face(Session):
    __slots__ = ()


def handed_out(desk: Desk) -> Face:
    return Face(Visit(desk.engine.requests, f"session={desk.token}"))


OURS = sorted(name for name in dir(Session) if not name.startswith("_") and not hasattr(dict, name))


@pytest.mark.parametrize(("use", "expected"), ALL.values(), ids=ALL.keys())
def test_a_view_answers_as_its_session(use: Any, expected: Any) -> None:
    """With one read of the store, and what it changed is what the framework's session has."""
    desk = Desk()
    face = handed_out(desk)
    view = view_of(face)
    reads = desk.store.reads

    answer = use(view)

    assert answer == expected
    assert type(answer) is type(expected)
    assert desk.store.reads == reads + 1
    assert dict(view) == dict(face)
    assert len(view) == dict.__len__(face)


def test_all_of_ours_is_there() -> None:
    """Each method and property does what it does; none is asked of the view's own, empty storage."""
    asked = [name for name in dir(Session) if inspect.isroutine(getattr(dict, name, None)) or name in OURS]
    own = {name for name in asked if name in vars(SessionView)}

    assert {name for name in OURS if name not in own} == set()
    assert "login" in own


@pytest.mark.parametrize("name", [name for name in OURS if name != "modified"])
def test_a_face_has_no_name_of_ours(name: str) -> None:
    """To be asked, set or deleted; and it says who has it."""
    face = handed_out(Desk())

    assert not hasattr(face, name)
    with pytest.raises(AttributeError, match=rf"ask session_of\(request\)\.{name}"):
        getattr(face, name)
    with pytest.raises(AttributeError, match=rf"ask session_of\(request\)\.{name}"):
        setattr(face, name, 1)
    with pytest.raises(AttributeError):
        delattr(face, name)


def test_a_name_of_the_frameworks_stays() -> None:
    face = handed_out(Desk())

    assert face.modified is False
    face["n"] = 1
    assert face.modified is True


def test_a_face_and_its_view_are_equal() -> None:
    face = handed_out(Desk())
    view = view_of(face)

    assert face == view
    assert view == face
    assert Desk().request() == view
    assert view == Desk().request()
    assert face | view == view | face == FIELDS


def test_a_view_is_a_session() -> None:
    face = handed_out(Desk())
    view = view_of(face)

    assert isinstance(view, Session)
    assert visit_of(view) is visit_of(face)
    assert view_of(view) is view
    assert repr(view) == "<Session, not loaded>"
    assert view.user_id == "user-42"
    assert inspect.iscoroutinefunction(view.asave)


def test_login_and_logout_through_a_view() -> None:
    desk = Desk()
    face = handed_out(desk)

    view_of(face).login("user-43", {"x": 1})
    assert dict(face) == {"x": 1}
    view_of(face).logout()

    assert dict(face) == {}


@pytest.mark.parametrize(
    "call",
    [Session.logout, lambda view: Session.login(view, "eve"), lambda view: Session.__setitem__(view, "a", 2)],
)
def test_a_function_of_the_class_is_refused_for_a_view(call: Any) -> None:
    """It would look into a storage that is not the session's."""
    desk = Desk()
    view = view_of(handed_out(desk))

    with pytest.raises(TypeError, match=r"on the session, as in session\.logout"):
        call(view)
    view.save()

    assert desk.stored() == FIELDS


def test_a_property_that_can_be_set_is_set_behind() -> None:
    class Settable(Session):
        __slots__ = ("held",)

        @property
        def mood(self) -> Any:
            return self.held

        @mood.setter
        def mood(self, value: Any) -> None:
            self.held = value

    @asks_behind
    class View(Settable):
        __slots__ = ("_behind",)

        def __init__(self, behind: Settable) -> None:
            self._behind = behind

    behind = Settable(Visit(Desk().engine.requests))

    View(behind).mood = "good"

    assert behind.held == "good"
    assert View(behind).mood == "good"
