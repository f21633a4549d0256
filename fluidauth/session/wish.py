"""What a request presented, and what it asked for beside changes of fields: plain values."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from fluidauth.formats.cookies import CookieOptions
from fluidauth.records import Lifetime


class Credential:
    """A session id that a genuine cookie presented. Shows nothing of it."""

    __slots__ = ("cookie", "handle", "kid", "session_id")

    def __init__(self, cookie: str, session_id: str, kid: str, handle: str) -> None:
        self.cookie: str = cookie  # its name; empty where it was a client's token
        self.session_id: str = session_id
        self.kid: str = kid
        self.handle: str = handle

    def __repr__(self) -> str:
        return f"<Credential {self.cookie} kid={self.kid}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Credential cannot be pickled or copied: it holds a session id")


class Login(NamedTuple):
    """A sign-in that this request asked for, or that another system vouched for."""

    user_id: str | None
    """None where the application signed out whom its own fields named, and keeps others of them."""
    lifetime: Lifetime | None
    auth_time: int | None
    """None if nobody knows when it was."""
    by_field: bool = False
    """Whether a field of the session says so: until it is stored, that may change."""


class Adoption(NamedTuple):
    """A session of another system, whose cookie this request presented. Shows nothing of it."""

    name: str
    """Of the other system."""
    cookie: CookieOptions
    value: str
    message: bytes
    """What the new id is derived from."""
    marker: str
    """The handle that says, once it is stored, that the old cookie was used."""
    until: int
    """Unix seconds: from then on no such cookie is genuine."""
    login: Login | None = None
    """The sign-in of the old session."""
    taken: bool = False
    """Whether it was taken over already, and only the cookie is to be sent again."""

    def __repr__(self) -> str:
        return f"<Adoption {self.name}>"


class Wish(NamedTuple):
    """What the application asked for, beside changes of fields."""

    ends: bool = False
    """A logout."""
    gone: tuple[Credential, ...] = ()
    """All that came with the logout: it ends them, found or not."""
    formers: tuple[Adoption, ...] = ()
    """Sessions of former systems that came with it."""
    login: Login | None = None
    renews: bool = False
    """Another id for the same session."""
    lifetime: Lifetime | None = None
    """The timeouts that the session is to have from this save on."""
    confirmed_at: int | None = None
    """When the user who is signed in authenticated again, in Unix seconds; it renews as well."""
    named: str | None = None
    """Whom the fields name, of which the record knows nothing yet; it renews as well."""

    def only_end(self) -> Wish:
        """Return the logout alone."""
        return Wish(self.ends, self.gone, self.formers)


NO_WISH = Wish()
