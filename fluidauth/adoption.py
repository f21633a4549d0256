"""What an application says of sessions that another system began, for them to go on here.

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

    *name* is told in events and goes into ids: it must not change. *cookie* says how the old cookie was
    named and where it was sent, *lifetime* for how many seconds one may still come in. *blocks* says that
    :meth:`read` and :meth:`forget` wait for something: asynchronous code calls them in a thread.
    """

    name: str
    cookie: CookieOptions
    lifetime: int
    blocks = False

    def identity(self, value: str) -> str | None:
        """Return what the cookie *value* names, the same for each of its spellings; None if it is forged.

        By default all of it. Who signs returns what was signed, without the signature. No store is asked
        for a cookie without an identity.
        """
        return value

    @abstractmethod
    def read(self, value: str) -> Adopted | None:
        """Return the session that the cookie *value* opens; None if that is forged, expired or unknown.

        Raise ``StoreError`` if the old store is out of order: that is a 503, not a logout.
        """

    def user_of(self, fields: dict[str, Any]) -> str | None:
        """Return whom *fields*, plain JSON, say to be signed in; None for nobody, or if they do not say.

        Where an application goes on to sign in and out by fields, the session's user follows this.
        """
        return None

    def forget(self, value: str) -> None:
        """Remove the old session: the new one is stored."""
