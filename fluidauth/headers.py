"""What the head of a response gets from the session: Vary, Cache-Control, Set-Cookie.

Every response passes here, so that none that depends on a cookie can be cached for
another visitor: a forgotten way out is how Flask (CVE-2023-30861, CVE-2026-27205) and
Django (CVE-2026-35192) leaked sessions. The application's own headers stay as they are;
ours are appended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import AnyStr


def amend(
    headers: Iterable[tuple[AnyStr, AnyStr]],
    set_cookies: Iterable[str],
    text: Callable[[str], AnyStr],
) -> tuple[list[tuple[AnyStr, AnyStr]], bool]:
    """Return *headers* of a response that used the session, with ours appended.

    *text* turns text into the protocol's type. Also return whether a ``public`` or
    ``s-maxage`` of the application had to be overridden, since a cookie went out.
    """
    amended = [(name, value) for name, value in headers]
    if not _varies_by_cookie(amended, text):
        amended.append((text("vary"), text("Cookie")))
    cookies = list(set_cookies)
    if not cookies:
        return amended, False
    policy = _values(amended, text("cache-control"))
    overridden = False
    if not policy & {"no-store", "private"}:
        overridden = any(word == "public" or word.startswith("s-maxage") for word in policy)
        if overridden:
            amended = [(name, value) for name, value in amended if name.lower() != text("cache-control")]
        amended.append((text("cache-control"), text("no-store")))
    amended.extend((text("set-cookie"), text(cookie)) for cookie in cookies)
    return amended, overridden


def _varies_by_cookie(headers: list[tuple[AnyStr, AnyStr]], text: Callable[[str], AnyStr]) -> bool:
    return not _values(headers, text("vary")).isdisjoint(("cookie", "*"))


def _values(headers: list[tuple[AnyStr, AnyStr]], wanted: AnyStr) -> set[str]:
    """Return the comma-separated words of all headers named *wanted*, in lower case."""
    words: set[str] = set()
    for name, value in headers:
        if name.lower() == wanted:
            line = value if isinstance(value, str) else value.decode("latin-1")
            words.update(word.strip().lower() for word in line.split(","))
    return words


def as_bytes(text: str) -> bytes:
    """Return *text* as ASGI carries it."""
    return text.encode("latin-1")


def as_text(text: str) -> str:
    """Return *text* as WSGI carries it."""
    return text


UNAVAILABLE_BODY = b"The service is temporarily unavailable. Please try again.\n"
UNAVAILABLE_HEADERS = (
    ("content-type", "text/plain; charset=utf-8"),
    ("content-length", str(len(UNAVAILABLE_BODY))),
    ("cache-control", "no-store"),
    ("retry-after", "5"),
)
"""The answer while the store is out of order: no cookie, nothing to cache."""
