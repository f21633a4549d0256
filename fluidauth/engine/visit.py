"""What both protocols do with a session between a request and its response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, AnyStr, Generic, Literal, TypeVar

from fluidauth.errors import ConfigError, StoreError, TooManyCookies
from fluidauth.formats.headers import TOO_MANY_COOKIES, UNAVAILABLE, Words, forbid_storing, vary
from fluidauth.rules.saving import Changes
from fluidauth.session import Session

from .engine import SessionEngine
from .requests import SessionGateway

OnStoreError = Literal["respond", "raise"]


def check_settings(engine: SessionEngine, on_store_error: str) -> None:
    """Raise :class:`ConfigError` for a middleware that could not serve."""
    if not isinstance(engine, SessionEngine):
        raise ConfigError(f"engine={engine!r} is not a SessionEngine")
    if on_store_error not in ("respond", "raise"):
        raise ConfigError(f"on_store_error={on_store_error!r} must be 'respond' or 'raise'")


PassOn = TypeVar("PassOn", bound=Callable[..., Any])


class Exchange(Generic[PassOn]):
    """One request, its session and the head of its response.

    Saved before the head is passed on, and once more at the end. A handler that raises
    or answers with 500 and above keeps nothing but a logout.
    """

    __slots__ = (
        "answer",
        "gateway",
        "keep",
        "key",
        "pass_on",
        "request",
        "responds",
        "session",
        "started",
        "unavailable",
    )

    def __init__(
        self,
        gateway: SessionGateway,
        session: Session,
        responds: bool,
        request: dict[str, Any],
        key: str,
        pass_on: PassOn,
    ) -> None:
        self.gateway = gateway
        self.session = session
        self.responds = responds  # with 503 when the store fails, instead of raising
        self.request = request
        self.key = key  # of the session in the request
        self.pass_on = pass_on  # the server's send or start_response
        self.keep = self.started = False
        self.unavailable = False  # whether the application's response gave way to an answer of ours
        self.answer = UNAVAILABLE

    def owes_more(self) -> bool:
        """Return whether there may be anything to save, or a failure to tell."""
        session = self.session
        state = session._state
        if self.request.get(self.key) is not session:
            return True  # the application put something in our place
        if state is None:
            return session._prefetched is not None
        return state.due or session._failed or session._saving is not None or state.is_changed(session)

    def head_changes(self, status: int) -> Changes | None:
        """Return what to commit before a head of *status*."""
        self.keep = status < 500
        self._adopt_replacement()
        return None if self.started else self.gateway.changes(self.session, self.keep)

    def last_changes(self) -> Changes | None:
        """Return what to commit when the application has ended."""
        self._adopt_replacement()
        return None if self.unavailable else self.gateway.changes(self.session, self.keep)

    def leaving(self) -> Changes | None:
        """Return the logout of a request that failed; it stands whatever did."""
        return None if self.unavailable else self.gateway.changes(self.session, keep=False)

    def leave(self) -> None:
        """Carry out that logout; where the store refuses, nobody gets in here, and it is done later."""
        with suppress(StoreError):
            changes = self.leaving()
            if changes is not None:
                self.gateway.commit(self.session, changes)

    async def aleave(self) -> None:
        """Do as :meth:`leave`, without blocking."""
        with suppress(StoreError):
            await self.gateway.quiet(self.session)
            changes = self.leaving()
            if changes is not None:
                await self.gateway.acommit(self.session, changes)

    def _adopt_replacement(self) -> None:
        """Take over the fields of a plain dict that the application put in our place."""
        found = self.request.get(self.key)
        if type(found) is dict and not self.unavailable:
            self.session._become(found)

    def hides_failure(self, status: int) -> bool:
        """Return whether a framework made a 500 of a failing store; that is a 503."""
        return status == 500 and self.session._failed and self.responds

    def answers(self, error: BaseException) -> bool:
        """Return whether *error*, raised by the application, is to be a 503, or a 400."""
        if not self.responds or (self.started and not self.unavailable):
            return False
        if isinstance(error, TooManyCookies):
            self.answer = TOO_MANY_COOKIES
            return True
        return isinstance(error, StoreError)

    def close_head(self, readable: bool = False) -> None:
        """Note that no cookie can be sent any more, nor a first access told to caches."""
        self.started = True
        self.session._answerable = False
        self.session._is_late = True
        self.session._readable = readable or self.session._accessed

    def answer_headers(self) -> list[tuple[str, str]]:
        """Return the head of our answer: with the cookie of a new id only if that is stored already."""
        cookies = self.session._set_cookies.values()
        return [*self.answer.headers, *(("set-cookie", line) for line in cookies)]

    def amended(
        self,
        headers: Iterable[tuple[AnyStr, AnyStr]],
        words: Words[AnyStr],
        scheme: str,
    ) -> list[tuple[AnyStr, AnyStr]]:
        """Return *headers* with those that the use of the session demands."""
        cookies = self.session._set_cookies
        if not cookies:
            return vary(headers, words)
        self.gateway.report_insecure(scheme)
        amended, overridden = forbid_storing(vary(headers, words), words)
        if overridden:
            self.gateway.report_cache_override()
        amended.extend((words.set_cookie, words.spell(line)) for line in cookies.values())
        return amended
