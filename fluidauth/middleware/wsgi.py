"""Sessions for WSGI applications (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from fluidauth.engine import SessionEngine
from fluidauth.engine.cross_origin import refusal
from fluidauth.engine.housekeeping import tidy
from fluidauth.engine.requests import Requests
from fluidauth.formats.headers import TEXT, Answer
from fluidauth.formats.request_head import UPGRADE, RequestHead
from fluidauth.rules.origins import SAFE_METHODS
from fluidauth.session import Session

from . import status
from .development import REFUSED, refusal_of_environ
from .replaced import tell_of_others
from .response import OnStoreError, check_settings
from .status import is_status
from .visits import MiddlewareVisit, is_nested

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WSGISessionMiddleware:
    """Puts a :class:`Session` into ``environ[environ_key]`` and saves it with the response.

    With ``on_store_error="respond"`` a request that needs its session gets 503 if the store
    fails. With ``"raise"`` the error goes to the application and the server. Raise
    :class:`ConfigError` for a wrong argument.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        engine: SessionEngine,
        environ_key: str = "fluidauth.session",
        on_store_error: OnStoreError = "respond",
    ) -> None:
        check_settings(engine, on_store_error)
        self.engine = engine
        self.environ_key = environ_key
        self._responds = on_store_error == "respond"
        self._requests = engine.requests
        self._refuses = engine.development
        self.app = app
        tell_of_others(self._requests, app)

    @property
    def app(self) -> WSGIApplication:
        """The application within."""
        return self._app

    @app.setter
    def app(self, app: WSGIApplication) -> None:
        self._app = self._inner = app
        if self._requests.status_path is not None:
            self._inner = partial(_or_status, app, self._requests, self.environ_key)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        outer = environ.get(self.environ_key)
        if outer is not None and is_nested(outer, self._requests):
            return self.app(environ, start_response)
        if self._refuses and (answer := refusal_of_environ(environ)) is not None:
            self._requests.report([REFUSED])
            return _answered(answer, environ, start_response)
        may_change = environ.get("REQUEST_METHOD") not in SAFE_METHODS or UPGRADE in environ
        if may_change:
            answer = refusal(self._requests, RequestHead(environ), environ.get("HTTP_COOKIE", ""))
            if answer is not None:
                return _answered(answer, environ, start_response)
        visit = _WSGIVisit(self._requests, environ.get("HTTP_COOKIE", ""), True, self._responds)
        if may_change:
            visit.begins()
        if self._requests.policy.client_tokens:
            visit.present(environ.get("HTTP_AUTHORIZATION", ""))
        visit.session = environ[self.environ_key] = Session(visit)
        visit.request, visit.key, visit.pass_on = environ, self.environ_key, start_response
        visit.inside = self.app
        return visit.respond(self._inner)


class _WSGIVisit(MiddlewareVisit["StartResponse"]):
    __slots__ = ()
    holder = "environ"

    def respond(self, app: WSGIApplication) -> Iterable[bytes]:
        """Call *app*; return its body, wrapped if the session may change while it is sent."""
        try:
            body = app(self.request, self.start)
        except BaseException as error:
            try:
                return self.fail(error)
            finally:
                self.let_go()
        if self.unavailable:
            _close(body)
            answer = self.answer_body()
            self.let_go()
            return answer
        # A list is complete, and the server sends a file: nothing can change later.
        complete = type(body) in (list, tuple) and not (self.requests.cleaning_due and self.tidies())
        if complete or _is_file(body, self.request):
            if self.owes_more():
                self.ended()
            self.let_go()
            return body
        return _Body(self, body)

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        """Save the session and start the response; again, with exc_info, before the first byte."""
        if self.unavailable:
            return _swallow
        code = int(status[:3])
        if not self.owes_more():
            self.keep = code < 500
        elif not self.save_head(self.session, code):
            return self._start_answer(exc_info)
        self.close_head()
        if self.accessed:
            headers = self.headers(headers, TEXT, self.request)
        return self._pass_on(status, headers, exc_info)

    def fail(self, error: BaseException) -> list[bytes]:
        """Answer *error* if we must, or else carry out a logout and raise it again."""
        if self.answers(error):
            if not self.unavailable:
                self.save_logout(self.session)
                self._start_answer(None)
            return self.answer_body()
        self.keep = False
        self.ended()
        raise error

    def ended(self) -> None:
        """Save what changed after the head."""
        self.save_end(self.session)

    def answer_body(self) -> list[bytes]:
        return [] if self.request.get("REQUEST_METHOD") == "HEAD" else [self.answer.body]

    def _start_answer(self, exc_info: Any) -> Callable[[bytes], object]:
        """Start our answer instead of the application's response."""
        self.unavailable = True
        self._pass_on(self.answer.status, self.answer_headers(), exc_info)
        return _swallow

    def _pass_on(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any
    ) -> Callable[[bytes], object]:
        if exc_info is None:  # a server need not accept the third argument
            return self.pass_on(status, headers)
        return self.pass_on(status, headers, exc_info)


class _Body:
    """An application's iterable; the server's close() saves the session once more."""

    def __init__(self, visit: _WSGIVisit, body: Iterable[bytes]) -> None:
        self._visit = visit
        self._body = body
        self._chunks = iter(body)
        self._replaced = self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._replaced:
            raise StopIteration
        try:
            chunk = next(self._chunks, None)
        except BaseException as error:
            return self._replace(self._visit.fail(error))
        if self._visit.unavailable:  # the head was late, and its save failed
            return self._replace(self._visit.answer_body())
        if chunk is None:
            raise StopIteration
        self._visit.look_again()
        return chunk

    def close(self) -> None:
        if self._closed:  # by a middleware around this one, and by the server
            return
        self._closed = True
        try:
            _close(self._body)
        finally:
            self._visit.ended()
            if self._visit.tidies():
                tidy(self._visit.requests)
            self._visit.let_go()

    def _replace(self, chunks: list[bytes]) -> bytes:
        self._replaced = True
        return b"".join(chunks)


def _or_status(
    app: WSGIApplication,
    requests: Requests,
    key: str,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Serve the page that says how long the session still lasts, or else *app*."""
    if is_status(requests.status_path, RequestHead(environ).path):
        return status.wsgi(requests.now, key, environ, start_response)
    return app(environ, start_response)


def _answered(answer: Answer, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response(answer.status, answer.headers)
    return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else answer.body]


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _is_file(body: object, environ: WSGIEnvironment) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _swallow(data: bytes, /) -> None:
    """Drop what the application writes to a response that was replaced."""
