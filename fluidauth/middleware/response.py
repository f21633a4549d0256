"""What a response does with its session, whatever carries it: WSGI, ASGI, Flask or Quart.

A session is saved before the head of the response, and once more at its end. A handler that raises, or
answers with 500 and above, keeps nothing but a logout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, AnyStr, Generic, Literal, TypeVar

from fluidauth.engine import SessionEngine
from fluidauth.engine.requests import Requests
from fluidauth.engine.visit import Visit
from fluidauth.errors import ConfigError, StoreError, TooManyCookies
from fluidauth.formats.headers import TOO_MANY_COOKIES, Words, forbid_storing, sets_cookie, vary
from fluidauth.session import Session
from fluidauth.session.session import visit_of

from .plain_http import warn_of_plain_http

OnStoreError = Literal["respond", "raise"]


def check_settings(engine: SessionEngine, on_store_error: str) -> None:
    """Raise :class:`ConfigError` for a middleware that could not serve."""
    if not isinstance(engine, SessionEngine):
        raise ConfigError(f"engine={engine!r} is not a SessionEngine")
    if on_store_error not in ("respond", "raise"):
        raise ConfigError(f"on_store_error={on_store_error!r} must be 'respond' or 'raise'")


class ResponseVisit(Visit):
    """The visit of a request that a response answers: one rule for all of them when the store fails."""

    __slots__ = ()
    keep: bool
    readable: bool

    def save_logout(self, session: Session) -> None:
        """Carry out the logout of a request that failed; it stands whatever did.

        Where the store refuses, nobody gets in here, and it is done later.
        """
        with suppress(StoreError):
            self.carry_out(session, None if self.unavailable else self.plan(session, keep=False))

    async def asave_logout(self, session: Session) -> None:
        """Do as :meth:`save_logout`, without blocking."""
        with suppress(StoreError):
            await self.quiet()
            await self.acarry_out(session, None if self.unavailable else self.plan(session, keep=False))

    def save_head(self, session: Session, status: int, replacement: dict[str, Any] | None = None) -> bool:
        """Save before a head of *status*; return whether that may leave, or our answer does instead.

        *replacement*: a plain dict that the application put in the session's place. Raise ``StoreError``
        where that is not to be answered.
        """
        if status == 500 and self.failed and self.responds:  # a framework made a 500 of a failing store
            self.save_logout(session)
            return self._gives_way()
        self.keep = status < 500
        try:
            if replacement is not None:
                Session.become(session, replacement)
            self.carry_out(session, None if self.started else self.plan(session, self.keep))
        except StoreError:
            if not self.responds:
                raise
            return self._gives_way()
        return True

    async def asave_head(
        self, session: Session, status: int, replacement: dict[str, Any] | None = None
    ) -> bool:
        """Do as :meth:`save_head`, without blocking."""
        if status == 500 and self.failed and self.responds:
            await self.asave_logout(session)
            return self._gives_way()
        self.keep = status < 500
        try:
            await self.quiet()  # first: what is under way stands, whatever the replacement brings
            if replacement is not None:
                await Session.aload(session)
                Session.become(session, replacement)
            await self.acarry_out(session, None if self.started else self.plan(session, self.keep))
        except StoreError:
            if not self.responds:
                raise
            return self._gives_way()
        return True

    def save_end(self, session: Session, replacement: dict[str, Any] | None = None) -> None:
        """Save what changed after the head."""
        try:
            if replacement is not None:
                Session.become(session, replacement)
            self.carry_out(session, None if self.unavailable else self.plan(session, self.keep))
        except StoreError:
            if not self.responds:
                raise

    async def asave_end(self, session: Session, replacement: dict[str, Any] | None = None) -> None:
        """Do as :meth:`save_end`, without blocking."""
        try:
            await self.quiet()
            if replacement is not None:
                Session.become(session, replacement)
            await self.acarry_out(session, None if self.unavailable else self.plan(session, self.keep))
        except StoreError:
            if not self.responds:
                raise

    def answers(self, error: BaseException) -> bool:
        """Return whether *error*, raised by the application, is to be a 503, or a 400."""
        if not self.responds or (self.started and not self.unavailable):
            return False
        if isinstance(error, TooManyCookies):
            self.answer = TOO_MANY_COOKIES
            return True
        return isinstance(error, StoreError)

    def _gives_way(self) -> bool:
        self.unavailable = True
        return False

    def close_head(self, readable: bool = False) -> None:
        """Note that no cookie can be sent any more, nor a first access told to caches."""
        self.started = True
        self.answerable = False
        self.is_late = True
        self.readable = readable or self.accessed

    def answer_headers(self) -> list[tuple[str, str]]:
        """Return the head of our answer: with the cookie of a new id only if that is stored already."""
        return [*self.answer.headers, *(("set-cookie", line) for line in self.set_cookies.values())]

    def headers(
        self, given: Iterable[tuple[AnyStr, AnyStr]], words: Words[AnyStr], request: Mapping[str, Any]
    ) -> list[tuple[AnyStr, AnyStr]]:
        """Return *given* with those that the use of the session demands; *request*: its environ or scope."""
        requests, amended = self.requests, vary(given, words)
        if not requests.warned_conflict and sets_cookie(amended, words, requests.policy.cookie.name):
            requests.report_conflict()
        if not self.set_cookies:
            return amended
        warn_of_plain_http(requests, request)
        headers, overridden = forbid_storing(amended, words)
        if overridden:
            requests.report_cache_override()
        headers.extend((words.set_cookie, words.spell(line)) for line in self.set_cookies.values())
        return headers


PassOn = TypeVar("PassOn", bound=Callable[..., Any])


class MiddlewareVisit(ResponseVisit, Generic[PassOn]):
    """The visit of one request of WSGI or ASGI, which it holds until :meth:`let_go`.

    A request holds its session, and that its visit: without the cut each would be a circle, work for the
    garbage collector, and its payload would stay until that has run.
    """

    __slots__ = ("key", "pass_on", "request", "session")
    request: Any
    """The environ of WSGI, or the scope of ASGI."""
    session: Session
    key: str
    """Of the session in the request."""
    pass_on: PassOn
    """The server's ``send`` or ``start_response``."""

    def let_go(self) -> None:
        """Nothing is to come any more: hold neither the request nor its session, which takes no changes."""
        self.over = True
        del self.request, self.session

    def owes_more(self) -> bool:
        """Return whether there may be anything to save, or a failure to tell."""
        session, state = self.session, self.state
        if self.request.get(self.key) is not session:
            return True  # the application put something in our place
        if state is None:
            return self.found is not None
        return state.due or self.failed or self.saving is not None or state.is_changed(session)

    def replacement(self) -> dict[str, Any] | None:
        """Return the plain dict that the application put in our place, if it did."""
        found = self.request.get(self.key)
        return found if type(found) is dict and not self.unavailable else None

    def tidies(self) -> bool:
        """Return whether cleaning is to follow this response."""
        return self.requests.cleaning_due and self.state is not None


def is_nested(found: object, requests: Requests) -> bool:
    """Return whether *found* is a session of these *requests*: the middleware stands within itself."""
    return isinstance(found, Session) and visit_of(found).requests is requests and not visit_of(found).over


def is_over(found: object) -> bool:
    """Return whether *found* is a session of a request that has ended, left in a scope that is used again."""
    return isinstance(found, Session) and bool(visit_of(found).over)
