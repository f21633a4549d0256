"""What a request of each kind costs, counted exactly: HMACs, store calls, statements."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fluidauth import Keyring, MemoryStore, Session, SessionEngine, SessionMiddleware, SQLiteStore
from fluidauth.keys import Key, new_secret
from fluidauth.records import SessionRecord

Handler = Callable[[Session], object]
Cost = tuple[int, int, list[str]]
"""MACs of tokens, MACs of records, calls of the store."""

COOKIE = "__Host-session"
HEAD = [("content-type", "text/plain"), ("x-kept", "1"), ("x-kept", "2")]
NOTHING: Cost = (0, 0, [])


class CountingKey(Key):
    """A key that counts its MACs."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.cookie_macs = 0
        self.record_macs = 0

    def cookie_mac(self, text: bytes) -> bytes:
        self.cookie_macs += 1
        return super().cookie_mac(text)

    def record_mac(self, message: bytes) -> bytes:
        self.record_macs += 1
        return super().record_mac(message)


class CountingStore(MemoryStore):
    """A store that notes each call of a verb."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def get(self, handle: str) -> SessionRecord | None:
        self.calls.append("get")
        return super().get(handle)

    def create(self, record: SessionRecord) -> None:
        self.calls.append("create")
        super().create(record)

    def update(self, record: SessionRecord) -> bool:
        self.calls.append("update")
        return super().update(record)

    def delete(self, handle: str, version: int | None = None) -> bool:
        self.calls.append("delete")
        return super().delete(handle, version)

    def clean(self, now: int, limit: int | None = None) -> int:
        self.calls.append("clean")
        return super().clean(now, limit)

    def touch(self, handle: str, expires_at: int) -> bool:
        self.calls.append("touch")
        return super().touch(handle, expires_at)

    def replace(self, tombstone: SessionRecord, record: SessionRecord) -> bool:
        self.calls.append("replace")
        return super().replace(tombstone, record)


class Counted:
    """An engine that counts; its one session is stored, and no cleaning is due."""

    def __init__(self, protocol: str, verifying: Iterable[CountingKey] = ()) -> None:
        self.signing = CountingKey(new_secret())
        self.keys = [self.signing, *verifying]
        self.store = CountingStore()
        self.web = Web(protocol, SessionEngine(Keyring(self.signing, self.keys[1:]), self.store))
        self.token = self.web.prepare()
        self.restart()

    def restart(self) -> None:
        """Count from nothing again."""
        self.store.calls.clear()
        for key in self.keys:
            key.cookie_macs = key.record_macs = 0

    def cost(self, handler: Handler, token: str | None) -> Cost:
        """Return what a request costs that bears *token* and calls *handler*."""
        self.web.request(handler, token)
        return (
            sum(key.cookie_macs for key in self.keys),
            sum(key.record_macs for key in self.keys),
            self.store.calls,
        )


class Web(NamedTuple):
    """Requests to an application behind an engine, through one protocol."""

    protocol: str
    engine: SessionEngine

    def prepare(self) -> str:
        """Store a session and use it once, which does the first cleaning; return its token."""
        token, _ = self.engine.create_session("user-1", {"theme": "dark", "cart": [1, 2]})
        self.request(len, token)
        return token

    def request(self, handler: Handler, token: str | None) -> Any:
        """Return all that a server is sent in answer to a request."""
        exchange = wsgi if self.protocol == "wsgi" else asgi
        return exchange(lambda app: SessionMiddleware(app, engine=self.engine), handler, token)


def wsgi(wrap: Callable[[Any], Any], handler: Handler, token: str | None) -> list[object]:
    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        handler(environ["fluidauth.session"])
        start_response("200 OK", [*HEAD])
        return [b"ok"]

    sent: list[object] = []
    cookies = {} if token is None else {"HTTP_COOKIE": f"a=1; {COOKIE}={token}"}
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https", "fluidauth.session": None, **cookies}
    sent.extend(wrap(app)(environ, lambda status, headers: sent.extend((status, headers))))
    return sent


def asgi(wrap: Callable[[Any], Any], handler: Handler, token: str | None) -> list[object]:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        handler(scope["session"])
        headers = [(name.encode(), value.encode()) for name, value in HEAD]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: object) -> None:
        sent.append(message)

    sent: list[object] = []
    cookies = [] if token is None else [(b"cookie", f"a=1; {COOKIE}={token}".encode())]
    scope = {"type": "http", "method": "GET", "scheme": "https", "headers": cookies, "session": None}
    asyncio.run(wrap(app)(scope, None, send))
    return sent


def bare(app: Any) -> Any:
    """Wrap *app* in nothing."""
    return app


def untouched(session: Session) -> None:
    """Do nothing to *session*."""


def load(session: Session) -> None:
    len(session)


def read(session: Session) -> None:
    assert session["theme"] == "dark"
    assert session.get("cart") == [1, 2]


def write_equal(session: Session) -> None:
    session["theme"] = "dark"


def change(session: Session) -> None:
    session["theme"] = "light"


def change_inside(session: Session) -> None:
    session["cart"].append(3)


def log_in(session: Session) -> None:
    session.login("user-2")


def look(session: Session) -> None:
    assert session == {}


@pytest.fixture(params=["wsgi", "asgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def counted(protocol: str) -> Counted:
    return Counted(protocol)


# -- sessions ----------------------------------------------------------------------------


@pytest.mark.requirement("19")
def test_untouched_session_costs_nothing(counted: Counted) -> None:
    """A request that never uses its session computes no HMAC and calls no store."""
    cost = counted.cost(untouched, counted.token)

    assert cost == NOTHING


@pytest.mark.requirement("19")
@pytest.mark.parametrize("token", ["genuine", "forged", None])
def test_untouched_session_leaves_the_response_alone(counted: Counted, token: str | None) -> None:
    """The response to a request that never uses its session is the bare application's."""
    exchange = wsgi if counted.web.protocol == "wsgi" else asgi
    expected = exchange(bare, untouched, token)

    sent = counted.web.request(untouched, counted.token if token == "genuine" else token)

    assert sent == expected


