"""Two faces of one session: what a framework hands out under its own name, and what has our names as well.

A template that reads ``session.user_id`` asks for the attribute first. So a framework's session hides each
name but dict's and that framework's, and the field of that name is found. Who wants the methods is given a
view: another ``Session``, which does all it is asked to the one behind it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, NoReturn, TypeVar

from fluidauth.errors import FreshLoginRequired

from .lazydict import PLACEHOLDER, LazyDict
from .protocol import VisitProtocol
from .session import Session
from .state import State

AnyClass = TypeVar("AnyClass", bound=type[LazyDict])
AnySession = TypeVar("AnySession", bound=type[Session])


class _Hidden:
    """A name that a session of a framework does not have; *advice* says who has it."""

    def __init__(self, advice: str) -> None:
        self._advice = advice

    def __get__(self, session: object, owner: object = None) -> NoReturn:
        raise AttributeError(self._advice)

    def __set__(self, session: object, value: object) -> NoReturn:
        raise AttributeError(self._advice)


def hides_names(advice: str, *, beside: tuple[str, ...] = ()) -> Callable[[AnyClass], AnyClass]:
    """Hide the public names that a class inherits, all but dict's and those *beside* them.

    *advice* ends what is said to those who ask for one; ``{name}`` in it is that name.
    """
    kept = {*dir(dict), *beside}

    def hide(framework_class: AnyClass) -> AnyClass:
        for name in dir(framework_class):
            if not name.startswith("_") and name not in kept and name not in vars(framework_class):
                told = f"a framework's session has no attribute {name!r}: {advice.format(name=name)}"
                setattr(framework_class, name, _Hidden(told))
        return framework_class

    return hide


def tells_by(error: type[FreshLoginRequired]) -> Callable[[AnySession], AnySession]:
    """Have a class of sessions raise *error*, which its framework answers with 401, for a login too old."""

    def told(session_class: AnySession) -> AnySession:
        session_class._too_old = error
        return session_class

    return told


def asks_behind(view_class: AnyClass) -> AnyClass:
    """Have each method that *view_class* inherits do what it does to the session behind the view."""
    for name in dir(view_class):
        found = inspect.getattr_static(view_class, name)
        if name in vars(view_class) or (name.startswith("_") and not name.endswith("__")):
            continue
        if isinstance(found, property):
            getter, setter = _asking(found.fget), found.fset and _asking(found.fset)
            setattr(view_class, name, property(getter, setter, doc=found.__doc__))
        elif isinstance(found, FunctionType) and name != "__ior__":  # which returns the view itself
            setattr(view_class, name, _asking(found))
    return view_class


def _asking(method: Any) -> Any:
    """Return *method* as a view has it."""
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def awaited(view: SessionView, *args: Any, **options: Any) -> Any:
            return await method(view._behind, *args, **options)

        return awaited

    @wraps(method)
    def asked(view: SessionView, *args: Any, **options: Any) -> Any:
        return method(view._behind, *args, **options)

    return asked


@asks_behind
class SessionView(Session):
    """All that a session is, of one that a framework handed out without our names.

    It has no storage of its own: what C code finds there, it cannot encode.
    """

    __slots__ = ("_behind",)

    def __init__(self, behind: Session) -> None:
        self._behind = behind
        dict.__setitem__(self, PLACEHOLDER, PLACEHOLDER)

    @property
    def _visit(self) -> VisitProtocol:  # type: ignore[override]  # where another session has its slot
        return self._behind._visit

    def _read(self) -> NoReturn:
        raise TypeError("call a method of this session on it, as in session.logout(), and not on its class")

    def _fill(self, state: State) -> NoReturn:
        self._read()


def view_of(session: Session) -> Session:
    """Return *session* with our names, which it has unless a framework handed it out."""
    return session if type(session) in (Session, SessionView) else SessionView(session)
