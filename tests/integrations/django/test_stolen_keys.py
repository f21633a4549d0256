"""The public key of a session opens nothing to whoever sends it, as a cookie or otherwise."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.sessions.backends.base import UpdateError
from django.test import Client, override_settings
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from fluidauth.integrations.django import SessionStore, trusting_keys
from tests.integrations.django.sites import MIDDLEWARE, Site, key_of, key_of_ada, name_of, user

USES: dict[str, Any] = {
    "read": lambda session: session.get("cart"),
    "write": lambda session: [session.update({"n": 1}), session.save()],
    "clear": lambda session: [session.clear(), session.save()],
    "cycle": lambda session: session.cycle_key(),
    "cycle unread": lambda session: [session.clear(), session.cycle_key()],
    "flush": lambda session: session.flush(),
    "flush after all": lambda session: [session.get("cart"), session.flush()],
    "aread": lambda session: asyncio.run(session.aget("cart")),
    "asave": lambda session: [session.clear(), asyncio.run(session.asave())],
    "acycle unread": lambda session: [session.clear(), asyncio.run(session.acycle_key())],
    "aflush": lambda session: asyncio.run(session.aflush()),
}
ENDS: dict[str, Any] = {
    "delete": lambda session: session.delete(),
    "adelete": lambda session: asyncio.run(session.adelete()),
}


def is_untouched(key: str) -> bool:
    with trusting_keys():
        fields = dict(SessionStore(key).items())
    return fields.get("cart") == ["tea"] and "n" not in fields and auth.SESSION_KEY in fields


def used(session: Any, use: str) -> Any:
    """Return what *use* of *session* gave away."""
    try:
        {**USES, **ENDS}[use](session)
    except UpdateError:
        session.modified = False  # else the response is the 400 that tells of it
        return {}
    return dict(session.items()).keys() - {"n"}


@pytest.mark.requirement("23")
@pytest.mark.parametrize(
    ("middleware", "use"), [*product(MIDDLEWARE, USES), ("ours", "delete"), ("ours", "adelete")]
)
def test_key_as_a_cookie_opens_and_ends_nothing(site: Site, middleware: str, use: str) -> None:
    key = key_of_ada()
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        thief = type(site)()
        thief.client.cookies["sessionid"] = key

        def steal(request: Any) -> list[Any]:
            told = key_of(request) if middleware == "ours" else None
            return [told, list(used(request.session, use)), name_of(request)]

        stolen = thief.ask(steal)

    assert stolen == [None, [], ""]
    assert is_untouched(key)


@pytest.mark.requirement("23")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("who", ["bob", None])
def test_key_in_a_request_of_somebody_else_opens_nothing(site: Site, who: str | None, use: str) -> None:
    """Whatever hands it to ``SessionStore``: a header, a form, a token of a package."""
    key = key_of_ada()
    if who:
        site.ask(lambda request: auth.login(request, user(who)))

    assert site.ask(lambda request: sorted(used(SessionStore(key), use))) == []

    assert is_untouched(key)


@pytest.mark.requirement("23")
def test_session_under_a_key_does_not_vouch_for_itself(site: Site) -> None:
    """Where a package puts what a header names in the place of the request's session."""
    key = key_of_ada()

    def swap(request: Any) -> list[Any]:
        request.session = SessionStore(key)
        return [list(request.session.keys()), list(SessionStore(key).keys()), key_of(request)]

    assert site.ask(swap) == [[], [], None]
    assert is_untouched(key)


@pytest.mark.requirement("23")
@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_key_opens_nothing_in_what_a_request_begins(site: Site, middleware: str) -> None:
    """A thread has none of the request's context, and a request within it ends before it."""
    key = key_of_ada()

    def read() -> Any:
        return SessionStore(key).get("cart")

    def in_thread(request: Any) -> Any:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(read).result()

    def after_another(request: Any) -> Any:
        Client().get("/none-such/")
        return read()

    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        assert [site.ask(in_thread), site.ask(after_another)] == [None, None]
    assert is_untouched(key)


@pytest.mark.requirement("23")
def test_key_as_a_cookie_opens_nothing_in_an_application_beside_django() -> None:
    """FastAPI runs what does not await in threads, of which Django hears nothing."""
    key, beside = key_of_ada(), FastAPI()

    @beside.get("/")
    def read(request: Request) -> Any:
        return SessionStore(request.cookies["sessionid"]).get("cart")

    assert TestClient(beside, cookies={"sessionid": key}).get("/").json() is None
    assert is_untouched(key)
