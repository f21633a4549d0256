"""The public key of a session: packages may keep it, and it opens nothing to whoever sends it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.sessions.backends.signed_cookies import SessionStore as FormerStore
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import MemoryStore, records
from fluidauth.integrations.django import (
    SessionStore,
    get_engine,
    handle_of,
    keys,
    session_of,
)
from fluidauth.keys import new_secret
from tests.integrations.django.sites import (
    MIDDLEWARE,
    AsyncSite,
    Site,
    fields_of,
    key_of,
    name_of,
    put,
    sign_in,
    user,
)
from tests.integrations.django_site import handlers
from tests.support import opened

AS_DJANGOS = re.compile(r"[^\s\\\'\"`<>&;/]{40}")


# -- what it is ----------------------------------------------------------------------------------


def test_key_fits_where_djangos_are_kept(site: Site) -> None:
    site.ask(put(n=1))

    key = site.ask(key_of)

    assert AS_DJANGOS.fullmatch(key)
    assert key != site.cookie
    assert site.ask(lambda request: [request.session.get("n"), key_of(request)]) == [1, key]


def test_key_is_known_as_soon_as_the_session_is_stored(site: Site) -> None:
    def begin(request: Any) -> list[str | None]:
        before = key_of(request)
        request.session.create()
        return [before, key_of(request)]

    before, after = site.ask(begin)

    assert before is None
    assert site.ask(key_of) == after


def test_key_stays_when_secrets_rotate(site: Site) -> None:
    store, old, new = MemoryStore(), new_secret(), new_secret()
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=old):
        site.ask(put(n=1))
        key, cookie = site.ask(key_of), site.cookie
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]):
        assert site.ask(lambda request: [request.session["n"], key_of(request)]) == [1, key]
        assert site.cookie != cookie
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=new):
        assert site.ask(key_of) == key


def test_key_of_a_user_stays_when_the_engines_secrets_rotate(site: Site) -> None:
    """Those of ``FLUIDAUTH``: with ``SECRET_KEY`` Django itself cycles the key of who is signed in."""
    store, old, new = MemoryStore(), new_secret(), new_secret()
    with override_settings(FLUIDAUTH={"store": store, "secret": old}):
        site.ask(sign_in)
        key, cookie = site.ask(key_of), site.cookie
    with override_settings(FLUIDAUTH={"store": store, "secret": [new, old]}):
        assert site.ask(lambda request: [name_of(request), key_of(request)]) == ["ada", key]
    assert site.cookie != cookie


@pytest.mark.parametrize(
    "renew", [sign_in, lambda request: request.session.cycle_key()], ids=["login", "cycle"]
)
def test_key_changes_with_a_login_as_djangos_does(site: Site, renew: Any) -> None:
    site.ask(put(n=1))
    before = site.ask(key_of)

    inside = site.ask(lambda request: [renew(request), key_of(request)])[1]

    assert inside not in (None, before)
    assert site.ask(key_of) == inside


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_key_of_a_login_with_await_stays(kind: str, tmp_path: Path) -> None:
    ada, site = user(), AsyncSite()

    async def log_in(request: Any) -> str | None:
        await auth.alogin(request, ada)
        return key_of(request)

    with opened(kind, tmp_path) as store, override_settings(FLUIDAUTH={"store": store}):
        handlers.append(log_in)
        inside = site.answer().json()["value"]
        handlers.pop()

        assert site.ask(key_of) == inside


def test_key_leads_to_the_handle(site: Site) -> None:
    """By which events, and the engine's lists, name the session."""
    site.ask(sign_in)

    key, handle = site.ask(lambda request: [key_of(request), session_of(request).handle])

    assert handle_of(key) == handle
    assert [found.handle for found in get_engine().list_sessions(str(user().pk))] == [handle]


