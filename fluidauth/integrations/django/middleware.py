"""Django's session middleware, with four additions, for its place in ``MIDDLEWARE``:

    "fluidauth.integrations.django.middleware.SessionMiddleware"

The ``session_key`` of ``request.session`` is public, for packages that keep it. A failing store is a 503
and not a 500. No cache keeps a response that carries a session's cookie (CVE-2026-35192). What a streaming
response changes is saved at its end.
"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.signals import got_request_exception
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control

from fluidauth.engine.cross_origin import refusal
from fluidauth.errors import Refusal, StoreError
from fluidauth.formats.headers import UNAVAILABLE, Answer, refuse
from fluidauth.formats.request_head import UPGRADE
from fluidauth.middleware.development import REFUSED, refusal_of_environ
from fluidauth.middleware.plain_http import sender_of_environ, warn_sender
from fluidauth.rules.origins import SAFE_METHODS

from . import status_page
from .configuration import get_engine
from .request_session import RequestSession, afollowed, followed, value_for_cookie
from .serving import head_of, serving
from .store import SessionStore


class SessionMiddleware(DjangoSessionMiddleware):  # type: ignore[misc]  # Django has no types
    SessionStore: Any

    def __init__(self, get_response: Any) -> None:
        super().__init__(status_page.before(get_response))
        store = self.SessionStore
        self._is_ours = issubclass(store, SessionStore)
        if self._is_ours:  # or a subclass in the application, with its name in key_salt
            get_engine()  # so that a wrong or weak setting stops the start
            self.SessionStore = type(
                store.__name__, (RequestSession, store), {"__qualname__": store.__qualname__}
            )

    def _since(self) -> float:
        return get_engine().requests.clock() if self._is_ours else 0.0

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if isinstance(request.session, RequestSession):
            request.session._from_cookie = True

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for a view that needed its session while the store failed, or a newer login."""
        if isinstance(exception, Refusal):
            return _answered(refuse(exception))
        return _unavailable() if isinstance(exception, StoreError) else None

    def __call__(self, request: HttpRequest) -> Any:
        """Answer also for an error page that needed the session, and so became an error itself."""
        if self._is_ours and not self.async_mode and (refused := _refusal(request)) is not None:
            return refused
        with serving(request, self._since()):
            try:
                return super().__call__(request)
            except StoreError:
                return _unavailable()

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        if self._is_ours and (refused := _refusal(request)) is not None:
            return refused
        with serving(request, self._since()):
            try:
                response: HttpResponseBase = await super().__acall__(request)
            except StoreError:
                return _unavailable()
            return response

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if _hides_failure(request, response):
            response.close()
            response = _unavailable()
        try:
            response = super().process_response(request, response)
            _hand_out(request, response)
            _follow(request, response)
        except (StoreError, Refusal) as error:  # a login that another origin made is refused when it is saved
            response.close()
            return _answered(refuse(error)) if isinstance(error, Refusal) else _unavailable()
        _clear_site(request, response)
        if settings.SESSION_COOKIE_NAME in response.cookies and "private" not in response.get(
            "Cache-Control", ""
        ):
            patch_cache_control(response, no_store=True)
        return response


def _hand_out(request: HttpRequest, response: HttpResponseBase) -> None:
    """Put what opens the session into its cookie: Django put its public key there."""
    name, session = settings.SESSION_COOKIE_NAME, getattr(request, "session", None)
    if name not in response.cookies:
        return
    value = value_for_cookie(session, response.cookies[name].value)
    if value is None:
        del response.cookies[name]
        return
    response.cookies[name] = value
    if isinstance(session, RequestSession) and not request.is_secure():
        _send_over_plain_http(request, response.cookies[name])


def _send_over_plain_http(request: HttpRequest, morsel: Any) -> None:
    """Let browsers keep the cookie in *morsel* in development mode; otherwise report if one drops it."""
    requests = get_engine().requests
    if requests.development and not morsel.key.startswith("__"):
        morsel["secure"] = ""
    if morsel["secure"]:
        warn_sender(requests, sender_of_environ(request.META))


def _clear_site(request: HttpRequest, response: HttpResponseBase) -> None:
    """Have the browser forget what it keeps of a site that the user has left."""
    session = getattr(request, "session", None)
    if not (isinstance(session, RequestSession) and session._left and session._signed_in[0] is None):
        return
    kinds = get_engine().policy.clear_site_data
    if kinds is not None:
        response["Clear-Site-Data"] = kinds


def _follow(request: HttpRequest, response: HttpResponseBase) -> None:
    """Save what changes from now on, while the body streams, unless that needs a cookie.

    Nothing of a 5xx is kept, as in Django.
    """
    session = getattr(request, "session", None)
    if not isinstance(session, RequestSession):
        return
    session.modified, session._head_left = False, True
    if response.streaming and response.status_code < 500 and not isinstance(response, FileResponse):
        follow = afollowed if response.is_async else followed
        response.streaming_content = follow(session, response.streaming_content)


def _hides_failure(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Return whether Django turned a failing store into a 500, for a middleware that needed it."""
    session = getattr(request, "session", None)
    failed = getattr(request, "_store_failed", False) or getattr(session, "_failed", False)
    return response.status_code == 500 and bool(failed)


def _note(request: HttpRequest | None, **others: Any) -> None:
    """Note the error that Django is about to turn into a 500, if it is one of the store."""
    if request is not None and isinstance(sys.exc_info()[1], StoreError):
        request._store_failed = True


got_request_exception.connect(_note)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to a request that is not served: in development mode, or because of its origin."""
    engine = get_engine()
    answer = refusal_of_environ(request.META) if engine.development else None
    if answer is not None:
        engine.requests.report([REFUSED])
    elif request.method not in SAFE_METHODS or UPGRADE in request.META:
        answer = refusal(engine.requests, head_of(request), request.META.get("HTTP_COOKIE", ""))
    return None if answer is None else HttpResponseForbidden(answer.body, headers=dict(answer.headers))


def _unavailable() -> HttpResponse:
    return _answered(UNAVAILABLE)


def _answered(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.code, headers=dict(answer.headers))
