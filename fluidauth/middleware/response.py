"""What a response does with its session, whatever carries it: WSGI, ASGI, Flask or Quart.

A session is saved before the head of the response, and once more at its end. If a handler raises, or answers
with 500 or above, only a logout is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, AnyStr, Literal

from fluidauth.engine import SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.errors import ConfigError, Refusal, StoreError, TooManyCookies
from fluidauth.formats.client_tokens import bearer_in
from fluidauth.formats.headers import (
    TOO_MANY_COOKIES,
    UNAVAILABLE,
    Answer,
    Words,
    forbid_storing,
    refuse,
    sets_cookie,
    vary,
)
from fluidauth.session import Session

from .plain_http import warn_of_plain_http

_LENGTHS = (len("vary"), len("set-cookie"))  # of the names that decide what is to be added

OnStoreError = Literal["respond", "raise"]


def check_settings(engine: SessionEngine, on_store_error: str) -> None:
    """Raise :class:`ConfigError` for a middleware that could not serve."""
    if not isinstance(engine, SessionEngine):
        raise ConfigError(f"engine={engine!r} is not a SessionEngine")
    if on_store_error not in ("respond", "raise"):
        raise ConfigError(f"on_store_error={on_store_error!r} must be 'respond' or 'raise'")


class ResponseVisit(Visit):
    """The visit of a request that a response answers. All of them have one rule for a failing store."""

    __slots__ = ()
    answer: Answer
    answerable: bool
    bearer: str | None
    is_late: bool
    keep: bool
    over: bool
    readable: bool

    def present(self, headers: str | Iterable[tuple[bytes, bytes]]) -> None:
        """Take the client's token in *headers* instead of cookies, if there is one."""
        self.bearer = bearer_in(headers)
        self.answerable = self.bearer is None

    def save_logout(self, session: Session) -> None:
        """Carry out the logout of a request that failed. It is kept, whatever failed.

        If the store fails, this process denies the session, and ends it later.
        """
        try:
            self.carry_out(session, None if self.unavailable else self.plan(session, keep=False))
        except StoreError:
            self._logout_failed()

    async def asave_logout(self, session: Session) -> None:
        """Do as :meth:`save_logout`, without blocking."""
        try:
            await self.quiet()
            await self.acarry_out(session, None if self.unavailable else self.plan(session, keep=False))
        except StoreError:
            self._logout_failed()

    def take_in(self, session: Session) -> None:
        """Have *session* become what the application put in its place, if it did."""

    async def atake_in(self, session: Session) -> None:
        """Do as :meth:`take_in`, without blocking."""

    def _logout_failed(self) -> None:
        if self.responds:  # whatever the answer was before
            self.answer = UNAVAILABLE

    def save_head(self, session: Session, status: int) -> bool:
        """Save before a head of *status*. Return whether that may leave; if not, our answer does.

        Raise ``StoreError`` if the middleware is not to answer it.
        """
        if status == 500 and self.failed and self.responds:  # a framework turned a failing store into a 500
            self.save_logout(session)
            return self._gives_way()
        self.keep = status < 500
        try:
            self.take_in(session)
            self.carry_out(session, None if self.started else self.plan(session, self.keep))
        except Refusal as error:  # of a login by a field, which is looked for only now
            self.answer = refuse(error)
            return self._gives_way()
        except StoreError:
            if not self.responds:
                raise
            return self._gives_way()
        return True

    async def asave_head(self, session: Session, status: int) -> bool:
        """Do as :meth:`save_head`, without blocking."""
        if status == 500 and self.failed and self.responds:
            await self.asave_logout(session)
            return self._gives_way()
        self.keep = status < 500
        try:
            await self.quiet()  # first: a save under way counts, whatever the application put in our place
            await self.atake_in(session)
            await self.acarry_out(session, None if self.started else self.plan(session, self.keep))
        except Refusal as error:  # of a login by a field, which is looked for only now
            self.answer = refuse(error)
            return self._gives_way()
        except StoreError:
            if not self.responds:
                raise
            return self._gives_way()
        return True

    def save_end(self, session: Session) -> None:
        """Save what changed after the head."""
        try:
            self.take_in(session)
            self.carry_out(session, None if self.unavailable else self.plan(session, self.keep))
        except StoreError:
            if not self.responds:
                raise

    async def asave_end(self, session: Session) -> None:
        """Do as :meth:`save_end`, without blocking."""
        try:
            await self.quiet()
            await self.atake_in(session)
            await self.acarry_out(session, None if self.unavailable else self.plan(session, self.keep))
        except StoreError:
            if not self.responds:
                raise

    def answers(self, error: BaseException) -> bool:
        """Return whether *error*, raised by the application, becomes a 503, a 400 or a 401."""
        if self.started and not self.unavailable:
            return False
        if isinstance(error, Refusal) and not self.unavailable:
            self.answer = refuse(error)
            return True
        if not self.responds:
            return False
        if isinstance(error, TooManyCookies):
            self.answer = TOO_MANY_COOKIES
            return True
        return isinstance(error, StoreError)

    def _gives_way(self) -> bool:
        self.unavailable = True
        return False

    def close_head(self, readable: bool = False) -> None:
        """Note that no cookie can be sent any more, and that a first access cannot change ``Vary``."""
        self.started = True
        self.answerable = False
        self.is_late = True
        self.readable = readable or self.accessed

    def end(self) -> None:
        """Nothing more will come: changes are refused, and a logout waits for no head."""
        self.over = True
        if not self.started:  # by an error, or an answer of ours: no head of the application's was saved
            self.close_head()

    def answer_headers(self) -> list[tuple[str, str]]:
        """Return the head of our answer: with the cookie of a new id only if that is stored already."""
        return [*self.answer.headers, *(("set-cookie", line) for line in self.set_cookies.values())]

    def headers(
        self, given: Iterable[tuple[AnyStr, AnyStr]], words: Words[AnyStr], request: Mapping[str, Any]
    ) -> list[tuple[AnyStr, AnyStr]]:
        """Return *given* with those that the use of the session needs; *request* is its environ or scope."""
        requests, headers = self.requests, list(given)
        policy = requests.policy
        if not (self.set_cookies or policy.client_tokens or policy.clear_site_data):
            for name, _ in headers:
                if len(name) in _LENGTHS:
                    break
            else:  # nearly always: nothing to look into
                headers.append((words.vary, words.cookie))
                return headers
        amended = vary(headers, words)
        if requests.policy.client_tokens:
            amended = vary(amended, words, words.authorization)
        if not requests.warned_conflict and sets_cookie(amended, words, requests.policy.cookie.name):
            requests.report_conflict()
        if policy.clear_site_data is not None and getattr(self, "logged_out", False):
            amended.append((words.spell("clear-site-data"), words.spell(policy.clear_site_data)))
        if not self.set_cookies:
            return amended
        warn_of_plain_http(requests, request)
        headers, overridden = forbid_storing(amended, words)
        if overridden:
            requests.report_cache_override()
        headers.extend((words.set_cookie, words.spell(line)) for line in self.set_cookies.values())
        return headers
