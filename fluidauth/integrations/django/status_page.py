"""The page that says how long the session still lasts, before Django asks its urls: ``status_path``."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from fluidauth.formats.headers import Answer
from fluidauth.middleware.status import is_status, of_method, says_of

from .base import StoredSession
from .configuration import get_engine
from .facts import asession_of, session_of


def before(get_response: Any) -> Any:
    """Return *get_response*, after the page."""
    if not iscoroutinefunction(get_response):

        def respond(request: HttpRequest) -> HttpResponseBase:
            if not _asks(request):
                response: HttpResponseBase = get_response(request)
                return response
            answer = of_method(request.path, request.method or "")
            return _answered(answer or _said(request))

        return respond

    async def arespond(request: HttpRequest) -> HttpResponseBase:
        if not _asks(request):
            response: HttpResponseBase = await get_response(request)
            return response
        answer = of_method(request.path, request.method or "")
        return _answered(answer or await _asaid(request))

    return markcoroutinefunction(arespond)


def _asks(request: HttpRequest) -> bool:
    """Return whether *request* is for the page, or its script. Another engine's sessions have none."""
    if not isinstance(getattr(request, "session", None), StoredSession):
        return False
    return is_status(get_engine().requests.status_path, request.path)


def _said(request: HttpRequest) -> Answer:
    facts = session_of(request)
    facts.counts_as_activity = False
    if request.method == "POST":
        facts.extend()
    return says_of(facts, get_engine().requests.now())


async def _asaid(request: HttpRequest) -> Answer:
    facts = await asession_of(request)
    facts.counts_as_activity = False
    if request.method == "POST":
        await facts.aextend()
    return says_of(facts, get_engine().requests.now())


def _answered(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.code, headers=dict(answer.headers))
