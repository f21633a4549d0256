"""A browser that drives one application through WSGI or ASGI, and stores of every kind."""

from __future__ import annotations

import asyncio
import functools
import inspect
import io
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import pytest

from fluidauth import MemoryStore, Session, SessionEngine, SessionMiddleware, SQLiteStore, StoreError
from fluidauth.records import Body
from fluidauth.session.session import visit_of
from fluidauth.session.state import State
from fluidauth.stores import AsyncSessionStore, SessionRecord, SessionStore
from fluidauth.stores.bridge import SyncBridge
from fluidauth.stores.migrating import AsyncMigratingStore, MigratingStore
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.redis import RedisStore
from harness.servers.postgres import postgres_url
from harness.servers.redis import redis_url

Protocol = Literal["wsgi", "asgi"]
Handler = Callable[[Session], Any]
Headers = list[tuple[str, str]]
T = TypeVar("T")


@dataclass
class Task:
    """What the application is to do in one request."""

    handler: Handler
    status: int = 200
    headers: Headers = field(default_factory=list)
    scheme: str = "https"
    method: str = "GET"
    path: str = "/"
    sent: dict[str, str] = field(default_factory=dict)
    """More headers of the request."""
    later: Handler | None = None
    value: Any = None


@dataclass
class Response:
    """What came back: *value* from the handler, the rest over the protocol."""

    status: int
    headers: Headers
    body: bytes
    value: Any = None
    error: BaseException | None = None

    @property
    def set_cookies(self) -> list[str]:
        return self.all("set-cookie")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    task: Task = environ["test.task"]
    session = environ["fluidauth.session"]
    task.value = task.handler(session)
    start_response(f"{task.status} Status", list(task.headers))
    if task.later is None:
        return [b"body"]
    return _stream(task.later, session)


def _stream(later: Handler, session: Session) -> Iterable[bytes]:
    yield b"bo"
    later(session)
    yield b"dy"


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    task: Task = scope["test.task"]
    session = scope["session"]
    task.value = task.handler(session)
    if inspect.isawaitable(task.value):
        task.value = await task.value
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in task.headers]
    await send({"type": "http.response.start", "status": task.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"bo", "more_body": True})
    if task.later is not None:
        later = task.later(session)
        if inspect.isawaitable(later):
            await later
    await send({"type": "http.response.body", "body": b"dy"})


class Browser:
    """Keeps the cookie that it is given, as a browser would, and sends it back."""

    def __init__(self, protocol: Protocol, engine: SessionEngine, **options: Any) -> None:
        self.protocol = protocol
        self.engine = engine
        self.options = options
        self.app: Any = SessionMiddleware(
            wsgi_app if protocol == "wsgi" else asgi_app, engine=engine, **options
        )
        self.name = engine.policy.cookie.name
        self.cookie: str | None = None
        self.run: Callable[[Coroutine[Any, Any, None]], object] = run_apart
        """What drives an asynchronous application; a loop that runs already, to share it."""

    def with_cookie(self, cookie: str | None) -> Browser:
        """Return another browser on the same application, with *cookie*."""
        other = Browser(self.protocol, self.engine, **self.options)
        other.app, other.cookie, other.run = self.app, cookie, self.run
        return other

    def twin(self) -> Browser:
        """Return a second tab: the same cookie at this moment."""
        return self.with_cookie(self.cookie)

    def request(
        self, handler: Handler, *, cookie_header: str | None = None, catch: bool = False, **task: Any
    ) -> Response:
        """Run *handler* in a request; raise what escapes from the middleware unless *catch*."""
        if cookie_header is None:
            cookie_header = f"{self.name}={self.cookie}" if self.cookie else ""
        if self.protocol == "wsgi":
            response = _drive_wsgi(self.app, Task(handler, **task), cookie_header)
        else:
            response = _drive_asgi(self.app, Task(handler, **task), cookie_header, self.run)
        if response.error is not None and not catch:
            raise response.error
        for line in response.set_cookies:
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if name == self.name:
                self.cookie = None if "Max-Age=0" in attributes else value
        return response

    def get(self, handler: Handler, **options: Any) -> Any:
        """Return what *handler* returned in a request."""
        return self.request(handler, **options).value


