"""Addresses on this site alone: where a page of sign-in leads back to."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode, urlsplit

from .request_head import RequestHead

# Browsers take a backslash for a slash, and leave out tabs and line breaks: //host and /\host lead away.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_SAFE = "/:@!$&'()*+,;=~-._"
NEXT = "next"
"""The name of the query parameter that leads back."""


def local_path(address: object, default: str = "/") -> str:
    """Return *address* if it is a path on this site, with or without a query, or else *default*.

    An address that a client sent may lead anywhere. This one does not (open redirect, CWE-601).
    """
    return address if isinstance(address, str) and _LOCAL.fullmatch(address) else default


def page_of(url: str, head: RequestHead) -> str | None:
    """Return *url*, a page, so that it leads back to where the request *head* comes from.

    Return None if that loads no page, as a script's or a program's. After a form was sent, the way back leads
    to the page of the form, because nothing is sent twice without the user.
    """
    mode = head.header("sec-fetch-mode")
    loads = mode == "navigate" if mode is not None else "text/html" in (head.header("accept") or "")
    if not loads or head.is_socket:
        return None
    back = _own(head) if head.method in ("GET", "HEAD") else _form(head)
    if back is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode({NEXT: back})}"


def _own(head: RequestHead) -> str | None:
    path = quote(head.path, safe=_SAFE)
    return local_path(f"{path}?{head.query}" if head.query else path, "") or None


def _form(head: RequestHead) -> str | None:
    """Return the page of the form that was sent, as the browser names it. It decides about nothing."""
    try:
        page = urlsplit(head.header("referer") or "")
    except ValueError:
        return None
    if page.netloc.lower() != head.host.lower():
        return None
    return local_path(f"{page.path}?{page.query}" if page.query else page.path, "") or None