@pytest.mark.parametrize(
    ("handler", "cost"),
    [
        (read, (1, 1, ["get"])),
        (write_equal, (1, 1, ["get"])),
        (change, (1, 2, ["get", "update"])),
        (change_inside, (1, 2, ["get", "update"])),
        (Session.regenerate, (2, 3, ["get", "replace"])),
        (log_in, (2, 3, ["get", "replace", "get"])),  # the last asks when the user's sessions were ended
        (Session.logout, (1, 1, ["get", "delete"])),
    ],
)
def test_cost_with_a_session(counted: Counted, handler: Handler, cost: Cost) -> None:
    """Loading costs one MAC of the token, one of the record and one call; what is stored costs its own."""
    found = counted.cost(handler, counted.token)

    assert found == cost


@pytest.mark.parametrize(
    ("handler", "cost"),
    [
        (look, NOTHING),
        (Session.regenerate, NOTHING),
        (Session.logout, NOTHING),
        (change, (1, 1, ["create"])),
        (log_in, (1, 1, ["create", "get"])),
    ],
)
def test_cost_without_a_cookie(counted: Counted, handler: Handler, cost: Cost) -> None:
    """A visitor without a cookie costs nothing until there is something to keep."""
    found = counted.cost(handler, None)

    assert found == cost


# -- tokens ------------------------------------------------------------------------------


def altered(token: str) -> str:
    """Return *token* with one character of its MAC changed."""
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def under(kid: str, token: str) -> str:
    """Return *token* with another key id."""
    return token[:2] + kid + token[8:]


@pytest.mark.requirement("21")
def test_forged_token_reaches_no_store(counted: Counted) -> None:
    """A token with a wrong MAC costs the one HMAC that refutes it."""
    cost = counted.cost(look, altered(counted.token))

    assert cost == (1, 0, [])


@pytest.mark.requirement("21", "29")
@pytest.mark.parametrize("cut", [0, 1, 41, 65])
def test_truncated_token_costs_nothing(counted: Counted, cut: int) -> None:
    """A token that is cut anywhere is refused by its length."""
    cost = counted.cost(look, counted.token[:cut])

    assert cost == NOTHING


