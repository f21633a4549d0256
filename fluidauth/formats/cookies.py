"""The cookie: find ours in a request's header, render ``Set-Cookie``.

This follows RFC 6265bis strictly. Names match exactly, only spaces and tabs are stripped,
and nothing is unquoted or decoded. A malformed cookie next to ours does no harm.
``http.cookies`` is not used, because it drops every cookie after a bad one, and takes
seconds for 64 KB (CVE-2024-7592).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fluidauth.errors import ConfigError
from fluidauth.records import MAX_LIFETIME, seconds

CookieSource = str | Iterable[tuple[bytes, bytes]]
"""A ``Cookie`` header's text (WSGI), or the header list of an ASGI scope."""
CookiePlace = tuple[str, str, str | None]
"""Name, path and domain. A cookie with the same three replaces another one (RFC 6265bis, section 5.7)."""

MAX_HEADER_LENGTH = 64 * 1024
MAX_CANDIDATES = 4
MAX_LEAVING = 64  # candidates that a logout reads, and ends
MAX_PAIR_LENGTH = 4096  # name and value together, RFC 6265bis section 5.6
MAX_ATTRIBUTE_LENGTH = 1024
TOKEN_LENGTH = 66

# \Z and fullmatch throughout: `$` would let a newline through into a header.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 token
_PATH = re.compile(r"/[\x21-\x3a\x3c-\x7e]*")  # printable, no semicolon, no space
_DOMAIN = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_PREFIXES = ("__Host-", "__Secure-")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class CookieOptions:
    """How the cookie is named, and where browsers send it.

    :param name: By default the safest that the other options allow: ``__Host-session``, ``__Secure-session``
        with a domain or path, ``session`` with ``secure=False``.
    :param http_only: Whether scripts of the page cannot read it.
    :param max_age: Seconds or timedelta; only shortens what the session's absolute deadline allows.
    :param secure: False for plain http, in development.
    :param same_site: ``"lax"``, ``"strict"`` or ``"none"``.
    :param expires: An aware datetime; only shortens, as *max_age* does.
    :param path: Where on the host it is sent.
    :param domain: A domain whose hosts all get it. By default only the host that set it does.
    :param partitioned: Whether it is kept apart for each site that embeds this one (CHIPS).
    :param persistent: Whether it outlives the browser.
    :param former_names: Names that are read too, and replaced by *name* at the next use.
    :raises ConfigError: for options that a browser would refuse (RFC 6265bis sections 4.1.3 and 5.6), or that
        could inject a header.
    """

    name: str = ""
    http_only: bool = True
    max_age: int | timedelta | None = None
    secure: bool = True
    same_site: str = "lax"
    expires: datetime | None = None
    path: str = "/"
    domain: str | None = None
    partitioned: bool = False
    persistent: bool = True
    former_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "name", self.name or self.safest_name())
        if isinstance(self.former_names, str):
            put(self, "former_names", (self.former_names,))
        if not isinstance(self.former_names, tuple | list):
            raise ConfigError(f"former_names={self.former_names!r} must be a tuple of names")
        put(self, "former_names", tuple(n for n in self.former_names if n != self.name))
        if not isinstance(self.same_site, str) or self.same_site.lower() not in ("lax", "strict", "none"):
            raise ConfigError(f"same_site={self.same_site!r} must be 'lax', 'strict' or 'none'")
        put(self, "same_site", self.same_site.lower())
        if self.max_age is not None:
            put(self, "max_age", seconds("max_age", self.max_age))
        _check_attributes(self)
        _check_name(self.name)
        for name in self.former_names:
            _check_name(name)
        _check_prefix(self)

    def safest_name(self) -> str:
        """Return the default of *name*."""
        if not self.secure:
            return "session"
        return "__Host-session" if self.domain is None and self.path == "/" else "__Secure-session"

    def over_plain_http(self) -> CookieOptions:
        """Return these options, changed so that a browser keeps the cookie of ``http://localhost``."""
        plain = self.name.removeprefix("__Host-").removeprefix("__Secure-")
        lax = "lax" if self.same_site == "none" else self.same_site
        return replace(self, name=plain, secure=False, same_site=lax, partitioned=False, domain=None)

    @property
    def names(self) -> tuple[str, ...]:
        """The name in use, then the former ones."""
        return (self.name, *self.former_names)

    def issue(self, token: str, deadline: int, now: int, persistent: bool) -> str:
        """Return the ``Set-Cookie`` value that sends *token*.

        ``Max-Age`` ends at *deadline* (Unix seconds) at the latest, and is never below 1.
        """
        if not persistent:
            return f"{self.name}={token}{self._attributes(self.name, '')}"
        ages = [deadline - now, MAX_LIFETIME]
        if self.max_age is not None:
            ages.append(seconds("max_age", self.max_age))
        if self.expires is not None:
            ages.append(int(self.expires.timestamp()) - now)
        age = max(1, min(ages))
        until = f"; expires={http_date(now + age)}" if self.expires is not None else ""
        return f"{self.name}={token}{self._attributes(self.name, f'; Max-Age={age}{until}')}"

    def expire(self, name: str | None = None) -> str:
        """Return the ``Set-Cookie`` value that removes the cookie *name*, by default this one.

        Name, path, domain and Secure must be as they were when it was set. Otherwise the
        browser keeps it. Browsers follow ``Max-Age=0``, but the grammar of RFC 6265bis,
        section 4.1.1 does not allow it. So ``Expires`` is sent as well.
        """
        name = name or self.name
        return f"{name}={self._attributes(name, f'; Max-Age=0; expires={http_date(0)}')}"

    def place(self, name: str | None = None) -> CookiePlace:
        """Return what decides which cookie of a browser a ``Set-Cookie`` for *name* replaces."""
        name = name or self.name
        return (name, "/", None) if name.startswith("__Host-") else (name, self.path, self.domain)

    def _attributes(self, name: str, age: str) -> str:
        at_host = name.startswith("__Host-")
        return "".join(
            (
                f"; path={'/' if at_host else self.path}",
                age,
                "; httponly" if self.http_only else "",
                f"; samesite={self.same_site}",
                "; secure" if self.secure or name.startswith(_PREFIXES) else "",
                f"; domain={self.domain}" if self.domain and not at_host else "",
                "; partitioned" if self.partitioned else "",
            )
        )


