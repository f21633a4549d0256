"""Servers that fork workers, with Python or behind its back, before the application is loaded or after."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from fluidauth.keys import new_secret
from harness.servers.places import PLACES
from harness.servers.processes import FORKING, serving
from harness.traffic import Client, Line

USERS, REQUESTS, TABS = 12, 50, 60


def crowd(url: str) -> list[str]:
    """Have users sign in and use their sessions, all at once; return what any of them was told wrongly."""
    clients = [Client(f"user-{number}") for number in range(USERS)]
    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(partial(_visit, url), clients))
    return [failure for client in clients for failure in client.failures]


def _visit(url: str, client: Client) -> None:
    line = Line(url)
    client.ask(line, f"/login?user={client.name}")
    for _ in range(REQUESTS):
        client.use([line])
    _check(client, client.visits, client.ask(line, "/get?key=visits"))
    thief = Client(client.name, client.token)
    client.ask(line, "/logout")
    _check(client, None, thief.ask(line, "/whoami"))


def tabs(url: str) -> list[str]:
    """Have one user change one thing in many tabs at once; return what went wrong."""
    client = Client("ann")
    client.ask(Line(url), "/login?user=ann")

    def click(_: int) -> None:
        _check(client, None, Client("ann", client.token).ask(Line(url), "/add?key=clicks"))

    with ThreadPoolExecutor(TABS) as pool:
        list(pool.map(click, range(TABS)))
    _check(client, TABS, client.ask(Line(url), "/get?key=clicks"))
    return client.failures


def _check(client: Client, wanted: object, found: object) -> None:
    if found != wanted:
        client.failures.append(f"{client.name}: {found!r} instead of {wanted!r}")


# These run in `make check`, all the others in `make matrix`.
CHECKED = {
    ("uwsgi", "redis", "cold"),
    ("uwsgi --threads", "postgres", "warm"),
    ("uwsgi --py-call-osafterfork", "sqlite", "warm"),
    ("gunicorn gevent --preload", "redis", "warm"),
    ("gunicorn gthread --threads 4 --preload", "postgres", "warm"),
}
# With that option uwsgi 2.0 itself ends with a fatal error of Python 3.13, whatever it serves.
SERVERS = [name for name in FORKING if "osafterfork" not in name or sys.version_info < (3, 13)]
CELLS = list(product(SERVERS, ("sqlite", "postgres", "redis", "memory"), ("cold", "warm")))


@pytest.mark.parametrize(
    ("server", "place", "before"),
    [
        pytest.param(*cell, marks=pytest.mark.check if cell in CHECKED else pytest.mark.matrix)
        for cell in CELLS
    ],
)
def test_each_answer_is_right(server: str, place: str, before: str, tmp_path: Path) -> None:
    """Nobody is told of another's session, or of none, or waits in vain; warm: used *before* the fork."""
    environ = {
        "FLUIDAUTH_DATABASE": PLACES[place](tmp_path) if place in PLACES else "memory://",
        "TEST_WARM": "1" if before == "warm" else "",
    }
    if place == "memory":  # it belongs to one worker
        environ |= {"WEB_CONCURRENCY": "1", "UWSGI_PROCESSES": "1"}
    with serving(server, tmp_path / "unused.db", new_secret(), environ=environ) as url:
        assert crowd(url) == []
        assert tabs(url) == []