def _drive_wsgi(app: Any, task: Task, cookie: str) -> Response:
    environ = {
        "REQUEST_METHOD": task.method,
        "PATH_INFO": task.path,
        "wsgi.url_scheme": task.scheme,
        "HTTP_X_FORWARDED_PROTO": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "HTTP_COOKIE": cookie,
        "test.task": task,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in task.sent.items()},
    }
    head: list[Any] = [0, []]

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [int(status[:3]), headers]
        return lambda data: None

    body: Any = None
    error, chunks = None, []
    try:
        body = app(environ, start_response)
        for chunk in body:
            chunks.append(chunk)
    except BaseException as escaped:
        error = escaped
    finally:
        if hasattr(body, "close"):
            body.close()
    return Response(head[0], head[1], b"".join(chunks), task.value, error)


def _drive_asgi(app: Any, task: Task, cookie: str, run: Callable[[Any], object]) -> Response:
    scope = {
        "type": "http",
        "scheme": task.scheme,
        "method": task.method,
        "path": task.path,
        "headers": [
            (b"x-forwarded-proto", b"https"),
            (b"cookie", cookie.encode("latin-1")),
            *((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in task.sent.items()),
        ],
        "test.task": task,
    }
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        messages.append(message)

    error = None
    try:
        run(app(scope, receive, send))
    except BaseException as escaped:
        error = escaped
    starts = [m for m in messages if m["type"] == "http.response.start"] or [{"status": 0, "headers": []}]
    assert len(starts) == 1
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in starts[0]["headers"]]
    body = b"".join(m.get("body", b"") for m in messages)
    return Response(starts[0]["status"], headers, body, task.value, error)


def each_store(*names: str) -> Any:
    """Return a fixture ``store`` for a module that needs no other kinds than these."""

    @pytest.fixture(name="store", params=names)
    def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        with opened(request.param, tmp_path) as found:
            yield found

    return store


