"""Two faces of one session: one with a framework's names only, and one with our names as well.

A template that reads ``session.user_id`` asks for the attribute first. So a framework's session has only the
names of dict and of that framework, and the template finds the field. ``view_of`` returns a view with all
methods: another ``Session``, which passes each call to the one behind it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, NoReturn, TypeVar

from fluidauth.errors import REFUSALS, Refusal

from .lazydict import PLACEHOLDER, LazyDict
from .protocol import VisitProtocol
from .session import Session
from .state import State

AnyClass = TypeVar("AnyClass", bound=type[LazyDict])
AnySession = TypeVar("AnySession", bound=type[Session])


class _Hidden:
    """A name that a session of a framework does not have; *advice* says where to find it."""

    def __init__(self, advice: str) -> None:
        self._advice = advice

    def __get__(self, session: object, owner: object = None) -> NoReturn:
        raise AttributeError(self._advice)

    def __set__(self, session: object, value: object) -> NoReturn:
        raise AttributeError(self._advice)


def hides_names(advice: str, *, beside: tuple[str, ...] = ()) -> Callable[[AnyClass], AnyClass]:
    """Hide the public names that a class inherits, except dict's and those in ``beside``.

    *advice* ends the error for a hidden name; ``{name}`` in it stands for that name.
    """
    kept = {*dir(dict), *beside}

    def hide(framework_class: AnyClass) -> AnyClass:
        for name in dir(framework_class):
            if not name.startswith("_") and name not in kept and name not in vars(framework_class):
                told = f"a framework's session has no attribute {name!r}: {advice.format(name=name)}"
                setattr(framework_class, name, _Hidden(told))
        return framework_class

    return hide


Fill = Callable[[Any, Refusal], object]
"""Sets up the part of an error that is the framework's."""


def tells_by(
    framework_error: Callable[[int], type[Exception]], fill: Fill
) -> Callable[[AnySession], AnySession]:
    """Have a class of sessions raise refusals that are also errors of its framework, which answers them.

    *framework_error* returns that class of errors for a status.
    """
    kinds = {kind: _mixed(kind, framework_error(kind.status)) for kind in REFUSALS}

    def tell(error: Refusal) -> Refusal:
        kind = kinds[type(error)]
        told = kind.__new__(kind, *error.args)
        told.__dict__.update(error.__dict__)
        fill(told, error)
        return told

    def told(session_class: AnySession) -> AnySession:
        session_class._told = staticmethod(tell)  # type: ignore[method-assign]  # that of this framework
        return session_class

    return told


def _mixed(kind: type[Refusal], framework_error: type[Exception]) -> type[Refusal]:
    mixed: type[Refusal] = type(kind.__name__, (kind, framework_error), {"__doc__": kind.__doc__})
    return mixed


def asks_behind(view_class: AnyClass) -> AnyClass:
    """Have each method that *view_class* inherits act on the session behind the view."""
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
    """A session with all names, in front of one that a framework handed out without ours.

    Its own storage has only the placeholder, which C code cannot encode.
    """

    __slots__ = ("_behind",)

    def __init__(self, behind: Session) -> None:
        self._behind = behind
        dict.__setitem__(self, PLACEHOLDER, PLACEHOLDER)

    @property
    def _visit(self) -> VisitProtocol:  # type: ignore[override]  # other sessions have a slot for it
        return self._behind._visit

    def _read(self) -> NoReturn:
        raise TypeError("call this method on the session, as in session.logout(), and not on its class")

    def _fill(self, state: State) -> NoReturn:
        self._read()


def view_of(session: Session) -> Session:
    """Return *session* with our names. It lacks them only if a framework handed it out."""
    return session if type(session) in (Session, SessionView) else SessionView(session)
