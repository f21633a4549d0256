"""What an application says of sessions that another system began, so that they go on here.

Public: ``SessionEngine(adopt=[...])`` takes adopters, and ``operations/adopt`` uses them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from fluidauth.formats.cookies import CookieOptions

__all__ = ["Adopted", "Adopter"]


class Adopted(NamedTuple):
    """What an old session held: JSON fields, and who was signed in, as far as that is known."""

    fields: dict[str, Any]
    user_id: str | None = None


class Adopter(ABC):
    """Reads sessions of another system, by that system's own rules.

    ``name`` is in events and is part of the ids, so it must not change. ``cookie`` says how the old cookie
    was named and where it was sent. ``lifetime`` is the number of seconds for which one may still come in.
    ``blocks`` says that :meth:`read` and :meth:`forget` wait for something. Asynchronous code calls them in
    a thread.
    """

    name: str
    cookie: CookieOptions
    lifetime: int
    blocks = False

    def identity(self, value: str) -> str | None:
        """Return what the cookie *value* names, the same for each of its spellings; None if it is forged.

        By default this is the whole value. If the cookie is signed, return what was signed, without the
        signature. No store is asked for a cookie without an identity.
        """
        return value

    @abstractmethod
    def read(self, value: str) -> Adopted | None:
        """Return the session that the cookie *value* opens; None if that is forged, expired or unknown.

        Raise ``StoreError`` if the old store is out of order: that is a 503, not a logout.
        """

    def user_of(self, fields: dict[str, Any]) -> str | None:
        """Return the user who is signed in by *fields*, plain JSON; None for nobody, or if they do not say.

        If the application still signs users in and out by fields, the session's user follows this.
        """
        return None

    def forget(self, value: str) -> None:
        """Remove the old session. The new one is stored by then."""
