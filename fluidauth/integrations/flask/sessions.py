"""The session as Flask and Quart know it: their attributes, and the types of Flask's tagged JSON.

Behind it is a :class:`~fluidauth.Session` of plain JSON, which other frameworks on the same store can read as
well; see :mod:`.mirror`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flask.sessions import SessionMixin
from werkzeug.exceptions import HTTPException, default_exceptions

from fluidauth.errors import Refusal, SessionClosed
from fluidauth.formats.json_values import CONTAINERS, check_key
from fluidauth.session import Session
from fluidauth.session.faces import asks_behind, hides_names, tells_by
from fluidauth.session.frozen import OVER
from fluidauth.session.lazydict import PLACEHOLDER

from .methods import Methods
from .mirror import Mirror

FLASKS_NAMES = ("accessed", "modified", "new", "permanent")


class _Answered(HTTPException):
    """The part of a refusal that Flask and Quart answer as ``abort()``, by the handler of its status."""

    def get_headers(self, *args: Any, **options: Any) -> list[tuple[str, str]]:
        refusal: Any = self
        return [*super().get_headers(*args, **options), *refusal.headers().items()]


def _answered(status: int) -> type[Exception]:
    return type("Answered", (_Answered, default_exceptions[status]), {})


def _as_http_error(told: Any, error: Refusal) -> None:
    default_exceptions[type(error).status].__init__(told, str(error))
    told.code = error.status  # 303 has no class of its own


@tells_by(_answered, _as_http_error)
class PlainSession(Session):
    """The session of plain JSON behind one of Flask's."""

    __slots__ = ()


class FlaskSession(Methods, SessionMixin):
    """A session as Flask documents it, with the methods of :class:`~fluidauth.Session`.

    It raises as a ``Session`` does, and :class:`PayloadError` for a value that Flask's serializer refuses.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        dict.__setitem__(self, PLACEHOLDER, PLACEHOLDER)

    def __repr__(self) -> str:
        return repr(self._mirror.plain).replace("<Session", "<FlaskSession", 1)  # names, and no values

    # -- hooks of LazyDict -------------------------------------------------------

    def _read(self) -> set[str]:
        return self._mirror.read(self)

    def _watch(self, key: str, value: Any) -> None:
        self._read().add(key)

    def _watch_all(self) -> None:
        self._read().update(dict.keys(self))

    def _change(self) -> object:
        self._read()
        self._mirror.plain.mark_modified()
        return self._mirror.visit.state

    def _explain_missing(self, key: object) -> None:
        self._mirror.plain.get(str(key))

    def _remove_unreadable(self, key: str | None = None) -> bool:
        touched, mirror = self._read(), self._mirror
        mirror.plain.mark_modified()
        known = mirror.visit.state is not None and mirror.visit.state.drop_unreadable(key)
        touched.update(dict.keys(self) if key is None else (key,))
        return known

    def __setitem__(self, key: str, value: Any) -> None:
        check_key(key, "session")
        self._mirror.json(key, value)  # what cannot be stored is refused where it is set
        self._remove_unreadable(key)
        if not isinstance(value, CONTAINERS) or dict.get(self, key) is not value:  # or it was changed inside
            self._mirror.written.add(key)
        self._mirror.appended.discard(key)
        dict.__setitem__(self, key, value)

    # -- what Flask documents ----------------------------------------------------

    @property
    def accessed(self) -> bool:
        """Whether this request used the session; its response then varies by cookie."""
        return self._mirror.visit.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        self._mirror.visit.accessed = bool(value)

    @property
    def modified(self) -> bool:
        """Whether this request changed the session, also inside of values. False drops the changes."""
        return self._mirror.is_modified(self)

    @modified.setter
    def modified(self, value: bool) -> None:
        touched = self._read()
        if value and self._mirror.visit.over:
            raise SessionClosed(OVER)
        if value:
            touched.update(dict.keys(self))
        else:
            self._mirror.plain.reload()
            self._mirror.was_modified = False
            touched.clear()


@hides_names("session.{name} has it; from fluidauth.integrations.flask import session", beside=FLASKS_NAMES)
class FlaskFace(FlaskSession):
    """``flask.session`` itself, with the names of a dict and those that Flask documents."""


@asks_behind
class FlaskView(FlaskSession):
    """``flask.session`` with all names, without a storage of its own: see ``SessionView``."""

    def __init__(self, behind: FlaskSession) -> None:
        self._behind = behind
        super().__init__(mirror_of(behind))

    def _read(self) -> NoReturn:
        raise TypeError("call this method on the session, as in session.logout(), and not on its class")


def view_of(session: Any) -> Any:
    """Return *session* with all names. Return one that is not ours unchanged."""
    return FlaskView(session) if isinstance(session, FlaskSession) else session


def confirm(session: FlaskSession) -> None:
    """Confirm the signed-in user, if there is one."""
    if FlaskSession.behind(session).user_id is not None:
        FlaskSession.confirm(session)


def sign_in_anew(session: FlaskSession) -> None:
    """Have the field that names the user count as a login, though its value is as before."""
    mirror = mirror_of(session)
    mirror.read(session)
    if (state := mirror.visit.state) is not None:
        state.signed_in_anew = state.modified = True


def mirror_of(session: FlaskSession) -> Mirror:
    """Return what *session* holds of the session of plain JSON behind it."""
    return session._mirror
