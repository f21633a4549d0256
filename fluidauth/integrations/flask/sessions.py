"""The session as Flask and Quart know it: their attributes, and the types of Flask's tagged JSON.

Behind it stands a :class:`~fluidauth.Session` of plain JSON, which other frameworks on the same
store read as well. Values become Python's when it is loaded and JSON again when it is saved; what
nobody touched is never converted back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionMixin

from fluidauth.errors import PayloadError, SessionClosed
from fluidauth.formats.json_values import CONTAINERS, check_key
from fluidauth.integrations import json_mirror
from fluidauth.middleware.response import ResponseVisit
from fluidauth.records import Lifetime
from fluidauth.session import Session
from fluidauth.session.lazydict import PLACEHOLDER, LazyDict
from fluidauth.session.state import State

from .tagged_json import tagged, untagged

PERMANENT = "_permanent"

LifetimeRule = Callable[[bool], Lifetime]
"""From whether a session is permanent to its lifetime."""

T = TypeVar("T")


def _of_session(name: str) -> Any:
    """Return a property that asks the session behind."""

    def asked(self: FlaskSession) -> Any:
        self._read()
        return getattr(self.plain, name)

    return property(asked, doc=getattr(Session, name).__doc__)


class FlaskSession(LazyDict, SessionMixin):
    """``flask.session``: what Flask documents, and the methods of :class:`~fluidauth.Session`.

    Raise as a ``Session`` does; :class:`PayloadError` for what Flask's serializer refuses.
    """

    user_id: str | None = _of_session("user_id")
    is_authenticated: bool = _of_session("is_authenticated")
    new: bool = _of_session("is_new")
    auth_time: int | None = _of_session("auth_time")
    handle: str | None = _of_session("handle")
    sid: str | None = handle
    created_at: int | None = _of_session("created_at")
    expires_at: int | None = _of_session("expires_at")

    def __init__(
        self,
        visit: ResponseVisit,
        plain: Session,
        serializer: TaggedJSONSerializer,
        lifetime_of: LifetimeRule,
    ) -> None:
        self.visit = visit
        self.plain = plain
        """The session of plain JSON, which has what is here only when that was flushed."""
        self._serializer = serializer
        self._lifetime_of = lifetime_of
        self._touched: set[str] | None = None
        """Fields that changed, or were handed out and may; None before the session is loaded."""
        self._was_modified = False
        self._appended: set[str] = set()
        """Fields that were appended to, and not set since."""
        dict.__setitem__(self, PLACEHOLDER, PLACEHOLDER)

    def __repr__(self) -> str:
        return repr(self.plain).replace("<Session", f"<{type(self).__name__}", 1)  # names, and no values

    # -- hooks of LazyDict -------------------------------------------------------

    def _read(self) -> set[str]:
        if self._touched is None:
            len(self.plain)  # which loads it, or raises
            self._touched = set()
            dict.clear(self)
            self.refill()
        return self._touched

    def _watch(self, key: str, value: Any) -> None:
        self._read().add(key)

    def _watch_all(self) -> None:
        self._read().update(dict.keys(self))

    def _change(self) -> object:
        self._read()
        self.plain.mark_modified()
        return self.visit.state

    def _explain_missing(self, key: object) -> None:
        self.plain.get(str(key))

    def _remove_unreadable(self, key: str | None = None) -> bool:
        touched = self._read()
        self.plain.mark_modified()
        known = self.visit.state is not None and self.visit.state.drop_unreadable(key)
        touched.update(dict.keys(self) if key is None else (key,))
        return known

    def __setitem__(self, key: str, value: Any) -> None:
        check_key(key, "session")
        self._json(key, value)  # what cannot be stored is refused where it is set
        self._remove_unreadable(key)
        self._appended.discard(key)
        dict.__setitem__(self, key, value)

    # -- what Flask documents ----------------------------------------------------

    @property
    def accessed(self) -> bool:
        """Whether this request used the session; its response then varies by cookie."""
        return self.visit.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        self.visit.accessed = bool(value)

    @property
    def modified(self) -> bool:
        """Whether this request changed the session, also inside of values; false drops the changes."""
        if self._touched is not None:
            self._flush()
            self._was_modified = self._was_modified or self.plain.modified
        return self._was_modified

    @modified.setter
    def modified(self, value: bool) -> None:
        touched = self._read()
        if value:
            touched.update(dict.keys(self))
        else:
            self.plain.reload()
            self._was_modified = False
            touched.clear()

    # -- what a Session does -----------------------------------------------------

    def behind(self) -> Session:
        """Return the session of plain JSON, with all changes made so far."""
        self._read()
        self._flush()
        return self.plain

    def login(
        self, user_id: str, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> None:
        """Do as :meth:`Session.login`."""
        fields = {name: self._json(name, value) for name, value in (data or {}).items()}
        self._through(lambda session: session.login(user_id, fields, lifetime=lifetime))

    def regenerate(self) -> None:
        """Do as :meth:`Session.regenerate`."""
        self._through(Session.regenerate)

    def logout(self) -> None:
        """Do as :meth:`Session.logout`."""
        self.plain.logout()  # not as the others: it needs nothing that was read
        self._touched = set()
        self.refill()

    destroy = logout

    def add(self, key: str, amount: float = 1) -> None:
        """Do as :meth:`Session.add`."""
        self._flush_one(key)
        self.plain.add(key, amount)
        dict.__setitem__(self, key, dict.__getitem__(self.plain, key))

    def append(self, key: str, item: Any) -> None:
        """Do as :meth:`Session.append`."""
        value, items = self._json(key, item), self.get(key, [])
        if key not in self._appended:  # once: a loop of appends would be quadratic
            self._flush_one(key)
        self.plain.append(key, value)
        self._appended.add(key)
        items.append(self._python(value))
        dict.__setitem__(self, key, items)

    def require_fresh(self, max_age: int) -> None:
        """Do as :meth:`Session.require_fresh`."""
        self.behind().require_fresh(max_age)

    def set_lifetime(self, lifetime: Lifetime) -> None:
        """Do as :meth:`Session.set_lifetime`; ``permanent``, set later, overrides it."""
        self._through(lambda session: session.set_lifetime(lifetime))

    def save(self) -> None:
        """Do as :meth:`Session.save`."""
        self._through(Session.save)

    async def aload(self) -> None:
        """Do as :meth:`Session.aload`."""
        await self.plain.aload()

    async def asave(self) -> None:
        """Do as :meth:`Session.asave`."""
        await self.aload()
        await self.behind().asave()
        self.refill()

    def _through(self, call: Callable[[Session], object]) -> None:
        call(self.behind())
        self.refill()

    def prepare(self, status: int) -> None:
        """Bring the session of plain JSON to what a response of *status* is to save."""
        if status >= 500:
            self.flush_quietly()
        elif self.modified or (self._touched is not None and self._is_taken_over()):
            self.visit.follow_fields(self.plain)
            self._apply_lifetime()

    def refill_after(self, before: State | None) -> None:
        """Take over what others changed, if something was saved, or dropped, since the state was *before*."""
        state = self.visit.state
        if self._touched is not None and state is not None and (state is not before or state.closed):
            self.refill()

    def flush(self) -> None:
        """Put the fields into the session of plain JSON; raise :class:`PayloadError` if they cannot be."""
        if self._touched is not None:
            self._flush()

    def flush_quietly(self) -> None:
        """Put the fields into the session behind for a request that failed, as far as they can be stored."""
        with suppress(PayloadError, SessionClosed):
            self.flush()

    # -- there and back ----------------------------------------------------------

    def _flush(self) -> None:
        """Put the fields that were touched into the session behind, which finds out what changed."""
        touched = self._read()
        for name in touched:
            self._flush_one(name)
        touched.difference_update([name for name in touched if not self._is_container(name)])

    def _flush_one(self, name: str) -> None:
        self._read()
        if name in dict.keys(self):
            json_mirror.put(self.plain, name, self._json(name, dict.__getitem__(self, name)))
        else:
            json_mirror.remove(self.plain, name)

    def _is_container(self, name: str) -> bool:
        return isinstance(dict.get(self, name), CONTAINERS)

    def refill(self) -> None:
        """Take over what is new in the session behind; containers that did not change stay the same ones."""
        json_mirror.refresh(self, self.plain, self._json, self._python)

    def _json(self, name: str, value: Any) -> Any:
        return tagged(self._serializer, name, value)

    def _python(self, value: Any) -> Any:
        return untagged(self._serializer, value)

    def _apply_lifetime(self) -> None:
        """Let ``permanent`` say how long the session lasts, when it begins or when that was changed."""
        plain, state = self.plain, self.visit.state
        if state is None or state.closed or not self.visit.answerable:
            return
        login = state.wish.login
        chosen = state.wish.lifetime or (login and login.lifetime)
        if chosen or not (plain.modified or state.adoption):
            return
        permanent = bool(dict.get(self, PERMANENT))
        lifetime = self._lifetime_of(permanent)
        begins = state.record is None or state.detached or login is not None
        changed = permanent != bool(state.base.get(PERMANENT))
        restarts = permanent and lifetime.idle is None  # each change gives it its whole length again
        if begins or changed or restarts:
            plain.set_lifetime(lifetime)

    def _is_taken_over(self) -> bool:
        return self.visit.state is not None and self.visit.state.adoption is not None
