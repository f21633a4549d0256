"""The session as Flask and Quart know it: their attributes, and the types of Flask's tagged JSON.

Behind it is a :class:`~fluidauth.Session` of plain JSON, which other frameworks on the same store can read as
well; see :mod:`.mirror`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from flask.sessions import SessionMixin
from werkzeug.exceptions import Unauthorized

from fluidauth.errors import FreshLoginRequired, SessionClosed
from fluidauth.formats.headers import challenge
from fluidauth.formats.json_values import CONTAINERS, check_key
from fluidauth.records import Lifetime
from fluidauth.session import Session
from fluidauth.session.faces import asks_behind, hides_names, tells_by
from fluidauth.session.frozen import OVER
from fluidauth.session.lazydict import PLACEHOLDER, LazyDict

from .mirror import Mirror

FLASKS_NAMES = ("accessed", "modified", "new", "permanent")


def _of_session(name: str) -> Any:
    """Return a property that asks the session behind."""

    def asked(self: FlaskSession) -> Any:
        self._read()
        return getattr(self._mirror.plain, name)

    return property(asked, doc=getattr(Session, name).__doc__)


class LoginTooOld(FreshLoginRequired, Unauthorized):
    """A ``FreshLoginRequired`` that Flask and Quart answer as ``abort(401)``, by its handler."""

    def __init__(self, message: str, max_age: int | None = None) -> None:
        FreshLoginRequired.__init__(self, message, max_age)
        Unauthorized.__init__(self, message)

    def get_headers(self, *args: Any, **options: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **options), ("WWW-Authenticate", challenge(self.max_age))]


@tells_by(LoginTooOld)
class PlainSession(Session):
    """The session of plain JSON behind one of Flask's."""

    __slots__ = ()


class FlaskSession(LazyDict, SessionMixin):
    """A session as Flask documents it, with the methods of :class:`~fluidauth.Session`.

    It raises as a ``Session`` does, and :class:`PayloadError` for a value that Flask's serializer refuses.
    """

    user_id: str | None = _of_session("user_id")
    is_authenticated: bool = _of_session("is_authenticated")
    new: bool = _of_session("is_new")
    auth_time: int | None = _of_session("auth_time")
    handle: str | None = _of_session("handle")
    sid: str | None = handle
    created_at: int | None = _of_session("created_at")
    expires_at: int | None = _of_session("expires_at")

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

    # -- what a Session does -----------------------------------------------------

    def behind(self) -> Session:
        """Return the session of plain JSON, with all changes made so far."""
        self._read()
        self._mirror.flush(self)
        return self._mirror.plain

    def login(
        self, user_id: str, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> None:
        """Do as :meth:`Session.login`."""
        fields = {name: self._mirror.json(name, value) for name, value in (data or {}).items()}
        _through(self, lambda session: session.login(user_id, fields, lifetime=lifetime))

    def regenerate(self) -> None:
        """Do as :meth:`Session.regenerate`."""
        _through(self, Session.regenerate)

    def confirm(self) -> None:
        """Do as :meth:`Session.confirm`."""
        _through(self, Session.confirm)

    def logout(self) -> None:
        """Do as :meth:`Session.logout`."""
        _emptied(self, Session.logout)

    destroy = logout

    def clear(self) -> None:
        """Do as :meth:`Session.clear`."""
        _emptied(self, Session.clear)

    def add(self, key: str, amount: float = 1) -> None:
        """Do as :meth:`Session.add`."""
        plain = self._mirror.plain
        self._mirror.flush_one(self, key)
        plain.add(key, amount)
        dict.__setitem__(self, key, dict.__getitem__(plain, key))

    def append(self, key: str, item: Any) -> None:
        """Do as :meth:`Session.append`."""
        mirror = self._mirror
        value, items = mirror.json(key, item), self.get(key, [])
        if key not in mirror.appended:  # once: a loop of appends would be quadratic
            mirror.flush_one(self, key)
        mirror.plain.append(key, value)
        mirror.appended.add(key)
        items.append(mirror.python(value))
        dict.__setitem__(self, key, items)

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Do as :meth:`Session.require_fresh`. Flask answers its error as ``abort(401)``."""
        FlaskSession.behind(self).require_fresh(max_age)

    def set_lifetime(self, lifetime: Lifetime) -> None:
        """Do as :meth:`Session.set_lifetime`. Setting ``permanent`` later overrides it."""
        _through(self, lambda session: session.set_lifetime(lifetime))

    def save(self) -> None:
        """Do as :meth:`Session.save`."""
        _through(self, Session.save)

    async def aload(self) -> None:
        """Do as :meth:`Session.aload`."""
        await self._mirror.plain.aload()

    async def asave(self) -> None:
        """Do as :meth:`Session.asave`."""
        await self._mirror.plain.aload()
        await FlaskSession.behind(self).asave()
        self._mirror.refill(self)


def _through(session: FlaskSession, call: Callable[[Session], object]) -> None:
    """Have *call* change the session of plain JSON, with all changes made so far."""
    call(FlaskSession.behind(session))
    mirror_of(session).refill(session)


def _emptied(session: FlaskSession, call: Callable[[Session], object]) -> None:
    """Have *call* empty the session of plain JSON. Nothing is read for it."""
    mirror = mirror_of(session)
    call(mirror.plain)
    mirror.touched = set()
    mirror.refill(session)


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
