"""The dict that an application sees.

Nothing here does I/O: the visit that it was made for loads and saves. No method here calls another one by
its public name, because a framework's session has none of these names (``faces``).
"""

from __future__ import annotations

from typing import Any

from fluidauth.formats.json_values import check, check_key

from .one_time import OneTime


class Session(OneTime):
    """The session of one request; to the application, a dict of JSON values.

    The first access loads it. Changes, also deep inside values, are saved before the response leaves.
    Raise :class:`PayloadError` for a value that is not JSON, and :class:`StoreError` if the store is out
    of order. Raise :class:`SessionNotLoaded` in asynchronous code with a remote store before ``aload()``.
    Raise :class:`SessionClosed` for a change that can no longer be kept.
    """

    __slots__ = ()

    # -- changes that merge ----------------------------------------------------

    def add(self, key: str, amount: float = 1) -> None:
        """Add *amount* to the number under *key* (0 if absent).

        Concurrent additions all count; assignments overwrite. Raise ``TypeError`` if either is no number.
        """
        value = self.get(key, 0)
        for number in (value, amount):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise TypeError(f"session.add({key!r}) needs numbers, not {number!r}")
        check_key(key, "session")
        self._change().note(key, "add", amount)
        self[key] = value + amount

    def append(self, key: str, item: Any) -> None:
        """Append *item* to the list under *key* (empty if absent).

        All items that concurrent requests append are kept. Raise ``TypeError`` if the value is no list.
        """
        items = self.get(key, [])
        if not isinstance(items, list):
            raise TypeError(f"session.append({key!r}) needs a list, not {type(items).__name__}")
        check_key(key, "session")
        check(item, f"session[{key!r}][{len(items)}]", depth=2)
        self._change().note(key, "append", item)
        items.append(item)
        # Not by an assignment, which would check the whole list each time. The save checks it once.
        self._remove_unreadable(key)
        dict.__setitem__(self, key, items)

    # -- what frameworks ask ---------------------------------------------------

    @property
    def accessed(self) -> bool:
        """Whether this request used the session; its response then varies by cookie."""
        return self._visit.accessed

    @property
    def modified(self) -> bool:
        """Whether this request changed the session."""
        state = self._visit.state
        return state is not None and state.is_changed(self)

    def mark_accessed(self) -> None:
        """Count the session as used. Load it if that needs no waiting."""
        self._visit.accessed = True
        if not self._visit.may_wait():
            self._read()

    def mark_modified(self) -> None:
        """Compare every field at the save. Seldom needed, because changes are found without it."""
        self._change()

    def __repr__(self) -> str:
        self._visit.accessed = True  # names only, without loading: values must not reach logs
        state = self._visit.state
        if state is None:
            return "<Session, not loaded>"
        return f"<Session {state.user_id or 'anonymous'!r} fields={list(dict.keys(self))}>"


def visit_of(session: Session) -> Any:
    """Return the visit that *session* was made for."""
    return session._visit
