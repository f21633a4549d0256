"""The session of plain JSON behind one of Flask's, and where the two differ.

Values become Python's types when it is loaded, and JSON again when it is saved. What was not touched is
never converted back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask.json.tag import TaggedJSONSerializer

from fluidauth.engine.user_fields import follow_fields
from fluidauth.errors import PayloadError, SessionClosed
from fluidauth.formats.json_values import CONTAINERS
from fluidauth.integrations import json_mirror
from fluidauth.middleware.response import ResponseVisit
from fluidauth.records import Lifetime
from fluidauth.session import Session
from fluidauth.session.state import State
from fluidauth.session.wish import NO_WISH

from .tagged_json import tagged, untagged

PERMANENT = "_permanent"

Fields = dict[str, Any]
LifetimeRule = Callable[[bool], Lifetime]
"""From whether a session is permanent to its lifetime."""


class Mirror:
    """What a session of Flask's holds of the one behind. Callers pass *fields*, which is its storage.

    It does not hold them, because the two would be a circle.
    """

    __slots__ = (
        "appended",
        "lifetime_of",
        "plain",
        "serializer",
        "touched",
        "visit",
        "was_modified",
        "written",
    )

    def __init__(
        self,
        visit: ResponseVisit,
        plain: Session,
        serializer: TaggedJSONSerializer,
        lifetime_of: LifetimeRule,
    ) -> None:
        self.visit: ResponseVisit = visit
        self.plain: Session = plain  # has what is in *fields* only when that was flushed
        self.serializer: TaggedJSONSerializer = serializer
        self.lifetime_of: LifetimeRule = lifetime_of
        # Fields that changed, or were handed out and may change; None before the session is loaded.
        self.touched: set[str] | None = None
        self.was_modified: bool = False
        self.appended: set[str] = set()  # to these fields, not set since
        self.written: set[str] = set()  # these fields were set, whatever they held

    # -- there and back ----------------------------------------------------------

    def read(self, fields: Fields) -> set[str]:
        """Load the session, once; return the names that were touched."""
        if self.touched is None:
            len(self.plain)  # this loads it, or raises
            self.touched = set()
            dict.clear(fields)
            self.refill(fields)
        return self.touched

    def flush(self, fields: Fields) -> None:
        """Put the fields that were touched into the session behind, which finds out what changed.

        Raise :class:`PayloadError` if they cannot be stored.
        """
        if self.touched is None:
            return
        for name in self.touched:
            self.flush_one(fields, name)
        if self.written and self.visit.state is not None:
            self.visit.state.written = {*self.written}
        self.touched.difference_update([name for name in self.touched if not _is_container(fields, name)])

    def flush_one(self, fields: Fields, name: str) -> None:
        """Do so for the field *name*."""
        self.read(fields)
        if name in dict.keys(fields):
            json_mirror.put(self.plain, name, self.json(name, dict.__getitem__(fields, name)))
        else:
            json_mirror.remove(self.plain, name)

    def flush_quietly(self, fields: Fields) -> None:
        """Put the fields into the session behind for a request that failed, as far as they can be stored."""
        with suppress(PayloadError, SessionClosed):
            self.flush(fields)

    def refill(self, fields: Fields) -> None:
        """Take over what is new in the session behind. Unchanged containers stay the same objects."""
        json_mirror.refresh(fields, self.plain, self.json, self.python)

    def json(self, name: str, value: Any) -> Any:
        """Return *value*, of the field *name*, as JSON."""
        return tagged(self.serializer, name, value)

    def all_json(self, fields: Fields | None) -> Fields:
        """Return *fields* as JSON."""
        return {name: self.json(name, value) for name, value in (fields or {}).items()}

    def python(self, value: Any) -> Any:
        """Return the JSON *value* as Flask holds it."""
        return untagged(self.serializer, value)

    # -- around a response -------------------------------------------------------

    def is_modified(self, fields: Fields) -> bool:
        """Return whether this request changed the session, also inside of values."""
        if self.touched is not None:
            self.flush(fields)
            self.was_modified = self.was_modified or self.plain.modified
        return self.was_modified

    def prepare(self, fields: Fields, status: int) -> None:
        """Bring the session of plain JSON to what a response of *status* must save."""
        if status >= 500:
            self.flush_quietly(fields)
        elif self.is_modified(fields) or (self.touched is not None and self._is_taken_over()):
            follow_fields(self.visit, self.plain)
            self._forget_how_long()
            self._apply_lifetime(fields)

    def refill_after(self, fields: Fields, before: State | None) -> None:
        """Take over what others changed, if something was saved, or dropped, since the state was *before*."""
        state = self.visit.state
        if self.touched is not None and state is not None and (state is not before or state.closed):
            self.refill(fields)

    def _forget_how_long(self) -> None:
        """Store no session that says only how long it would last.

        Many applications set ``permanent`` in each request, so also for each robot.
        """
        state = self.visit.state
        if state is None or state.record or state.adoption or state.closed or state.wish != NO_WISH:
            return
        if [*dict.keys(self.plain)] == [PERMANENT]:
            json_mirror.remove(self.plain, PERMANENT)

    def _apply_lifetime(self, fields: Fields) -> None:
        """Let ``permanent`` say how long the session lasts, when it begins or when ``permanent`` changed."""
        plain, state = self.plain, self.visit.state
        if state is None or state.closed or not self.visit.answerable:
            return
        login = state.wish.login
        chosen = state.wish.lifetime or (login and login.lifetime)
        if chosen or not (plain.modified or state.adoption):
            return
        permanent = bool(dict.get(fields, PERMANENT))
        lifetime = self.lifetime_of(permanent)
        begins = state.record is None or state.detached or login is not None
        changed = permanent != bool(state.base.get(PERMANENT))
        restarts = permanent and lifetime.idle is None  # each change gives it its whole length again
        if begins or changed or restarts:
            plain.set_lifetime(lifetime)

    def _is_taken_over(self) -> bool:
        return self.visit.state is not None and self.visit.state.adoption is not None


def _is_container(fields: Fields, name: str) -> bool:
    return isinstance(dict.get(fields, name), CONTAINERS)
