"""What a session becomes while a WebSocket is open or a body streams, in each framework, whoever ends it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from fluidauth.keys import new_secret
from harness.servers.places import PLACES
from harness.servers.processes import OPEN_ENDED, serving
from tests.support import settled

SOCKETS = ("uvicorn", "hypercorn")  # Django's own are those of Channels, which has tests of its own
ENDS = ("by the server", "by the client", "by a cut cable")
KEPT = {
    "set": ("done", {"user": "ann", "note": "kept"}),
    "logout": ("done", {"user": None, "note": None}),
    "login": ("refused", {"user": "ann", "note": None}),  # no cookie can be sent any more for the new id
}


def served(*kinds: str) -> list[Any]:
    """Return the applications on these servers as parameters; `make test` has one of each kind."""
    quick = ("quart streams on uvicorn", "starlette streams on uvicorn", "flask streams on waitress")
    return [
        pytest.param(
            name, marks=[pytest.mark.xdist_group(name), *([] if name in quick else [pytest.mark.check])]
        )
        for name in OPEN_ENDED
        if name.endswith(kinds) and not (kinds == SOCKETS and name.startswith("django"))
    ]


@pytest.fixture(scope="module", params=served("uvicorn", "hypercorn", "waitress"))
def server(request: pytest.FixtureRequest) -> Any:
    """The name of each application in turn."""
    return request.param


@pytest.fixture(scope="module")
def url(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where that runs, for all tests: on one server over a store that is waited for."""
    folder = tmp_path_factory.mktemp("site")
    place = PLACES["redis" if server.endswith("hypercorn") else "sqlite"](folder)
    environ = {"FLUIDAUTH_DATABASE": place}
    with serving(server, folder / "unused.db", new_secret(), environ=environ) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """A browser of somebody who is signed in."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.get("/login").raise_for_status()
        yield client


@pytest.mark.requirement("4")
@pytest.mark.requirement("68")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("do", KEPT)
def test_what_changes_while_a_body_streams_stands(client: httpx.Client, do: str, end: str) -> None:
    ends = end == "by the server"
    with plain_connection(client) as connection:
        cookie = f"session={client.cookies['session']}"
        path = f"/stream?do={do}{'&ends=1' if ends else ''}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\n\r\n".encode())
        answer = read_until(connection, lambda found: b"done\n" in found or b"refused\n" in found)
        if end == "by a cut cable":
            reset(connection)
    told, wanted = KEPT[do]

    assert told.encode() + b"\n" in answer
    assert settled(lambda: client.get("/").json(), wanted) == wanted


@pytest.mark.requirement("4")
@pytest.mark.requirement("68")
@pytest.mark.parametrize("server", served(*SOCKETS), indirect=True, scope="module")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("do", KEPT)
def test_what_changes_while_a_websocket_is_open_stands(client: httpx.Client, do: str, end: str) -> None:
    address = f"ws://{client.base_url.netloc.decode()}/ws?do={do}"
    cookie = {"Cookie": f"session={client.cookies['session']}"}
    with connect(address, additional_headers=cookie, proxy=None) as websocket:
        answer = websocket.recv()
        if end == "by the server":
            websocket.send("end")
            list(websocket)
        elif end == "by a cut cable":
            reset(websocket.socket)
    told, wanted = KEPT[do]

    assert answer == told
    assert settled(lambda: client.get("/").json(), wanted) == wanted


def plain_connection(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), 10)


def read_until(connection: socket.socket, is_enough: Callable[[bytes], bool]) -> bytes:
    found = b""
    while not is_enough(found) and (data := connection.recv(4096)):
        found += data
    return found


def reset(connection: Any) -> None:
    """End *connection* without a word, as far as a system lets one."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