def run_apart(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run *coroutine* on an event loop of its own."""
    apart(asyncio.run, coroutine)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call *function* in a thread of its own: so requests can nest in asynchronous handlers."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function, *arguments).result()


def live_sessions(engine: SessionEngine) -> int:
    """Count what the engine's store holds alive: no tombstones, nothing expired."""
    store: Any = engine.requests.store
    while not hasattr(store, "scan") or isinstance(store, BasicStore | SyncBridge):
        store = store._inner if isinstance(store, BasicStore) else store._store._inner
    now = engine.requests.now()
    records = [record for record in store.scan() if record.expires_at > now]
    return sum(isinstance(engine.policy.sealer.unseal(record), Body) for record in records)


class BasicStore(SessionStore):
    """A third party's store: five verbs, not inline, no optional capability."""

    def __init__(self, namespace: str = "basic", shared: MemoryStore | None = None) -> None:
        self.namespace = namespace
        self._inner = shared or MemoryStore(namespace=namespace)

    def get(self, handle: str) -> SessionRecord | None:
        return self._inner.get(handle)

    def create(self, record: SessionRecord) -> None:
        self._inner.create(record)

    def update(self, record: SessionRecord) -> bool:
        return self._inner.update(record)

    def delete(self, handle: str, version: int | None = None) -> bool:
        return self._inner.delete(handle, version)

    def clean(self, now: int, limit: int | None = None) -> int:
        return self._inner.clean(now, limit)


class AsyncBasicStore(AsyncSessionStore):
    """The same for asynchronous code; each call gives way to the event loop once."""

    def __init__(self, namespace: str = "basic") -> None:
        self.namespace = namespace
        self._inner = MemoryStore(namespace=namespace)

    async def get(self, handle: str) -> SessionRecord | None:
        await asyncio.sleep(0)
        return self._inner.get(handle)

    async def create(self, record: SessionRecord) -> None:
        await asyncio.sleep(0)
        self._inner.create(record)

    async def update(self, record: SessionRecord) -> bool:
        await asyncio.sleep(0)
        return self._inner.update(record)

    async def delete(self, handle: str, version: int | None = None) -> bool:
        await asyncio.sleep(0)
        return self._inner.delete(handle, version)

    async def clean(self, now: int, limit: int | None = None) -> int:
        await asyncio.sleep(0)
        return self._inner.clean(now, limit)


# Those tests that use the shared cluster share one process, too, and so one start of it.
ON_THE_CLUSTER = pytest.mark.xdist_group("cluster")
STORES = ("memory", "sqlite", "postgres", "redis", "migrating", "basic", "async-basic")


def state_of(session: Session) -> State:
    """Return what the request knows of its *session*, loaded."""
    len(session)
    state: State = visit_of(session).state
    return state


@contextmanager
def opened(store: str, folder: Path) -> Iterator[Any]:
    """Give one of ours, or the least that a third party may offer, blocking or asynchronous."""
    if store == "sqlite":
        with closing(SQLiteStore(folder / "sessions.db", durability="normal")) as found:
            yield found
    elif store == "postgres":
        namespace = f"test-{uuid4().hex}"  # alone in the database that all tests share
        with closing(PostgresStore(postgres_url(), namespace=namespace, pool_size=16)) as remote:
            yield remote
    elif store == "migrating":
        old, new = SQLiteStore(folder / "old.db", durability="normal"), MemoryStore()
        with closing(BegunInOld(old, new)) as both:
            yield both
    elif store == "redis":
        with closing(RedisStore(redis_url(), namespace=f"test-{uuid4().hex}")) as shared:
            yield shared
    else:
        yield {"memory": MemoryStore, "basic": BasicStore, "async-basic": AsyncBasicStore}[store]()


class BegunInOld(MigratingStore):
    """A migration at each of its sessions: they begin in the old store, as if it were alone."""

    def create(self, record: SessionRecord) -> None:
        self.old.create(record)

    def async_twin(self) -> AsyncSessionStore:
        return _AsyncBegunInOld(self, self._migration)


class _AsyncBegunInOld(AsyncMigratingStore):
    async def create(self, record: SessionRecord) -> None:
        await self._places[0].create(record)


def settled(read: Callable[[], T], wanted: T) -> T:
    """Return what *read* gives as soon as it is *wanted*, or what it gives after five seconds."""
    deadline = time.monotonic() + 5
    while (found := read()) != wanted and time.monotonic() < deadline:
        pass
    return found


def inherited_requirement(number: str, *names: str) -> Callable[[type[T]], type[T]]:
    """Let the tests *names*, which a class has from a contract, bear *number* in that class alone."""

    def own(test: Callable[[Any], None]) -> Callable[[Any], None]:
        @functools.wraps(test)
        def call(self: Any) -> None:
            test(self)

        return call

    def decorate(suite: type[T]) -> type[T]:
        for name in names:
            setattr(suite, name, pytest.mark.requirement(number)(own(getattr(suite, name))))
        return suite

    return decorate


class FlakyStore(MemoryStore):
    """A store whose calls named in :attr:`broken` fail, as in an outage."""

    def __init__(self, *broken: str) -> None:
        super().__init__()
        self.broken = set(broken)
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in _STORE_CALLS:
            self.calls.append(name)
            if name in self.broken:
                return _fail
        return super().__getattribute__(name)


_STORE_CALLS = frozenset(
    ("get", "create", "update", "delete", "clean", "touch", "replace", "list_for_user", "delete_for_user")
)


def _fail(*arguments: Any) -> Any:
    raise StoreError("the store is down") from OSError("injected")
