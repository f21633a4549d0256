"""What the head of a response gets from the session: Vary, Cache-Control, Set-Cookie.

Every response passes here, so that none that depends on a cookie is cached for another
visitor. Flask (CVE-2023-30861, CVE-2026-27205) and Django (CVE-2026-35192) leaked sessions
by a path that was forgotten. The application's own headers stay as they are, and ours are
appended. A ``Vary`` that is there is extended, because a second one gets lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import AnyStr, Generic, NamedTuple

from fluidauth.errors import Refusal


@dataclass(frozen=True, slots=True)
class Words(Generic[AnyStr]):
    """The few names and values that we write, as one protocol spells them."""

    spell: Callable[[str], AnyStr]
    vary: AnyStr
    cookie: AnyStr
    and_cookie: AnyStr
    cache_control: AnyStr
    no_store: AnyStr
    set_cookie: AnyStr
    authorization: AnyStr
    and_authorization: AnyStr

    @classmethod
    def spelled(cls, spell: Callable[[str], AnyStr]) -> Words[AnyStr]:
        return cls(
            spell,
            spell("vary"),
            spell("Cookie"),
            spell(", Cookie"),
            spell("cache-control"),
            spell("no-store"),
            spell("set-cookie"),
            spell("Authorization"),
            spell(", Authorization"),
        )


TEXT: Words[str] = Words.spelled(str)
"""As WSGI carries them."""
BYTES: Words[bytes] = Words.spelled(lambda text: text.encode("latin-1"))
"""As ASGI carries them."""


def vary(
    headers: Iterable[tuple[AnyStr, AnyStr]], words: Words[AnyStr], by: AnyStr | None = None
) -> list[tuple[AnyStr, AnyStr]]:
    """Return *headers* of a response that used the session, with ``Vary: Cookie``, or *by* another header."""
    amended = list(headers)
    first = -1
    for position, (name, value) in enumerate(amended):
        if len(name) == 4 and name.lower() == words.vary:
            named = "cookie" if by is None else "authorization"
            if not _directives(value).isdisjoint((named, "*")):
                return amended
            first = position if first < 0 else first
    if first < 0:
        amended.append((words.vary, words.cookie if by is None else by))
    else:  # layers outside add to the first one, and some then drop the others
        name, value = amended[first]
        amended[first] = (name, value + (words.and_cookie if by is None else words.and_authorization))
    return amended


def forbid_storing(
    headers: list[tuple[AnyStr, AnyStr]], words: Words[AnyStr]
) -> tuple[list[tuple[AnyStr, AnyStr]], bool]:
    """Return *headers* of a response that carries our cookie, with ``no-store`` if necessary.

    ``private`` is enough as well. Also return whether a ``public`` or ``s-maxage`` was removed.
    """
    values = [value for name, value in headers if name.lower() == words.cache_control]
    given = set().union(*map(_directives, values))
    if given & {"no-store", "private"}:
        return headers, False
    overridden = any(word == "public" or word.startswith("s-maxage") for word in given)
    if overridden:
        headers = [header for header in headers if header[0].lower() != words.cache_control]
    headers.append((words.cache_control, words.no_store))
    return headers, overridden


def sets_cookie(headers: Iterable[tuple[AnyStr, AnyStr]], words: Words[AnyStr], name: str) -> bool:
    """Return whether *headers* set the cookie *name*."""
    for key, value in headers:
        if len(key) == 10 and key.lower() == words.set_cookie and value.startswith(words.spell(f"{name}=")):
            return True
    return False


def _directives(value: str | bytes) -> set[str]:
    """Return the comma-separated words of a header's *value*, in lower case."""
    line = value if isinstance(value, str) else value.decode("latin-1")
    return {word.strip().lower() for word in line.split(",")}


class Answer(NamedTuple):
    """What is sent instead of an application's response: nothing to cache."""

    status: str
    body: bytes
    more: tuple[tuple[str, str], ...] = ()
    kind: str = "text/plain; charset=utf-8"
    cached: str = "no-store"

    @property
    def code(self) -> int:
        return int(self.status[:3])

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [
            ("content-type", self.kind),
            ("content-length", str(len(self.body))),
            ("cache-control", self.cached),
            *self.more,
        ]


UNAVAILABLE = Answer(
    "503 Service Unavailable",
    b"The service is temporarily unavailable. Please try again.\n",
    (("retry-after", "5"),),
)
"""The answer while the store is out of order: no cookie."""
TOO_MANY_COOKIES = Answer("400 Bad Request", b"Too many cookies came with this. Please try again.\n")
"""The answer to a logout with more cookies than we read: it clears ours."""


def refuse(error: Refusal) -> Answer:
    """Return the answer to a request that raised *error*."""
    more = tuple((name.lower(), value) for name, value in error.headers().items())
    status = f"{error.status} {HTTPStatus(error.status).phrase}"
    return Answer(status, f"{error.told}\n".encode("ascii"), more)
