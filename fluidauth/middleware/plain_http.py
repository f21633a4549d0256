"""A Secure cookie over plain http: which clients drop it, and what to do. Logged once for each host.

Chromium since 89 and Firefox since 75 treat ``http://localhost`` and other names of this machine as secure,
also for ``__Host-`` names. The client curl does so since 7.79, for three of these names. Safari and Python's
libraries do not. What a proxy says in ``X-Forwarded-Proto`` or ``Forwarded`` only silences the warning, and
changes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fluidauth.engine.requests import Requests
from fluidauth.formats.loopback import is_local_name

_BROWSER = re.compile(r"\b(Chrome|HeadlessChrome|Chromium|Firefox)/(\d{1,4})")
_KEEPS_SINCE = {"Firefox": 75}  # the others: 89
_CURL = re.compile(r"curl/(\d{1,3})\.(\d{1,3})")
_OF_CURL = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d*)?", re.IGNORECASE)
_PROTO = re.compile(r"(?:^|[;,\s])proto=\"?https\b", re.IGNORECASE)
_DROPPED = (
    "browsers drop the Secure cookie that went to %r over plain http. Use https. If a proxy does so already, "
    "let it send X-Forwarded-Proto, and let the server trust it (docs/deploying.md). On your own machine, "
    "set FLUIDAUTH_DEVELOPMENT=1"
)
_DROPPED_HERE = (
    "this client drops the Secure cookie that went to %r over plain http, as Safari and most others do. "
    "Chromium and Firefox keep it, because this is a name of the machine itself. "
    "Set FLUIDAUTH_DEVELOPMENT=1, or use https"
)


class Sender(NamedTuple):
    """How a request came, as it says: to which host, from which client, through which proxy."""

    host: str
    agent: str
    x_forwarded_proto: str
    forwarded: str


def warn_of_plain_http(requests: Requests, request: Mapping[str, Any]) -> None:
    """Warn if the client drops the cookie of a response to *request*, a WSGI environ or an ASGI scope."""
    if not requests.policy.cookie.secure:
        return
    if "type" not in request:
        if request.get("wsgi.url_scheme") == "http":
            warn_sender(requests, sender_of_environ(request))
    elif request.get("scheme") in ("http", "ws"):
        found = {name.lower(): value.decode("latin-1") for name, value in request["headers"]}
        names = (b"host", b"user-agent", b"x-forwarded-proto", b"forwarded")
        warn_sender(requests, Sender(*(found.get(name, "") for name in names)))


def sender_of_environ(environ: Mapping[str, Any]) -> Sender:
    """Return what a WSGI environ, or Django's ``META``, says."""
    names = ("HTTP_HOST", "HTTP_USER_AGENT", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED")
    host, *others = (str(environ.get(name, "")) for name in names)
    return Sender(host or str(environ.get("SERVER_NAME", "")), *others)


def warn_sender(requests: Requests, sender: Sender) -> None:
    """Warn of a Secure cookie that goes to *sender* over plain http, unless the client keeps it."""
    if _came_by_https(sender):
        return
    is_here = is_local_name(sender.host)
    if not (is_here and keeps_secure_cookies(sender.agent, sender.host)):
        requests.report_insecure(sender.host, _DROPPED_HERE if is_here else _DROPPED)


def keeps_secure_cookies(agent: str, host: str) -> bool:
    """Return whether a client with this ``User-Agent`` keeps a Secure cookie of *host*, a local name."""
    curl = _CURL.match(agent)
    if curl:
        return (int(curl[1]), int(curl[2])) >= (7, 79) and _OF_CURL.fullmatch(host) is not None
    browser = _BROWSER.search(agent)
    return browser is not None and int(browser[2]) >= _KEEPS_SINCE.get(browser[1], 89)


def _came_by_https(sender: Sender) -> bool:
    """Return whether a proxy says that the browser spoke https with it."""
    first = sender.x_forwarded_proto.partition(",")[0].strip().lower()  # the one next to the browser
    return first in ("https", "wss") or _PROTO.search(sender.forwarded.partition(",")[0]) is not None