@pytest.mark.requirement("25")
@pytest.mark.parametrize(
    "text", ["token", "", "0" * 39, "~" * 40, "0" * 41, "0" * 39 + ";", " " + "0" * 39, "é" * 40]
)
def test_what_is_no_key_has_no_handle(site: Site, text: str) -> None:
    """Of a token, which is a secret, the error shows nothing."""
    site.ask(put(n=1))
    text = str(site.cookie) if text == "token" else text

    with pytest.raises(ValueError, match="no public key") as caught:
        handle_of(text)

    assert len(text) < 5 or text not in str(caught.value)


@given(st.binary(min_size=24, max_size=24))
def test_keys_and_handles_are_one_to_one(session_id: bytes) -> None:
    handle = records.handle_of(records.handle_prefix("fluidauth"), session_id.hex())

    key = keys.key_of(handle)

    assert AS_DJANGOS.fullmatch(key)
    assert handle_of(key) == handle


def test_packages_that_want_a_key_save_first(site: Site) -> None:
    """As django-hitcount does; also where the cookie is forged, of another site, or has ended."""

    def wanting(request: Any) -> str | None:
        if not request.session.session_key:
            request.session.save()
        return key_of(request)

    for cookie in ("", "x" * 66, "a" * 32, "1" * 40):
        visitor = type(site)()
        if cookie:
            visitor.client.cookies["sessionid"] = cookie
        key = visitor.ask(wanting)

        assert AS_DJANGOS.fullmatch(key)
        assert key != cookie
        assert visitor.ask(key_of) == key


def test_session_that_is_taken_over_has_a_key(site: Site) -> None:
    old = FormerStore()
    old["n"] = 1
    old.save()
    site.client.cookies["sessionid"] = old.session_key
    adopt = ["django.contrib.sessions.backends.signed_cookies"]
    with override_settings(FLUIDAUTH={"store": MemoryStore(), "adopt": adopt}):
        n, key = site.ask(lambda request: [request.session["n"], key_of(request)])

        assert n == 1
        assert AS_DJANGOS.fullmatch(key)
        assert site.ask(lambda request: [request.session["n"], key_of(request)]) == [1, key]


def test_session_made_again_of_its_key_is_the_same(site: Site) -> None:
    """As django-allauth does while a provider signs in; the cookie is that of the session."""

    def again(request: Any) -> None:
        request.session["state"] = 1
        request.session.save()
        request.session = request.session.__class__(request.session.session_key)
        request.session.modified = True

    site.ask(sign_in)
    cookie, key = site.cookie, site.ask(key_of)
    response = site.get(again)

    assert response.cookies["sessionid"].value == cookie
    assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {"state": 1}]
    assert site.ask(key_of) == key


# -- tokens --------------------------------------------------------------------------------------


def test_without_our_middleware_the_key_is_the_token(site: Site) -> None:
    with override_settings(MIDDLEWARE=MIDDLEWARE["Django's"]):
        site.ask(put(n=1))

        assert site.ask(key_of) == site.cookie
        assert site.ask(lambda request: [SessionStore(key_of(request)).get("n"), fields_of(request)]) == [
            1,
            {"n": 1},
        ]


@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_token_opens_from_anywhere(middleware: str) -> None:
    """The test client, which Django makes of the cookie, signs in and reads on."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        site = Site()
        site.client.force_login(user())
        session = site.client.session
        session["n"] = 1
        session.save()

        assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {"n": 1}]
        assert site.client.session["n"] == 1
        assert site.client.session.session_key == site.cookie
        assert SessionStore(site.cookie)["n"] == 1
        site.client.logout()
        assert site.ask(name_of) == ""


def test_a_site_whose_engine_is_a_subclass_has_keys(site: Site) -> None:
    with override_settings(SESSION_ENGINE=f"{__name__.rpartition('.')[0]}.own_engine"):
        visitor = type(site)()
        visitor.ask(put(n=1))

        assert visitor.ask(lambda request: request.session.greeting()) == "hello"
        assert AS_DJANGOS.fullmatch(visitor.ask(key_of))
