"""Whom development mode answers: this machine, by its own name, and no proxy."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from fluidauth import MemoryStore, SessionEngine, SessionMiddleware
from fluidauth.events import SessionEvent
from fluidauth.formats.loopback import is_local_name, is_loopback
from fluidauth.keys import new_secret
from fluidauth.middleware.development import refusal_of_environ, why_refused

PROXY = "this request came through a proxy, as one of its headers says. Ask the server itself"
PEER = (
    "this request came from elsewhere, through the port of a container, or over a socket without an address. "
    "Use a browser on the machine, or in the container, that runs the server"
)
HOST = "this request named another host. Open it as http://localhost, with the server's port"


@pytest.mark.requirement("69")
@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.3.4", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.requirement("69")
@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "172.17.0.1",
        "10.0.0.1",
        "128.0.0.1",
        "0.0.0.0",
        "::",
        "fe80::1",
        "::ffff:10.0.0.1",
        "localhost",
        "127.1",
        "127.0.0.1, 10.0.0.1",
        "0x7f000001",
        "testclient ",
    ],
)
def test_no_other_address_is(address: str | None) -> None:
    """The port of a container has the address of its bridge; a Unix socket, none."""
    assert not is_loopback(address)


@pytest.mark.requirement("69")
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST:1",
        "app.localhost",
        "a.b.localhost:5000",
        "127.0.0.1",
        "127.3.4.5:80",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_names_of_this_machine(host: str) -> None:
    assert is_local_name(host)


@pytest.mark.requirement("69")
@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.org",
        "localhost.example.org",
        "example.org:8000",
        "127.0.0.1.nip.io",
        "notlocalhost",
        "localhost.",
        "xlocalhost:80",
        "10.0.0.1",
        "0.0.0.0:8000",
        "[::]",
        "[::ffff:127.0.0.1]",
        "::1",
        "localhost:8000:1",
        "localhost@example.org",
        "localhost, example.org",
        "localhost/",
        "localhost ",
        "127.0.0.1:",
        "testserver",
        "[::1]x",
        "2130706433",
        "localhost:800000",
    ],
)
def test_no_other_name_is(host: str) -> None:
    """A name that is made to lead here (DNS rebinding) is another site's."""
    assert not is_local_name(host)


@pytest.mark.requirement("69")
@pytest.mark.parametrize(
    ("peer", "hosts", "names", "reason"),
    [
        ("127.0.0.1", ["localhost"], ["host", "cookie"], None),
        ("::1", ["[::1]:8000"], [], None),
        ("127.0.0.1", [], [], None),  # no browser is without it
        ("testclient", ["testserver"], [], None),
        ("testclient", ["testserver.local"], [], None),
        ("127.0.0.1", ["testserver"], [], HOST),
        ("127.0.0.1", ["localhost", "localhost"], [], HOST),
        ("127.0.0.1", ["localhost", "example.org"], [], HOST),
        ("172.17.0.1", ["localhost:8000"], [], PEER),
        (None, ["localhost"], [], PEER),
        ("127.0.0.1", ["localhost"], ["Forwarded"], PROXY),
        ("127.0.0.1", ["localhost"], ["x-forwarded-for"], PROXY),
        ("127.0.0.1", ["localhost"], ["X-FORWARDED-ANYTHING"], PROXY),
        ("127.0.0.1", ["localhost"], ["via"], PROXY),
        ("127.0.0.1", ["localhost"], ["X-Real-IP"], PROXY),
        ("testclient", ["testserver"], ["X-Forwarded-For"], PROXY),
    ],
)
def test_who_is_served(peer: str | None, hosts: list[str], names: list[str], reason: str | None) -> None:
    """Peer, host and headers must all speak for this machine."""
    assert why_refused(peer, hosts, names) == reason


# -- through the middleware ---------------------------------------------------------------------


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def get(self, handle: str) -> Any:
        self.calls.append("get")
        return super().get(handle)

    def create(self, record: Any) -> None:
        self.calls.append("create")
        super().create(record)


