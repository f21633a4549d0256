"""What an engine does with a request of another origin: it is refused, or only reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluidauth.errors import CrossOriginError
from fluidauth.events import Notice
from fluidauth.formats.client_tokens import bearer_in
from fluidauth.formats.cookies import CookieSource, find_values, request_cookies
from fluidauth.formats.headers import Answer, refuse
from fluidauth.formats.request_head import RequestHead
from fluidauth.rules.origins import changes_nothing, foreign, foreign_login

if TYPE_CHECKING:
    from .requests import Requests

_LONGEST = 200  # characters of an origin in an event
_REFUSED = refuse(CrossOriginError())


def refusal(requests: Requests, head: RequestHead, cookies: CookieSource) -> Answer | None:
    """Return the answer to a request under our cookie that another origin made; None if it is served.

    It is reported in any case. What changes nothing is served, and callers that know so need not ask.
    """
    rules = requests.policy.origins
    if rules.mode == "off" or changes_nothing(head):
        return None
    origin = foreign(head, rules, requests.policy.cookie.secure)
    if origin is None or rules.exempts(head.path) or not _is_by_cookie(requests, head, cookies):
        return None
    _report(requests, "socket" if head.is_socket else "request", origin)
    return _REFUSED if rules.mode == "block" else None


def login_refusal(
    requests: Requests, head: RequestHead | None, cross_site: bool | None
) -> CrossOriginError | None:
    """Return the error if a page of another origin has a request sign somebody in that may not."""
    if head is None:
        return None
    rules = requests.policy.origins
    origin = foreign_login(head, rules, requests.policy.cookie.secure, cross_site)
    if origin is None:
        return None
    _report(requests, "login", origin)
    if rules.mode != "block" and cross_site is not False:
        return None
    return CrossOriginError("a page of another origin may not sign anybody in here")


def _is_by_cookie(requests: Requests, head: RequestHead, cookies: CookieSource) -> bool:
    """Return whether a request has a cookie that may open a session, genuine or not.

    A client's token is not sent by a browser that does not know it, and goes before cookies.
    """
    policy = requests.policy
    if policy.client_tokens and bearer_in(head.header("authorization") or "") is not None:
        return False
    return bool(find_values(request_cookies(cookies), (*policy.cookie_names, *requests.former_names), 1))


def _report(requests: Requests, what: str, origin: str) -> None:
    requests.crossings += 1
    requests.report([Notice("cross_origin", what, number=requests.crossings, origin=origin[:_LONGEST])])
