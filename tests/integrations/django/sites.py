"""A site of Django through WSGI and ASGI."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from fluidauth.integrations.django import session_of
from tests.integrations.django_site import handlers

_OURS, *_OTHERS = settings.MIDDLEWARE
MIDDLEWARE = {
    "ours": [_OURS, *_OTHERS],
    "Django's": ["django.contrib.sessions.middleware.SessionMiddleware", *_OTHERS],
}


class Site:
    """Django's test client, which calls a function with the request."""

    path = "/"
    client_type: Any = Client

    def __init__(self) -> None:
        self.client: Any = self.client_type()

    def get(self, handler: Any) -> Any:
        """Return the response to a request in which *handler* is called."""
        handlers.append(handler)
        try:
            return self.answer()
        finally:
            handlers.pop()

    def answer(self) -> Any:
        return self.client.get(self.path)

    def ask(self, handler: Any) -> Any:
        """Return what *handler* returned."""
        response = self.get(handler)
        assert response.status_code == 200, response.content
        return response.json()["value"]

    @property
    def cookie(self) -> str | None:
        found = self.client.cookies.get("sessionid")
        return found.value or None if found else None

    def twin(self) -> Site:
        """Return a second tab: the same cookie at this moment."""
        other = type(self)()
        if self.cookie:
            other.client.cookies["sessionid"] = self.cookie
        return other


class AsyncSite(Site):
    """The same through ASGI: a coroutine that hands the request to a thread, as old code does."""

    path = "/async"
    client_type = AsyncClient

    def get(self, handler: Any) -> Any:
        async def handle(request: Any) -> Any:
            return await sync_to_async(handler)(request)

        return super().get(handle)

    def answer(self) -> Any:
        return asyncio.run(self.client.get(self.path))


def user(name: str = "ada") -> Any:
    return User.objects.get_or_create(username=name)[0]


def sign_in(request: Any) -> None:
    auth.login(request, user())


def put(**fields: Any) -> Any:
    return lambda request: request.session.update(fields)


def fields_of(request: Any) -> dict[str, Any]:
    return {name: value for name, value in request.session.items() if not name.startswith("_auth")}


def handle_of(request: Any) -> str:
    return str(session_of(request).handle)


def handle_in(session: Any) -> str:
    """Return the handle of a *session* without a request."""
    return handle_of(SimpleNamespace(session=session))


def name_of(request: Any) -> str:
    return str(request.user.get_username())


def key_of(request: Any) -> str | None:
    key: str | None = request.session.session_key
    return key


def key_of_ada() -> str:
    """Return the key of a session of the user whom ``sign_in`` signs in."""
    site = Site()
    site.ask(sign_in)
    site.ask(put(cart=["tea"]))
    return str(site.ask(key_of))
