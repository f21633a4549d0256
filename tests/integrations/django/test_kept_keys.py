"""What a package can do with a key that it kept: look at sessions of the user at hand, and end any."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import auth
from django.test import override_settings

from fluidauth import MemoryStore
from fluidauth.integrations.django import (
    SessionStore,
    trusting_keys,
)
from fluidauth.keys import new_secret
from tests.integrations.django.sites import (
    MIDDLEWARE,
    Site,
    fields_of,
    key_of,
    key_of_ada,
    put,
    sign_in,
    user,
)


def test_key_of_ones_own_other_session_opens_it(site: Site) -> None:
    """As the page that lists a user's devices does, and looks whether they are still signed in."""
    key = key_of_ada()
    site.ask(sign_in)

    def look(request: Any) -> Any:
        other = SessionStore(key)
        other["cart"].append("milk")
        other.save()
        assert other.session_key == key
        return [SessionStore().exists(key), dict(SessionStore(key).items())["cart"]]

    async def alook() -> Any:
        return await SessionStore(key).aget("cart")

    assert site.ask(look) == [True, ["tea", "milk"]]
    assert site.ask(lambda request: asyncio.run(alook())) == ["tea", "milk"]


def test_key_of_this_request_opens_its_session(site: Site) -> None:
    """Also an anonymous one."""
    site.ask(put(n=1))

    assert site.ask(lambda request: SessionStore(key_of(request)).get("n")) == 1


def test_key_of_a_login_under_way_opens_what_the_user_has(site: Site) -> None:
    """django-allauth looks through the user's sessions when he has just signed in."""
    key = key_of_ada()

    def look(request: Any) -> Any:
        auth.login(request, user())
        return SessionStore(key).get("cart")

    assert site.ask(look) == ["tea"]


@pytest.mark.parametrize("how", ["delete it", "delete", "adelete it", "adelete"])
def test_key_ends_its_session_anywhere(how: str) -> None:
    """In a command, or by one of the staff."""
    key = key_of_ada()
    assert SessionStore().exists(key)

    if how == "delete it":
        SessionStore(key).delete()
    elif how == "delete":
        SessionStore().delete(key)
    elif how == "adelete it":
        asyncio.run(SessionStore(key).adelete())
    else:
        asyncio.run(SessionStore().adelete(key))

    assert not SessionStore().exists(key)
    assert asyncio.run(SessionStore().aexists(key)) is False
    with trusting_keys():
        assert dict(SessionStore(key).items()) == {}


@pytest.mark.requirement("23")
def test_key_opens_its_session_where_nothing_is_served() -> None:
    """In a command, a task or a shell; not on an event loop or in a thread, where a server may ask."""
    key = key_of_ada()

    async def look() -> Any:
        return await SessionStore(key).aget("cart"), await sync_to_async(SessionStore(key).get)("cart")

    assert SessionStore(key)["cart"] == ["tea"]
    assert asyncio.run(look()) == (None, None)
    assert async_to_sync(look)() == (None, None)
    assert SessionStore(key)["cart"] == ["tea"]
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(SessionStore(key).get, "cart").result() is None


def test_request_that_is_not_ours_opens_no_session_by_its_key(site: Site) -> None:
    """Nor does a middleware before ours, which may hand on what a client sent; after it all is as before."""
    key = key_of_ada()
    with override_settings(MIDDLEWARE=MIDDLEWARE["Django's"]):
        assert site.ask(lambda request: SessionStore(key).get("cart")) is None

    assert SessionStore(key)["cart"] == ["tea"]


def test_key_is_trusted_where_the_application_says_so(site: Site) -> None:
    key = key_of_ada()

    def look(request: Any) -> Any:
        with trusting_keys():
            return SessionStore(key).get("cart")

    assert site.ask(look) == ["tea"]
    with trusting_keys():
        session = SessionStore(key)
        session["n"] = 1
        session.save()
        again = SessionStore(key)
        again.cycle_key()
        renewed = str(again.session_key)

    assert renewed != key
    with trusting_keys():
        assert SessionStore(renewed).get("n") == 1
        assert SessionStore(key).get("n") is None


def test_session_opened_by_its_key_leaves_the_cookie_as_it_is(site: Site) -> None:
    """Nobody signs it anew: its key in force is that of the cookie that the browser has."""
    store, old, new = MemoryStore(), new_secret(), new_secret()
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=old):
        site.ask(put(n=1))
        key = site.ask(key_of)
        kid = store.scan()[0].kid
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]):
        with trusting_keys():
            session = SessionStore(key)
            session["n"] = 2
            session.save()

        assert store.scan()[0].kid == kid
        assert site.ask(fields_of) == {"n": 2}
