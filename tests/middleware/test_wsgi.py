"""What PEP 3333 allows an application to do, and what it is owed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from fluidauth import MemoryStore, SessionEngine, WSGISessionMiddleware
from fluidauth.keys import new_secret
from tests.support import FlakyStore, Headers


@pytest.fixture
def engine() -> SessionEngine:
    return SessionEngine(secret=new_secret(), store=FlakyStore())


class Server:
    """Calls an application as a strict server would."""

    def __init__(self, app: Any) -> None:
        self.app = validator(app)
        self.heads: list[tuple[str, Headers]] = []
        self.written: list[bytes] = []

    def get(self, cookie: str = "", method: str = "GET") -> list[bytes]:
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "QUERY_STRING": "", "HTTP_COOKIE": cookie}
        setup_testing_defaults(environ)
        self.heads.clear()
        self.written.clear()

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
            self.heads.append((status, headers))
            return self.written.append

        body: Any = self.app(environ, start_response)
        try:
            return list(body)
        finally:
            body.close()

    def cookie(self) -> str:
        """The cookie in the last head, as a browser sends it."""
        lines = [value for name, value in self.heads[-1][1] if name == "set-cookie"]
        return lines[-1].partition(";")[0] if lines else ""


def stored(engine: SessionEngine, cookie: str) -> dict[str, Any]:
    """What the session behind *cookie* holds."""
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        seen.update(environ["fluidauth.session"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    Server(WSGISessionMiddleware(app, engine=engine)).get(cookie)
    return seen


PLAIN = [("Content-Type", "text/plain")]


def test_a_generator_may_start_the_response_late(engine: SessionEngine) -> None:
    """A head that comes with the first chunk carries the session all the same."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        environ["fluidauth.session"]["a"] = 1
        start_response("200 OK", PLAIN)
        yield b"one"
        yield b"two"

    server = Server(WSGISessionMiddleware(app, engine=engine))

    assert server.get() == [b"one", b"two"]
    assert stored(engine, server.cookie()) == {"a": 1}


def test_the_write_callable_works(engine: SessionEngine) -> None:
    """Old applications write() instead of returning their body."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["fluidauth.session"]["a"] = 1
        start_response("200 OK", PLAIN)(b"written")
        return [b""]

    server = Server(WSGISessionMiddleware(app, engine=engine))
    server.get()

    assert server.written == [b"written"]
    assert stored(engine, server.cookie()) == {"a": 1}


def test_a_second_head_with_exc_info_carries_the_cookie_too(engine: SessionEngine) -> None:
    """An error page in place of a head not yet sent keeps a cookie that was stored already."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["fluidauth.session"].login("user-42")
        start_response("200 OK", PLAIN)
        try:
            raise RuntimeError("late")
        except RuntimeError as error:
            start_response("500 Oops", PLAIN, (RuntimeError, error, None))
        return [b"error"]

    server = Server(WSGISessionMiddleware(app, engine=engine))
    server.get()

    assert [status for status, _ in server.heads] == ["200 OK", "500 Oops"]
    assert server.cookie().startswith("__Host-session=1.")


def test_file_wrappers_pass_through(engine: SessionEngine) -> None:
    """A server's own file object reaches the server, which may send it faster."""
    body = FileWrapper(io.BytesIO(b"file"))

    def app(environ: Any, start_response: Any) -> Any:
        environ["fluidauth.session"]["a"] = 1
        start_response("200 OK", PLAIN)
        return body

    heads: list[Headers] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None, /) -> Any:
        heads.append(headers)

    environ = {"wsgi.file_wrapper": FileWrapper, "HTTP_COOKIE": ""}
    answer = WSGISessionMiddleware(app, engine=engine)(environ, start_response)

    assert answer is body
    assert [name for name, _ in heads[0]].count("set-cookie") == 1


def test_the_applications_close_is_called(engine: SessionEngine) -> None:
    """An iterable's close() runs once, also when the client left early."""
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b"])

        def close(self) -> None:
            closed.append("closed")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return Body()

    wrapped: Any = WSGISessionMiddleware(app, engine=engine)
    body = wrapped({}, lambda *a: None)
    next(body)
    body.close()

    assert closed == ["closed"]


def test_a_late_head_whose_save_fails_is_a_503(engine: SessionEngine) -> None:
    """A generator's body gives way to the answer for an outage; HEAD gets none."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        environ["fluidauth.session"]["a"] = 1
        start_response("200 OK", PLAIN)
        yield b"success"

    store = engine.requests.store
    assert isinstance(store, FlakyStore)
    store.broken = {"create"}
    server = Server(WSGISessionMiddleware(app, engine=engine))
    bodies = [server.get(), server.get(method="HEAD")]

    assert bodies == [[b"The service is temporarily unavailable. Please try again.\n"], [b""]]
    assert server.heads[-1][0] == "503 Service Unavailable"


def test_the_key_in_environ_can_be_chosen(engine: SessionEngine) -> None:
    """Applications that look for their session elsewhere find it there."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["beaker.session"]["a"] = 1
        start_response("200 OK", PLAIN)
        return [b""]

    server = Server(WSGISessionMiddleware(app, engine=engine, environ_key="beaker.session"))
    server.get()

    assert stored(engine, server.cookie()) == {"a": 1}


@pytest.mark.requirement("51")
def test_only_the_cookie_identifies(engine: SessionEngine) -> None:
    """A genuine token in the URL, a header or the body opens nothing."""
    token, _ = engine.create_session("user-42")
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        seen.append(environ["fluidauth.session"].user_id)
        start_response("200 OK", PLAIN)
        return [b""]

    environ: dict[str, Any] = {
        "QUERY_STRING": f"sid={token}&__Host-session={token}",
        "PATH_INFO": f"/;jsessionid={token}",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "HTTP_X_SESSION": token,
        "wsgi.input": io.BytesIO(f"__Host-session={token}".encode()),
    }
    wrapped: Any = WSGISessionMiddleware(app, engine=engine)
    wrapped(environ, lambda *a: None)

    assert seen == [None]


def test_a_second_middleware_of_one_engine_does_nothing() -> None:
    """Wrapped twice by mistake, an application has one session and one cookie."""
    engine = SessionEngine(secret=new_secret(), store=MemoryStore())

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["fluidauth.session"]["a"] = 1
        start_response("200 OK", PLAIN)
        return [b""]

    inner = WSGISessionMiddleware(app, engine=engine)
    server = Server(WSGISessionMiddleware(inner, engine=engine))
    server.get()

    assert [name for name, _ in server.heads[0][1]].count("set-cookie") == 1
