"""What the engine notes in a session. It is no field, so the application cannot write it.

Notes are JSON, sealed with the fields, and never changed in place: requests share them. Each function here
returns other notes. So the save can make the same change to a newer version of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

Notes = Mapping[str, Any]
NoteChange = Callable[[Notes], Notes]

NO_NOTES: Notes = MappingProxyType({})

MOST_VALUES = 50  # one-time values of a session at once; the oldest give way
MOST_FLASHES = 50

_METHODS = "amr"  # method of authentication -> Unix seconds
_VALUES = "once"  # id of a one-time value -> [Unix seconds of its end, its data, encrypted]
_FLASHES = "flash"  # [id, category, text] each
_ACTING = "acting"  # who acts in the name of the user: as in Acting
_BEGUN = "begun"  # the session is kept though it is empty


class Actor(NamedTuple):
    """Who acts in the name of a session's user."""

    user_id: str
    """The user who really is there."""
    reason: str
    since: int
    """Unix seconds."""
    until: int
    """When the session goes back to the real user by itself, in Unix seconds."""


class Flash(NamedTuple):
    """A message for the next page."""

    category: str
    text: str


def without(notes: Notes, *names: str) -> dict[str, Any]:
    return {name: value for name, value in notes.items() if name not in names}


# -- how the user authenticated -----------------------------------------------------------------


def methods_in(notes: Notes) -> dict[str, int]:
    """Return the methods by which the user authenticated, and when each was used last, in Unix seconds."""
    return dict(notes.get(_METHODS, {}))


def proven(methods: Iterable[str], at: int, notes: Notes) -> Notes:
    """Note that the user authenticated by *methods*."""
    used = {**notes.get(_METHODS, {}), **dict.fromkeys(methods, at)}
    return {**notes, _METHODS: used} if used else notes


def of_another_login(notes: Notes) -> Notes:
    """Return what of *notes* goes on when a user signs in: nothing about how somebody did before."""
    return without(notes, _METHODS, _ACTING)


# -- one-time values ---------------------------------------------------------------------------


def issued(name: str, until: int, sealed: str, now: int, notes: Notes) -> Notes:
    """Note a one-time value, under its id."""
    live = {key: value for key, value in notes.get(_VALUES, {}).items() if value[0] > now}
    kept = sorted(live.items(), key=lambda item: item[1][0])[max(0, len(live) + 1 - MOST_VALUES) :]
    return {**notes, _VALUES: {**dict(kept), name: [until, sealed]}}


def redeemed(name: str, now: int, notes: Notes) -> tuple[Notes, str] | None:
    """Return *notes* without the value *name*, and its data; None if there is none."""
    values = notes.get(_VALUES, {})
    if name not in values or values[name][0] <= now:
        return None
    return _put(notes, _VALUES, without(values, name)), values[name][1]


# -- messages ----------------------------------------------------------------------------------


def flashed(name: str, category: str, text: str, notes: Notes) -> Notes:
    """Note a message under the id *name*, so that it is there once even if it is noted twice."""
    before = [each for each in notes.get(_FLASHES, []) if each[0] != name]
    return {**notes, _FLASHES: [*before, [name, category, text]][-MOST_FLASHES:]}


def flashes_in(notes: Notes) -> list[Flash]:
    return [Flash(category, text) for _, category, text in notes.get(_FLASHES, [])]


def taken(notes: Notes) -> tuple[Notes, list[Flash]] | None:
    """Return *notes* without messages, and the messages; None if there are none."""
    found = flashes_in(notes)
    return (without(notes, _FLASHES), found) if found else None


def is_flash(change: NoteChange) -> bool:
    """Return whether *change* adds a message."""
    return isinstance(change, partial) and change.func is flashed


# -- acting in another's name --------------------------------------------------------------------


class Acting(NamedTuple):
    """That a user acts in the name of another one."""

    user_id: str
    reason: str
    since: int
    until: int
    session: str
    """The handle of that user's own session. If it ends, this one opens nothing."""

    @property
    def actor(self) -> Actor:
        return Actor(*self[:-1])


def acting_in(notes: Notes) -> Acting | None:
    found = notes.get(_ACTING)
    return None if found is None else Acting(*found)


def actor_in(notes: Notes) -> str | None:
    """Return the id of the user who acts in another's name."""
    acting = acting_in(notes)
    return None if acting is None else acting.user_id


def acts(acting: Acting) -> Notes:
    """Return the notes of a session in which somebody acts in another's name."""
    return {_ACTING: list(acting)}


# -- a session without fields --------------------------------------------------------------------


def begun(notes: Notes) -> Notes:
    """Note that the session is kept, though it may have no fields."""
    return {**notes, _BEGUN: True}


def _put(notes: Notes, name: str, value: Any) -> Notes:
    return {**notes, name: value} if value else without(notes, name)
