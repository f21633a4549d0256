"""Packages that deal with sessions of Django: the devices of django-allauth, and Channels."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack, login, logout
from django.test import override_settings

from fluidauth.integrations.django import SessionStore
from harness import ROOT
from tests.integrations.django.sites import MIDDLEWARE, Site, fields_of, key_of, name_of, put, sign_in, user

# -- django-allauth ------------------------------------------------------------------------------


def visits(middleware: str) -> dict[str, Any]:
    """Return what browsers saw of a site with django-allauth, which has settings of its own."""
    command = [sys.executable, "-m", "tests.integrations.allauth_site", MIDDLEWARE[middleware][0]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.requirement("23")
def test_allauth_lists_devices_and_ends_them() -> None:
    """Its rows have keys that fit, stay, and let nobody in; a login spares the other devices."""
    seen = visits("ours")

    assert seen["two devices"] == {"user": "ada", "lives": [True, True], "is here": [True, False]}
    assert [len(key) for key in seen["keys"]] == [40, 40]
    assert seen["keys after a rotation"] == seen["keys"]
    assert seen["cookie after a rotation"] not in seen["cookies"]
    assert seen["three devices of hers, one of his"] == {
        "user": "ada",
        "lives": [True] * 4,
        "is here": [False] * 3 + [True],
    }
    assert seen["thief"] == ""
    assert (seen["page"], seen["after the others were ended"], seen["rows then"]) == (200, ["", "", "ada"], 1)


def test_allauth_keeps_tokens_without_our_middleware() -> None:
    """Which the system check warns of: whoever reads its table is in."""
    seen = visits("Django's")

    assert [len(key) for key in seen["keys"]] == [66, 66]
    assert seen["after the others were ended"] == ["", "", "ada"]


# -- Channels ------------------------------------------------------------------------------------


class Socket:
    """An application of Channels, called with the scope of one request that has *cookie*."""

    def __init__(self, cookie: str | None) -> None:
        self.cookie = cookie

    def ask(self, handler: Any) -> Any:
        """Return what the coroutine *handler* returned; take the cookie of the response over."""
        return asyncio.run(self._ask(handler))

    async def _ask(self, handler: Any) -> Any:
        found = []

        async def consumer(scope: Any, receive: Any, send: Any) -> None:
            found.append(await handler(scope))
            await send({"type": "http.response.start", "status": 200, "headers": []})

        headers = [(b"cookie", f"sessionid={self.cookie}".encode())] if self.cookie else []
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        communicator = ApplicationCommunicator(AuthMiddlewareStack(consumer), scope)
        head = await communicator.receive_output(10)
        await communicator.wait(10)
        for name, value in head["headers"]:
            if name == b"Set-Cookie":
                self.cookie = value.decode().partition("=")[2].partition(";")[0]
        return found[0]


async def seen_by_channels(scope: Any) -> list[Any]:
    session = scope["session"]
    return [scope["user"].get_username(), sorted(name for name in await session.akeys() if name[0] != "_")]


async def add_m(scope: Any) -> None:
    await scope["session"].aset("m", 1)


@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_channels_has_the_session_of_the_site(middleware: str) -> None:
    """And the site has that of Channels: its cookie is a token, whoever sent it."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        site = Site()
        site.ask(sign_in)
        site.ask(put(n=1))
        socket = Socket(site.cookie)
        socket.ask(add_m)

        assert socket.ask(seen_by_channels) == ["ada", ["m", "n"]]
        assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {"m": 1, "n": 1}]

        fresh = Socket(None)
        fresh.ask(add_m)
        site.client.cookies["sessionid"] = fresh.cookie
        assert site.ask(fields_of) == {"m": 1}


async def log_in(scope: Any) -> None:
    await login(scope, await sync_to_async(user)(), "django.contrib.auth.backends.ModelBackend")


async def log_out(scope: Any) -> None:
    await logout(scope)


@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_login_and_logout_in_channels(middleware: str) -> None:
    with override_settings(MIDDLEWARE=MIDDLEWARE[middleware]):
        socket, site = Socket(None), Site()
        socket.ask(log_in)
        site.client.cookies["sessionid"] = socket.cookie

        assert site.ask(name_of) == "ada"
        socket.ask(log_out)
        assert site.ask(name_of) == ""


@pytest.mark.requirement("23")
@pytest.mark.parametrize("use", [seen_by_channels, add_m, log_in, log_out])
def test_key_as_a_cookie_opens_and_ends_nothing_in_channels(use: Any) -> None:
    site = Site()
    site.ask(sign_in)
    site.ask(put(n=1))
    key = site.ask(key_of)
    thief = Socket(key)

    seen = thief.ask(use)

    assert seen in (None, ["", []])
    assert thief.cookie == key or SessionStore(thief.cookie).get("n") is None
    assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {"n": 1}]
