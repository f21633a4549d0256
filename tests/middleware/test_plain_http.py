"""A Secure cookie over plain http: who is told of it, and who keeps it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fluidauth import MemoryStore, SessionEngine
from fluidauth.keys import new_secret
from fluidauth.middleware.plain_http import Sender, keeps_secure_cookies, warn_sender

_LIKE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROMIUM = f"Mozilla/5.0 (X11; Linux x86_64) {_LIKE} Chrome/147.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
SAFARI = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_LIKE} Version/18.6 Safari/605.1.15"
ON_IOS = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6) {_LIKE} CriOS/147.0 Mobile/15E148 Safari/604.1"


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """A function that returns the hosts of the warnings so far."""
    caplog.set_level(logging.WARNING, "fluidauth")
    yield lambda: [
        record.args[0]  # type: ignore[index]  # a tuple
        for record in caplog.records
        if "cookie that went to" in record.getMessage()
    ]


def engine_with(**options: Any) -> SessionEngine:
    return SessionEngine(new_secret(), MemoryStore(), **options)


@pytest.mark.parametrize(
    ("agent", "host", "keeps"),
    [
        (CHROMIUM, "localhost:8000", True),
        (CHROMIUM.replace("Chrome", "HeadlessChrome"), "app.localhost", True),
        (CHROMIUM.replace("147", "88"), "localhost", False),
        (f"{CHROMIUM} Edg/147.0.0.0", "127.0.0.1:8000", True),
        (FIREFOX, "[::1]:8000", True),
        (FIREFOX.replace("145", "74"), "localhost", False),
        (SAFARI, "localhost:8000", False),
        (ON_IOS, "localhost:8000", False),
        ("curl/7.88.1", "localhost:8000", True),
        ("curl/8.5.0", "[::1]", True),
        ("curl/8.5.0", "app.localhost", False),
        ("curl/7.74.0", "localhost", False),
        ("python-httpx/0.28.1", "localhost", False),
        ("", "localhost", False),
    ],
)
def test_who_keeps_a_secure_cookie_of_this_machine(agent: str, host: str, keeps: bool) -> None:
    """As Chromium 147 and curl 7.88 did when they were asked, and the others say of themselves."""
    assert keeps_secure_cookies(agent, host) is keeps


@pytest.mark.requirement("48")
@pytest.mark.parametrize(
    ("headers", "is_told"),
    [
        ({"x_forwarded_proto": "https"}, False),
        ({"x_forwarded_proto": "HTTPS, http"}, False),
        ({"x_forwarded_proto": "http, https"}, True),
        ({"x_forwarded_proto": "http"}, True),
        ({"forwarded": "for=203.0.113.9;proto=https;by=10.0.0.1"}, False),
        ({"forwarded": 'Proto="https"'}, False),
        ({"forwarded": "for=203.0.113.9;proto=http, proto=https"}, True),
        ({"forwarded": "for=203.0.113.9;host=proto=https.example"}, True),
        ({}, True),
    ],
)
def test_a_proxy_that_ends_tls_is_believed_here_alone(
    headers: dict[str, str], is_told: bool, warned: Any
) -> None:
    """The cookie arrives; whether the server should be told of https is the operator's."""
    requests = engine_with().requests

    warn_sender(
        requests, Sender("example.org", CHROMIUM, **{"x_forwarded_proto": "", "forwarded": "", **headers})
    )

    assert warned() == (["example.org"] if is_told else [])


def test_each_host_is_told_once(warned: Any) -> None:
    """However it is written; what is told of this machine says who keeps the cookie there."""
    requests = engine_with().requests

    for host in (
        "example.org",
        "EXAMPLE.org",
        "other.example",
        "localhost:8000",
        "example.org",
        "localhost:8000",
    ):
        warn_sender(requests, Sender(host, SAFARI, "", ""))

    assert warned() == ["example.org", "other.example", "localhost:8000"]


def test_strangers_cannot_fill_the_memory_or_the_log(warned: Any) -> None:
    """They choose the host; a hundred are kept, cut to a length that DNS allows, with no line forged."""
    requests = engine_with().requests

    for number in range(10_000):
        warn_sender(requests, Sender(f"{number}.example\r\nforged{'x' * 1_000}", "", "", ""))

    assert len(warned()) == len(requests._plain_hosts) == 100
    assert max(map(len, requests._plain_hosts)) == 260


def test_what_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Who drops the cookie, and what to do."""
    requests = engine_with().requests

    for host in ("example.org\r\nforged", "localhost:8000"):
        warn_sender(requests, Sender(host, SAFARI, "", ""))

    said = [record.getMessage() for record in caplog.records if "cookie that went to" in record.getMessage()]
    assert said == [
        "browsers drop the Secure cookie that went to 'example.org\\r\\nforged' over plain http. Use https. "
        "If a proxy does so already, let it send X-Forwarded-Proto, and let the server trust it "
        "(docs/deploying.md). On your own machine, set FLUIDAUTH_DEVELOPMENT=1",
        "this client drops the Secure cookie that went to 'localhost:8000' over plain http, as Safari and "
        "most others do. Chromium and Firefox keep it, because this is a name of the machine itself. Set "
        "FLUIDAUTH_DEVELOPMENT=1, or use https",
    ]
