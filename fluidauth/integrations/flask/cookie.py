"""The cookie as Flask's settings describe it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fluidauth.formats.cookies import CookieOptions

COOKIE_NAME = "session"  # these are Flask's defaults
COOKIE_PATH = "/"
_SO_THAT_EXPIRES_IS_SENT = datetime(9999, 1, 1, tzinfo=UTC)


def configured(
    ours: CookieOptions,
    name: str,
    path: str,
    domain: str | None,
    same_site: str | None,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    max_age: int | None,
) -> CookieOptions:
    """Return *ours* with all that is configured. Raise :class:`ConfigError` if browsers would refuse it."""
    changes: dict[str, Any] = {"expires": _SO_THAT_EXPIRES_IS_SENT}
    if path != COOKIE_PATH:
        changes["path"] = path
    if domain:
        changes["domain"] = domain.removeprefix(".")  # as Werkzeug sends it (RFC 6265, section 5.2.3)
    if same_site:
        changes["same_site"] = same_site
    if secure:
        changes["secure"] = True
    if not http_only:
        changes["http_only"] = False
    if partitioned:
        changes["partitioned"] = True
    if max_age is not None:
        changes["max_age"] = max_age
    if name != COOKIE_NAME:
        changes["name"] = name
    elif ours.name == ours.safest_name():
        changes["name"] = ""  # the safest of the new options
    return replace(ours, **changes)