@pytest.mark.requirement("21", "29")
def test_unknown_key_costs_nothing(counted: Counted) -> None:
    """A token that names a key which is not in the keyring is tried with no other."""
    cost = counted.cost(look, under("aaaaaa", counted.token))

    assert cost == NOTHING


@pytest.fixture(scope="module")
def retired() -> list[CountingKey]:
    return [CountingKey(new_secret()) for _ in range(99)]


@pytest.mark.requirement("29")
def test_number_of_keys_costs_nothing(protocol: str, retired: list[CountingKey]) -> None:
    """Among a hundred keys a token is tried with the one that it names."""
    counted = Counted(protocol, retired)

    costs = []
    for token in (counted.token, altered(counted.token), under("aaaaaa", counted.token)):
        costs.append((*counted.cost(load, token)[:2], len(counted.store.calls)))
        counted.restart()

    assert costs == [(1, 1, 1), (1, 0, 0), (0, 0, 0)]


@pytest.mark.requirement("29")
@pytest.mark.parametrize("position", [0, 49, 98])
def test_forged_token_costs_one_key_its_hmac(
    protocol: str, retired: list[CountingKey], position: int
) -> None:
    """A forged token that names a verifying key is tried with that key alone."""
    counted = Counted(protocol, retired)

    cost = counted.cost(look, under(retired[position].kid, counted.token))

    assert cost == (1, 0, [])
    assert retired[position].cookie_macs == 1


@pytest.mark.requirement("29")
def test_stale_token_is_tried_once_and_signed_once(protocol: str, retired: list[CountingKey]) -> None:
    """A token of the oldest key is verified by it, then token and record go over to the newest."""
    counted = Counted(protocol, retired)
    oldest = retired[-1]
    token, _ = SessionEngine(Keyring(oldest), counted.store).create_session("user-1", {"theme": "dark"})
    counted.restart()

    cost = counted.cost(load, token)

    assert cost == (2, 2, ["get", "update"])
    assert (oldest.cookie_macs, oldest.record_macs) == (1, 1)
    assert (counted.signing.cookie_macs, counted.signing.record_macs) == (1, 1)


# -- statements --------------------------------------------------------------------------


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the first word of each statement that SQLite runs."""
    words: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(lambda statement: words.append(statement.split()[0].upper()))
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return words


@pytest.fixture
def sqlite_web(tmp_path: Path, protocol: str) -> Iterator[Web]:
    engine = SessionEngine(new_secret(), SQLiteStore(tmp_path / "sessions.db"))
    yield Web(protocol, engine)
    engine.close()


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (untouched, []),
        (read, []),
        (write_equal, []),
        (change, ["UPDATE"]),
        (log_in, ["BEGIN", "UPDATE", "INSERT", "COMMIT", "SELECT"]),
        (Session.logout, ["BEGIN", "DELETE", "COMMIT"]),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_statements(
    statements: list[str], sqlite_web: Web, handler: Handler, expected: list[str], again: bool
) -> None:
    """Each kind of request runs exactly the statements that it needs, and no SELECT if nobody wrote since."""
    token = sqlite_web.prepare()
    sqlite_web.request(change_inside, token)  # opens the connection that writes
    sqlite_web.request(lambda session: session.update(theme="dark", cart=[1, 2]), token)
    store: Any = sqlite_web.engine.requests.store
    if again:
        for _ in range(2):
            sqlite_web.request(read, token)
    else:
        store._opened().fresh.stop()
    statements.clear()

    sqlite_web.request(handler, token)

    before = [] if again or handler is untouched else ["SELECT"]
    # Writes may share a transaction with those of other requests.
    assert [word for word in statements if word not in ("SAVEPOINT", "RELEASE")] == before + expected


@pytest.mark.requirement("21")
def test_forged_token_runs_no_statement(statements: list[str], sqlite_web: Web) -> None:
    """A token with a wrong MAC never reaches SQLite."""
    token = sqlite_web.prepare()
    statements.clear()

    sqlite_web.request(look, altered(token))

    assert statements == []
