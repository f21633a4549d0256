"""What a request presented, and what it asked for besides changes of fields: plain values."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from fluidauth.formats.cookies import CookieOptions
from fluidauth.records import Lifetime, SessionRecord

from .notes import Acting, NoteChange

Presented = tuple[str, str]
"""The name of a cookie, or nothing for a client's token, and the token."""


class Credential:
    """A session id that a genuine cookie presented. Its ``repr`` does not show the id."""

    __slots__ = ("cookie", "handle", "is_kept", "kid", "presented", "session_id")

    def __init__(
        self, cookie: str, session_id: str, kid: str, handle: str, presented: Presented | None = None
    ) -> None:
        self.cookie: str = cookie  # its name; empty for a client's token
        self.session_id: str = session_id
        self.kid: str = kid
        self.handle: str = handle
        self.presented: Presented | None = presented
        self.is_kept: bool = False  # in ``Verified``, so that its record should be kept there, too

    def __repr__(self) -> str:
        return f"<Credential {self.cookie} kid={self.kid}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Credential cannot be pickled or copied: it holds a session id")


class Login(NamedTuple):
    """A login that this request asked for, or that took place in a former system."""

    user_id: str | None
    """None if the application signed its user out by its own fields, and keeps other fields."""
    lifetime: Lifetime | None
    auth_time: int | None
    """None if nobody knows when it was."""
    by_field: bool = False
    """Whether a field of the session says so. This may change until it is stored."""
    methods: tuple[str, ...] = ()
    """How the user authenticated."""
    begun: float | None = None
    """When the request of the login began, in Unix seconds; None if nobody knows."""
    acting: Acting | None = None
    """Who acts in the name of *user_id*, in a session of its own. Nobody authenticated then."""


class Adoption(NamedTuple):
    """A session of a former system, whose cookie this request presented. Its ``repr`` shows no secret."""

    name: str
    """Of the former system."""
    cookie: CookieOptions
    value: str
    message: bytes
    """What the new id is derived from."""
    marker: str
    """The handle of the marker. Once that is stored, it says that the old cookie was used."""
    until: int
    """Unix seconds: from then on no such cookie is genuine."""
    login: Login | None = None
    """The login of the old session."""
    taken: bool = False
    """Whether it was adopted already, so that only the cookie must be sent again."""

    def __repr__(self) -> str:
        return f"<Adoption {self.name}>"


class Wish(NamedTuple):
    """What the application asked for, besides changes of fields."""

    ends: bool = False
    """A logout."""
    gone: tuple[Credential, ...] = ()
    """All session ids that came with the logout. It ends their sessions, found or not."""
    formers: tuple[Adoption, ...] = ()
    """Sessions of former systems that came with it."""
    login: Login | None = None
    renews: bool = False
    """Another id for the same session."""
    lifetime: Lifetime | None = None
    """The timeouts that the session is to have from this save on."""
    confirmed_at: int | None = None
    """When the signed-in user authenticated again, in Unix seconds. This renews the session as well."""
    named: str | None = None
    """The user that the fields name and the record does not have yet. This renews the session as well."""
    notes: tuple[NoteChange, ...] = ()
    """Changes of the engine's notes, in their order."""
    alone_since: float | None = None
    """When all other sessions of the user were to end, in Unix seconds. This renews the session as well."""
    leaves: tuple[SessionRecord, Acting] | None = None
    """A session in another's name, which ends, and who acted there. That user's own session is renewed."""

    def only_end(self, before: Wish | None = None) -> Wish:
        """Return what ends alone: by a logout, or on the way back from another's name.

        What was left by the wish *before*, which was carried out, is not left again.
        """
        leaves = None if before is not None and before.leaves is self.leaves else self.leaves
        return Wish(self.ends, self.gone, self.formers, leaves=leaves)


NO_WISH = Wish()
