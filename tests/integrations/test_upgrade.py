"""An application changes to our sessions on real servers, and nobody is logged out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from fluidauth.keys import new_secret
from harness.servers.processes import FORMER, serving
from harness.servers.redis import empty_redis


@pytest.mark.timeout(300)
@pytest.mark.parametrize("system", FORMER)
@pytest.mark.parametrize(
    "clients", [pytest.param(50, marks=pytest.mark.check), pytest.param(1_000, marks=pytest.mark.matrix)]
)
def test_upgrade_on_a_real_server_keeps_every_login(system: str, clients: int, tmp_path: Path) -> None:
    """Many sign in under the former system; one line changes, the server restarts: all are there."""
    secret = new_secret()
    environ = {"FORMER_DATABASE": str(tmp_path / "former.db"), "FORMER_REDIS": empty_redis(), "FORMER": "1"}
    database = tmp_path / "new.db"
    with serving(system, database, secret, environ=environ) as url, client() as http:
        cookies = [sign_in(url, http, number) for number in range(clients)]
        assert len(set(cookies)) == clients

    environ["FORMER"] = ""
    with serving(system, database, secret, environ=environ) as url, client() as http:
        first = [visit(url, http, cookie) for cookie in cookies]
        second = [visit(url, http, cookie) for _, cookie in first]
        replayed = visit(url, http, cookies[0])
        forged = visit(url, http, cookies[0][:-3] + "AAA")

    assert [answer for answer, _ in first] == [[str(number), 2] for number in range(clients)]
    assert [answer for answer, _ in second] == [[str(number), 3] for number in range(clients)]
    assert all(len(value_of(cookie)) == 66 for _, cookie in first)
    assert replayed[0] == ["0", 4]
    assert forged[0] == [None, 1]


def client() -> httpx.Client:
    return httpx.Client(trust_env=False, timeout=20)


def sign_in(url: str, http: httpx.Client, number: int) -> str:
    """Return the cookie of a client that signed in and visited a page."""
    cookie = cookie_of(http.get(f"{url}/sign-in?user={number}"), "")
    http.cookies.clear()
    return visit(url, http, cookie)[1]


def visit(url: str, http: httpx.Client, cookie: str) -> tuple[Any, str]:
    """Return what the page says to who has *cookie*, and the cookie from then on."""
    response = http.get(url, headers={"cookie": cookie})
    http.cookies.clear()
    assert response.status_code == 200, response.text
    return response.json(), cookie_of(response, cookie)


def cookie_of(response: httpx.Response, before: str) -> str:
    lines = [line for line in response.headers.get_list("set-cookie") if "Max-Age=0" not in line]
    return lines[0].partition(";")[0] if lines else before


def value_of(cookie: str) -> str:
    return cookie.partition("=")[2]
