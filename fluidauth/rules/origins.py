"""Whether a request was made by a page of ours, or by one of another origin: by its headers alone.

Browsers say so in ``Sec-Fetch-Site``, which no page can set, since 2019 to 2023. Older ones, and those that
speak plain http with us, send ``Origin`` with each method that may change something. A client that sends
neither is no browser. ``Referer`` is never asked, as a page can hide it (OWASP, Cross-Site Request Forgery
Prevention). Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from fluidauth.errors import ConfigError
from fluidauth.formats.loopback import is_local_name
from fluidauth.formats.request_head import RequestHead

Mode = Literal["report", "block", "off"]

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
"""They change nothing (RFC 9110, section 9.2.1)."""
_OWN = ("same-origin", "none")  # none: by the user, from the address bar or a bookmark
_PORTS = {"http": ":80", "https": ":443"}
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")


class OriginRules(NamedTuple):
    """What an engine does with requests of other origins."""

    mode: Mode = "report"
    trusted: frozenset[str] = frozenset()
    """Origins whose requests pass."""
    exempt: tuple[str, ...] = ()
    """Paths of routes that are not checked; one that ends with ``/*`` stands for all below it."""

    def exempts(self, path: str) -> bool:
        """Return whether the route at *path* is not checked. What leads up again is no such route."""
        if ".." in path.split("/"):
            return False
        return any(
            path.startswith(each[:-1]) if each.endswith("/*") else path == each for each in self.exempt
        )


REPORT = OriginRules()


def rules_of(mode: object, trusted: Collection[str], exempt: Collection[str]) -> OriginRules:
    """Return the rules as users give them; raise :class:`ConfigError` for what could not be meant."""
    if mode not in ("report", "block", "off"):
        raise ConfigError(f"cross_origin={mode!r} must be 'report', 'block' or 'off'")
    for name, values in (("trusted_origins", trusted), ("cross_origin_exempt", exempt)):
        if isinstance(values, str) or not isinstance(values, Collection):
            raise ConfigError(f"{name}={values!r} must be a tuple of text")
    origins = {_checked(each) for each in trusted}
    for path in exempt:
        if not isinstance(path, str) or not path.startswith("/") or "*" in path.removesuffix("/*"):
            raise ConfigError(
                f"cross_origin_exempt has {path!r}, which is no path such as '/saml/acs' or '/hooks/*'"
            )
    return OriginRules(mode, frozenset(origins), tuple(exempt))


def _checked(origin: object) -> str:
    found = origin.lower() if isinstance(origin, str) else ""
    if not _ORIGIN.fullmatch(found):
        raise ConfigError(
            f"trusted_origins has {origin!r}, which is no origin such as 'https://app.example.com': a "
            "scheme, a host and a port if it is not the scheme's own, without a path"
        )
    return without_port(found)


def without_port(origin: str) -> str:
    """Return *origin* without a port that its scheme has anyway, as browsers write it."""
    return origin.removesuffix(_PORTS.get(origin.partition("://")[0], "/"))


def foreign(head: RequestHead, rules: OriginRules, secure: bool) -> str | None:
    """Return which origin made a request, if that is neither ours nor trusted; else None.

    The answer is the value of ``Origin``, or of ``Sec-Fetch-Site`` if there is none. If the cookie is
    *secure*, no page of ours is on plain http, except on this machine.
    """
    site = head.header("sec-fetch-site")
    if site in _OWN:
        return None
    origin = head.header("origin")
    if origin is not None and without_port(origin.lower()) in rules.trusted:
        return None
    if site is not None:
        return origin or site
    return None if origin is None or _is_at_host(origin, head, secure) else origin


def _is_at_host(origin: str, head: RequestHead, secure: bool) -> bool:
    """Return whether *origin* is the host that *head* names, under a scheme that may be ours."""
    found = origin.lower()
    if not _ORIGIN.fullmatch(found):  # null, of a sandbox, a file, or a redirect from elsewhere
        return False
    scheme, _, place = without_port(found).partition("://")
    host = without_port(f"{scheme}://{head.host.lower()}").partition("://")[2]
    if place != host:
        return False
    if scheme == "https":  # a proxy may have ended the TLS, so that the server saw http
        return True
    return head.scheme != "https" and (not secure or is_local_name(place))


def changes_nothing(head: RequestHead) -> bool:
    """Return whether *head* is that of a method which changes nothing, and opens no socket."""
    return head.method in SAFE_METHODS and not head.is_socket


def foreign_login(head: RequestHead, rules: OriginRules, secure: bool, cross_site: bool | None) -> str | None:
    """Return which other origin makes a request sign somebody in, if it may not; else None.

    A page of another site could sign the visitor in as somebody else: as its own user, who reads later what
    the visitor did. A navigation of the whole window may come from elsewhere, as from an identity provider or
    a mail. It is tied to the browser by a one-time value. With *cross_site* false it may not, either. With
    true, the caller has checked where the request comes from.
    """
    if cross_site:
        return None
    if cross_site is None and (rules.mode == "off" or rules.exempts(head.path) or _navigates(head)):
        return None
    return foreign(head, rules, secure)


def _navigates(head: RequestHead) -> bool:
    """Return whether *head* loads a page into the whole window, by a method that changes nothing.

    A client that does not say so is an old browser, or none. Its ``Origin``, if any, decides.
    """
    mode, destination = head.header("sec-fetch-mode"), head.header("sec-fetch-dest")
    return changes_nothing(head) and mode == "navigate" and destination in ("document", None)
