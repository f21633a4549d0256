"""The middleware under the servers that people run, over real connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from websockets.sync.client import ClientConnection, connect

from fluidauth.keys import new_secret
from harness.servers.places import PLACES
from harness.servers.processes import COMMANDS, serving
from harness.visitor import Visitor
from tests.support import ON_THE_CLUSTER, settled

T = TypeVar("T")

QUICK = ("uvicorn", "gunicorn")  # one for each protocol; `make check` has the others


def server_of(name: str) -> Any:
    """Return the parameter: its tests share a process and so its start, and most run in `make check`."""
    tier = [] if name in QUICK else [pytest.mark.check]
    return pytest.param(name, marks=[pytest.mark.xdist_group(name), *tier])


@pytest.fixture(scope="module", params=[server_of(name) for name in COMMANDS])
def server(request: pytest.FixtureRequest) -> Any:
    """The name of each server in turn."""
    return request.param


@pytest.fixture(scope="module")
def url(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where that server runs, for several tests."""
    with serving(server, tmp_path_factory.mktemp(server) / "sessions.db", new_secret()) as url:
        yield url


def test_login_opens_a_session_for_the_requests_that_follow(url: str, visitor: Visitor) -> None:
    """After a login the cookie names the user and opens what earlier requests wrote."""
    visitor.ask(f"{url}/login?user=ada")

    visitor.ask(f"{url}/set?key=colour&value=blue")

    assert visitor.ask(f"{url}/whoami") == "ada"
    assert visitor.ask(f"{url}/dump") == {"colour": "blue"}


def test_fifty_concurrent_writes_all_survive(url: str, visitor: Visitor) -> None:
    """Fifty requests at once that write a key each lose none of the fifty."""
    visitor.ask(f"{url}/login?user=ada")

    at_once(lambda n: visitor.ask(f"{url}/set?key=key{n}&value={n}"))

    assert visitor.ask(f"{url}/dump") == {f"key{n}": str(n) for n in range(50)}


def test_fifty_concurrent_additions_all_count(url: str, visitor: Visitor) -> None:
    """Fifty requests at once that add one to the same key make fifty."""
    visitor.ask(f"{url}/login?user=ada")

    at_once(lambda n: visitor.ask(f"{url}/add?key=visits"))

    assert visitor.ask(f"{url}/get?key=visits") == 50


def test_a_cookie_replayed_after_logout_is_refused(url: str, visitor: Visitor) -> None:
    """A copy of the cookie taken before the logout opens nothing."""
    visitor.ask(f"{url}/login?user=ada")
    thief = Visitor(visitor.http, visitor.token)

    visitor.ask(f"{url}/logout")

    assert visitor.token == ""
    assert thief.ask(f"{url}/whoami") is None
    assert thief.ask(f"{url}/dump") == {}


def test_a_rotated_secret_keeps_the_session(server: str, tmp_path: Path, visitor: Visitor) -> None:
    """A restart with a new secret before the old one renews the cookie, not the session."""
    database, old, new = tmp_path / "sessions.db", new_secret(), new_secret()
    with serving(server, database, old) as url:
        visitor.ask(f"{url}/login?user=ada")
        before = visitor.token

    with serving(server, database, new, old) as url:
        user = visitor.ask(f"{url}/whoami")

    assert user == "ada"
    assert session_id(visitor.token) == session_id(before)
    assert key_id(visitor.token) != key_id(before)


@pytest.mark.parametrize(
    "server", [server_of("uvicorn"), server_of("hypercorn")], indirect=True, scope="module"
)
class TestBeyondOneResponse:
    """What an ASGI application does after the head of its response."""

    def test_a_websocket_reads_the_session_and_keeps_its_changes(self, url: str, visitor: Visitor) -> None:
        """A WebSocket knows who connects, and has stored what it changed when it closes."""
        visitor.ask(f"{url}/login?user=ada")

        with connect_websocket(url, visitor) as websocket:
            greeting = websocket.recv()
            say_last_words(websocket, "goodbye")

        assert greeting == '"ada"'
        assert visitor.ask(f"{url}/get?key=message") == "goodbye"

    def test_a_session_can_begin_at_a_websocket(self, url: str, visitor: Visitor) -> None:
        """A session that begins in a handshake gets its cookie with the accept."""
        with connect_websocket(url, visitor) as websocket:
            assert websocket.response is not None
            visitor.keep(websocket.response.headers["Set-Cookie"])
            say_last_words(websocket, "goodbye")

        assert visitor.ask(f"{url}/dump") == {"connections": 1, "message": "goodbye"}

    def test_a_stream_keeps_what_it_changed_on_its_way(self, url: str, visitor: Visitor) -> None:
        """What an event stream changed after the head is stored when it has ended."""
        visitor.ask(f"{url}/login?user=ada")

        stream = visitor.http.get(f"{url}/events", headers=visitor.headers)

        assert stream.text == "data: 1\n\ndata: 2\n\ndata: 3\n\n"
        # The last byte may reach us before the application has returned.
        assert settled(lambda: visitor.ask(f"{url}/get?key=last_event"), 3) == 3


