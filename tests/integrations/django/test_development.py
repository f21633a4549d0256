"""Django in development mode, and what weak keys are told by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client, override_settings

from fluidauth import ConfigError, MemoryStore
from fluidauth.integrations.django import get_engine
from fluidauth.integrations.django.checks import check_settings
from fluidauth.keys import new_secret
from tests.integrations.django.sites import MIDDLEWARE, AsyncSite, Site, put

pytestmark = pytest.mark.requirement("69")
WEAK = "django-insecure-" + "x" * 50


@pytest.fixture(autouse=True)
def development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUIDAUTH_DEVELOPMENT", "1")
    with override_settings(SECRET_KEY=WEAK, FLUIDAUTH={"store": MemoryStore()}):
        yield


@pytest.mark.parametrize("kind", [Site, AsyncSite])
def test_the_test_clients_are_served(kind: Any) -> None:
    site = kind()

    site.ask(put(cart=1))

    assert site.ask(lambda request: request.session["cart"]) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"X-Forwarded-For": "203.0.113.9"}},
        {"headers": {"Host": "testserver:8000"}},
    ],
)
def test_others_are_refused(given: Any) -> None:
    """By a plain page, through WSGI and ASGI, with nothing asked of the application."""
    asked: list[Any] = []
    site, other = Site(), AsyncSite()
    with override_settings(ALLOWED_HOSTS=["*"]):
        responses = [Client().get("/", **given)]
        if "X-Forwarded-For" in given["headers"]:
            responses.append(asyncio.run(AsyncClient().get("/async", **given)))

    for response in responses:
        assert response.status_code == 403
        assert b"Development mode serves only this machine" in response.content
        assert not response.cookies
    assert (asked, site.cookie, other.cookie) == ([], None, None)


def test_a_secure_cookie_is_one_for_plain_http() -> None:
    """Django sends it by its own settings; a prefix in its name keeps it as it is."""
    secure = []
    for name in ("sessionid", "__Host-sessionid"):
        with override_settings(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME=name):
            response = Site().get(put(cart=1))
            secure.append(bool(response.cookies[name]["secure"]))

    assert secure == [False, True]


def test_djangos_own_middleware_sees_nobody() -> None:
    """So nothing is served through it, and the checks say so."""
    with override_settings(MIDDLEWARE=MIDDLEWARE["Django's"]):
        found = [str(each.id) for each in check_settings()]
        with pytest.raises(ConfigError, match="put it into MIDDLEWARE in the place of Django's"):
            Site().ask(put(cart=1))

    assert "fluidauth.E004" in found


def test_the_setting_stands_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUIDAUTH_DEVELOPMENT", "0")
    with override_settings(FLUIDAUTH={"store": MemoryStore(), "development": True}):
        assert get_engine().development


@pytest.mark.requirement("32")
def test_names_of_weak_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by what it is called in the settings; the environment's own secret counts more than SECRET_KEY."""
    monkeypatch.delenv("FLUIDAUTH_DEVELOPMENT")
    good = new_secret()
    told = []
    for changes in (
        {"SECRET_KEY": good, "SECRET_KEY_FALLBACKS": ["old"]},
        {"SECRET_KEY": good, "SECRET_KEY_FALLBACKS": [good[:-1] + "x", "old"]},
        {"FLUIDAUTH": {"store": MemoryStore(), "secret": "dev"}},
        {"FLUIDAUTH": {"store": MemoryStore(), "secret": [good, "dev"]}},
    ):
        with override_settings(**changes), pytest.raises(ConfigError) as caught:
            get_engine()
        told.append(str(caught.value).partition(" has ")[0])
    monkeypatch.setenv("FLUIDAUTH_SECRET", good)
    with override_settings(SECRET_KEY="dev"):
        kids = get_engine().policy.keyring.kids

    assert told == [
        "SECRET_KEY_FALLBACKS",
        "secret number 2 of SECRET_KEY_FALLBACKS",
        "FLUIDAUTH['secret']",
        "secret number 2 of FLUIDAUTH['secret']",
    ]
    assert len(kids) == 1


@pytest.mark.requirement("32")
def test_a_weak_key_stops_the_middleware(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a server loads it, which is before the first request."""
    from fluidauth.integrations.django.middleware import SessionMiddleware

    monkeypatch.delenv("FLUIDAUTH_DEVELOPMENT")
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ConfigError, match=r"^SECRET_KEY .* reset"):
        SessionMiddleware(lambda request: None)

    assert WEAK not in caplog.text


def test_another_engine_under_our_middleware_needs_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that goes back to Django's sessions for a while keeps its key, and its Secure cookie."""
    monkeypatch.delenv("FLUIDAUTH_DEVELOPMENT")
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db", SESSION_COOKIE_SECURE=True):
        site = Site()
        response = site.get(put(cart=1))

    assert response.status_code == 200
    assert response.cookies["sessionid"]["secure"]