def make(events: list[SessionEvent]) -> tuple[SessionEngine, Counting, str]:
    store = Counting()
    engine = SessionEngine(new_secret(), store, development=True, on_event=events.append)
    token, _ = engine.create_session("ann")
    store.calls.clear()
    events.clear()
    return engine, store, f"session={token}"


REFUSED: Any = [
    {"REMOTE_ADDR": "172.17.0.1"},
    {"REMOTE_ADDR": ""},
    {"HTTP_HOST": "rebound.example:8000"},
    {"HTTP_X_FORWARDED_PROTO": "https"},
    {"HTTP_FORWARDED": "for=203.0.113.9"},
]


@pytest.mark.requirement("69")
@pytest.mark.parametrize("changes", [{}, *REFUSED], ids=repr)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_wsgi_refuses_without_asking_anybody(changes: dict[str, str], method: str) -> None:
    """Neither the application nor the store."""
    events: list[SessionEvent] = []
    engine, store, cookie = make(events)
    heads: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["fluidauth.session"]
        session["seen"] = session.user_id
        start_response("200 OK", [])
        return [b"served"]

    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000", "HTTP_COOKIE": cookie, **changes}
    middleware: Any = SessionMiddleware(app, engine=engine)

    def start_response(*head: Any) -> Any:
        heads.append(head)
        return lambda data: None

    body = b"".join(middleware({**environ, "REQUEST_METHOD": method}, start_response))

    if not changes:
        assert (heads[0][0], body, store.calls[:1]) == ("200 OK", b"served", ["get"])
        return
    assert heads[0][0] == "403 Forbidden"
    assert dict(heads[0][1])["cache-control"] == "no-store"
    assert (
        body == b""
        if method == "HEAD"
        else body.startswith(b"Development mode serves only this machine, and ")
    )
    assert store.calls == []
    assert [(event.name, event.reason) for event in events] == [("development_mode", "refused")]


@pytest.mark.requirement("69")
@pytest.mark.parametrize("changes", [{}, *REFUSED], ids=repr)
@pytest.mark.parametrize("kind", ["http", "websocket", "websocket with responses"])
def test_asgi_refuses_without_asking_anybody(changes: dict[str, str], kind: str) -> None:
    """A handshake is refused before it is accepted, with the sentence where the server can send one."""
    events: list[SessionEvent] = []
    engine, store, cookie = make(events)
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["seen"] = scope["session"].user_id
        await send(
            {"type": "websocket.accept"}
            if kind != "http"
            else {"type": "http.response.start", "status": 200, "headers": []}
        )

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000", "HTTP_COOKIE": cookie, **changes}
    headers = [
        (name[5:].replace("_", "-").lower().encode(), text.encode())
        for name, text in given.items()
        if name.startswith("HTTP_")
    ]
    scope: Any = {
        "type": kind.split()[0],
        "client": (given["REMOTE_ADDR"], 50123) if given["REMOTE_ADDR"] else None,
        "headers": headers,
        "extensions": {"websocket.http.response": {}} if "responses" in kind else {},
    }
    middleware: Any = SessionMiddleware(app, engine=engine)
    asyncio.run(middleware(scope, None, send))

    if not changes:
        assert sent[0]["type"] in ("websocket.accept", "http.response.start")
        assert store.calls[:1] == ["get"]
        return
    if kind == "websocket":
        assert sent == [{"type": "websocket.close", "code": 1008}]
    else:
        assert sent[0]["status"] == 403
        assert sent[1]["body"].startswith(b"Development mode serves only this machine, and ")
    assert store.calls == []
    assert [(event.name, event.reason) for event in events] == [("development_mode", "refused")]


@pytest.mark.parametrize(("environ", "served"), [({}, True), ({"REMOTE_ADDR": ""}, False)])
def test_a_request_that_was_made_in_memory_is_served(environ: dict[str, str], served: bool) -> None:
    """As by WebTest, whatever host it asks for; a server on a socket that names no peer says so."""
    made = {"wsgi.input": io.BytesIO(), "HTTP_HOST": "falconframework.org", **environ}

    assert (refusal_of_environ(made) is None) is served