# These pairs run in `make check`, all the others in `make matrix`.
PAIRS = {"uvicorn": "redis", "hypercorn": "postgres", "waitress": "cluster", "gunicorn": "redis"}


def cell_of(*names: str, tier: pytest.MarkDecorator) -> Any:
    """Return the parameters, which run in *tier*."""
    return pytest.param(*names, marks=[tier, *([ON_THE_CLUSTER] if "cluster" in names else [])])


@pytest.mark.parametrize(
    ("server", "place"),
    [
        cell_of(server, place, tier=pytest.mark.check if PAIRS.get(server) == place else pytest.mark.matrix)
        for server in COMMANDS
        for place in PLACES
    ],
)
def test_every_server_serves_with_every_store(
    server: str, place: str, tmp_path: Path, visitor: Visitor
) -> None:
    """Fifty writers lose nothing, and a logout is final."""
    there = {"FLUIDAUTH_DATABASE": PLACES[place](tmp_path)}
    with serving(server, tmp_path / "unused.db", new_secret(), environ=there) as url:
        visitor.ask(f"{url}/login?user=ada")
        thief = Visitor(visitor.http, visitor.token)

        at_once(lambda n: visitor.ask(f"{url}/set?key=key{n}&value={n}"))

        assert visitor.ask(f"{url}/dump") == {f"key{n}": str(n) for n in range(50)}
        visitor.ask(f"{url}/logout")
        assert thief.ask(f"{url}/whoami") is None


@pytest.mark.parametrize(
    "place", ["sqlite", *(cell_of(place, tier=pytest.mark.check) for place in PLACES if place != "sqlite")]
)
def test_asgi_and_wsgi_share_a_session(place: str, tmp_path: Path, visitor: Visitor) -> None:
    """Four processes of either protocol on one database serve one session; fifty writers lose nothing."""
    secret, unused = new_secret(), tmp_path / "unused.db"
    there = {"FLUIDAUTH_DATABASE": PLACES[place](tmp_path)}
    with (
        serving("uvicorn-workers", unused, secret, environ=there) as asgi,
        serving("gunicorn", unused, secret, environ=there) as wsgi,
    ):
        visitor.ask(f"{asgi}/login?user=ada")

        at_once(lambda n: visitor.ask(f"{(asgi, wsgi)[n % 2]}/set?key=key{n}&value={n}"))
        at_once(lambda n: visitor.ask(f"{(asgi, wsgi)[n % 2]}/add?key=visits"))

        assert visitor.ask(f"{wsgi}/whoami") == "ada"
        assert visitor.ask(f"{asgi}/dump") == visitor.ask(f"{wsgi}/dump")
        assert len(visitor.ask(f"{wsgi}/dump")) == 51
        assert visitor.ask(f"{wsgi}/get?key=visits") == 50


def at_once(request: Callable[[int], object]) -> None:
    """Call *request* with the numbers below fifty, all at the same time."""
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(request, range(50)))


def session_id(token: str) -> str:
    return token[9:41]


def key_id(token: str) -> str:
    return token[2:8]


def connect_websocket(url: str, visitor: Visitor) -> ClientConnection:
    address = url.replace("http://", "ws://") + "/ws"
    return connect(address, additional_headers=visitor.headers, proxy=None)


def say_last_words(websocket: ClientConnection, words: str) -> None:
    """Send *words* and wait until the server has closed the connection."""
    websocket.send(words)
    for _ in websocket:
        pass
