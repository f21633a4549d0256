"""The application of :mod:`.open_ended` in Django, over WSGI and ASGI; who is signed in stands in a field."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from fluidauth import SessionClosed, new_secret

from .open_ended import CHUNKS, PACE, engine


def login(request: HttpRequest) -> HttpResponse:
    request.session["user"] = "ann"
    return JsonResponse({})


def show(request: HttpRequest) -> HttpResponse:
    return JsonResponse({name: request.session.get(name) for name in ("user", "note")})


def streamed(request: HttpRequest) -> HttpResponse:
    request.session.get("user")  # as a page does before its response begins
    ends = "ends" in request.GET
    return StreamingHttpResponse(_abody(request, ends) if hasattr(request, "scope") else _body(request, ends))


def _body(request: HttpRequest, ends: bool) -> Iterator[bytes]:
    yield b"begun\n"
    yield _change(request)
    for _ in range(0 if ends else CHUNKS):
        time.sleep(PACE)
        yield b"."


async def _abody(request: HttpRequest, ends: bool) -> AsyncIterator[bytes]:
    yield b"begun\n"
    yield await sync_to_async(_change)(request)
    for _ in range(0 if ends else CHUNKS):
        await asyncio.sleep(PACE)
        yield b"."


def _change(request: HttpRequest) -> bytes:
    session: Any = request.session
    try:
        if request.GET["do"] == "set":
            session["note"] = "kept"
        elif request.GET["do"] == "logout":
            session.flush()
        else:
            session.cycle_key()
            session["user"] = "bob"
    except SessionClosed:
        return b"refused\n"
    return b"done\n"


urlpatterns = [path("", show), path("login", login), path("stream", streamed)]
settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY=new_secret(),
    SESSION_COOKIE_NAME="session",
    SESSION_ENGINE="fluidauth.integrations.django",
    FLUIDAUTH={"store": engine.requests.store},
    MIDDLEWARE=["fluidauth.integrations.django.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
)
django.setup()
asgi_app = get_asgi_application()
wsgi_app = get_wsgi_application()