def request_cookies(source: CookieSource) -> str:
    """Return the text of a request's ``Cookie`` header, or headers."""
    return source if isinstance(source, str) else _joined(source)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> str:
    # HTTP/2 may split the header. RFC 9113, section 8.2.3 joins it with a semicolon and a space.
    found: list[bytes] = []
    for name, value in headers:  # a comprehension is a call of its own before Python 3.12
        if len(name) == 6 and name.lower() == b"cookie":
            found.append(value)
    return b"; ".join(found).decode("latin-1")


def find_values(header: str, names: tuple[str, ...], limit: int = MAX_CANDIDATES) -> list[tuple[str, str]]:
    """Return each different ``(name, value)`` in a ``Cookie`` header, in the order of *names*.

    Stop at one more than *limit*.

    Any text gives a list, in linear time. Pairs without a name are skipped
    (CVE-2023-23934).
    """
    found: list[tuple[str, str]] = []
    pairs = header.split(";")
    for ours in names:
        for pair in pairs:
            if ours not in pair:
                continue  # nearly always: other cookies cost no more than a search
            name, equals, value = pair.partition("=")
            if equals and name.strip(" \t") == ours:
                candidate = (ours, value.strip(" \t"))
                if candidate not in found:
                    found.append(candidate)
                    if len(found) > limit:
                        return found
    return found


def is_joined(header: str, names: tuple[str, ...]) -> bool:
    """Return whether a cookie of *names* comes after a comma. It counts for nothing there.

    Several ``Cookie`` headers are joined by semicolons (RFC 9113, section 8.2.3). Some servers use commas.
    """
    return bool(find_values(header.replace(",", ";"), names, 1))


def http_date(moment: int) -> str:
    """Return Unix seconds *moment* as an IMF-fixdate (RFC 9110, section 5.6.7)."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} "
        f"{at.hour:02}:{at.minute:02}:{at.second:02} GMT"
    )


def _check_attributes(options: CookieOptions) -> None:
    if not isinstance(options.path, str) or not _PATH.fullmatch(options.path):
        raise ConfigError(f"cookie path={options.path!r} must start with / and hold no ; or space")
    if options.domain is not None and (
        not isinstance(options.domain, str) or not _DOMAIN.fullmatch(options.domain)
    ):
        raise ConfigError(f"cookie domain={options.domain!r} is not a host name")
    if max(len(options.path), len(options.domain or "")) > MAX_ATTRIBUTE_LENGTH - len("domain="):
        raise ConfigError(f"cookie attributes must stay under {MAX_ATTRIBUTE_LENGTH} bytes")
    if options.expires is not None and (
        not isinstance(options.expires, datetime) or options.expires.tzinfo is None
    ):
        raise ConfigError(f"cookie expires={options.expires!r} must be a datetime with a time zone")
    if not options.secure and options.same_site == "none":
        raise ConfigError("same_site='none' needs secure=True; browsers drop the cookie otherwise")
    if not options.secure and options.partitioned:
        raise ConfigError("partitioned=True needs secure=True; browsers drop the cookie otherwise")


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"cookie name {name!r} may hold only the characters of an HTTP token")
    if len(name) + TOKEN_LENGTH > MAX_PAIR_LENGTH:
        raise ConfigError(f"cookie name and value together exceed {MAX_PAIR_LENGTH} bytes")
    for prefix in _PREFIXES:
        if name.lower().startswith(prefix.lower()) and not name.startswith(prefix):
            raise ConfigError(f"cookie name {name!r} misspells the prefix {prefix!r}")


def _check_prefix(options: CookieOptions) -> None:
    """Refuse what contradicts the name's prefix (RFC 6265bis, section 4.1.3)."""
    name = options.name
    plain = name.removeprefix("__Host-").removeprefix("__Secure-")
    if name.startswith(_PREFIXES) and not options.secure:
        raise ConfigError(
            f"cookie name {name!r} demands Secure, but secure=False was given; "
            f"name the cookie {plain!r} for development, or keep secure=True"
        )
    if name.startswith("__Host-") and options.domain is not None:
        raise ConfigError(
            f"cookie name {name!r} forbids Domain, but domain={options.domain!r} was given; "
            f"drop the domain, or name the cookie '__Secure-{plain}'"
        )
    if name.startswith("__Host-") and options.path != "/":
        raise ConfigError(
            f"cookie name {name!r} demands path='/', but path={options.path!r} was given; "
            f"drop the path, or name the cookie '__Secure-{plain}'"
        )
    if options.secure and options.domain is not None and not name.startswith("__Secure-"):
        raise ConfigError(
            f"cookie name {name!r} lets sibling hosts of domain={options.domain!r} set it over "
            f"plain http; name the cookie '__Secure-{plain}'"
        )
