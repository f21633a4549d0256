"""What a session gives once: values for a way there and back, and messages. Also the token of its forms."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from fluidauth.errors import CrossOriginError, NotRedeemable
from fluidauth.formats import one_time
from fluidauth.formats.json_values import check, decode, encode
from fluidauth.records import seconds

from .impersonation import Impersonation
from .loading import Loading
from .notes import Flash, Notes, begun, flashed, flashes_in, is_flash, issued, redeemed, taken
from .state import State

TTL = 10 * 60  # seconds
_LONGEST_PURPOSE = 100  # characters


class OneTime(Impersonation):
    """One-time values, messages and the token of forms."""

    __slots__ = ()

    def issue(
        self, purpose: str, data: Any = None, *, ttl: int | timedelta = TTL, value: str | None = None
    ) -> str:
        """Return a value that :meth:`redeem` accepts once, from this session, for this purpose.

        It lasts *ttl* seconds, also under another id, and ends with the session. *data*, any JSON, is kept
        for it, so that only the value opens it. Of 50 values at once the oldest gives way. If another library
        has drawn a *value*, such as a ``state`` of OAuth, that is used. It must be of 22 characters or more.
        """
        _check_purpose(purpose)
        check(data, "data")
        given = one_time.new_value() if value is None else _checked(value)
        now, until = self._visit.now(), seconds("ttl", ttl)
        sealed = one_time.seal(purpose, given, encode(data))
        self._change().note_change(partial(issued, one_time.id_of(purpose, given), now + until, sealed, now))
        return given

    async def aissue(
        self, purpose: str, data: Any = None, *, ttl: int | timedelta = TTL, value: str | None = None
    ) -> str:
        """Do as :meth:`issue`, for a session that may not be read yet."""
        await Loading.aload(self)
        return OneTime.issue(self, purpose, data, ttl=ttl, value=value)

    def redeem(self, purpose: str, value: object) -> Any:
        """Return the data that *value* was issued with, and never again.

        Of concurrent calls one succeeds. That is in the store when this returns, whatever becomes of the
        request. Raise :class:`NotRedeemable` for any other value, and for one that was not saved yet.
        """
        _check_purpose(purpose)
        self._read()
        found = self._visit.take_note(_redeeming(purpose, value, self._visit.now()))
        return _opened(self, purpose, value, found)

    async def aredeem(self, purpose: str, value: object) -> Any:
        """Do as :meth:`redeem`, without blocking."""
        _check_purpose(purpose)
        await Loading.aload(self)
        self._read()
        found = await self._visit.atake_note(_redeeming(purpose, value, self._visit.now()))
        return _opened(self, purpose, value, found)

    # -- messages ----------------------------------------------------------------

    def flash(self, text: str, category: str = "message") -> None:
        """Keep *text* for the next page that calls :meth:`take_flashes`."""
        for name, given in (("text", text), ("category", category)):
            if not isinstance(given, str):
                raise TypeError(f"{name} must be text, not {type(given).__name__}")
            check(given, name)
        self._change().note_change(partial(flashed, one_time.new_value()[:8], category, text))

    def take_flashes(self) -> list[Flash]:
        """Return the messages, in their order. Each is returned to one request only, which should show it."""
        state = self._read()
        stored = self._visit.take_note(taken) if _has_flashes(state) else None
        return [*(stored or []), *_taken_back(self._visit.state or state)]

    async def atake_flashes(self) -> list[Flash]:
        """Do as :meth:`take_flashes`, without blocking."""
        await Loading.aload(self)
        state = self._read()
        stored = await self._visit.atake_note(taken) if _has_flashes(state) else None
        return [*(stored or []), *_taken_back(self._visit.state or state)]

    # -- forms -------------------------------------------------------------------

    def csrf_token(self) -> str:
        """Return a token for a form of this session, for browsers that do not say where a request comes from.

        It is another text each time, and good until the session gets another id. A visitor gets a session
        for it. In a request that signs in or out, call it after that.
        """
        state = self._read()
        if state.stored is None and state.wish.login is None:
            self._change().note_change(begun)
        return self._visit.form_token()

    def check_csrf_token(self, token: object) -> None:
        """Raise :class:`CrossOriginError` unless *token* is one of :meth:`csrf_token` for this session."""
        self._read()
        if not self._visit.knows_form(token):
            raise self._told(CrossOriginError("the form has no token of this session"))

    # -- activity ----------------------------------------------------------------

    @property
    def counts_as_activity(self) -> bool:
        """Whether this request prolongs the session. Set it to False in one that a page makes by itself."""
        self._read()
        return self._visit.counts()

    @counts_as_activity.setter
    def counts_as_activity(self, value: bool) -> None:
        self._read().counts = bool(value)

    def extend(self) -> bool:
        """Count as activity now, for example at each frame of a WebSocket.

        Return False if the session has ended. The store is asked only if it has idled for a twentieth of its
        timeout.
        """
        self._read()
        return self._visit.extend()

    async def aextend(self) -> bool:
        """Do as :meth:`extend`, without blocking."""
        await Loading.aload(self)
        self._read()
        return await self._visit.aextend()


def _redeeming(purpose: str, value: object, now: int) -> Any:
    if not _is_possible(value):
        return lambda notes: None
    return partial(redeemed, one_time.id_of(purpose, str(value)), now)


def _opened(session: OneTime, purpose: str, value: object, sealed: str | None) -> Any:
    text = None if sealed is None else one_time.unseal(purpose, str(value), sealed)
    if text is None:
        raise session._told(NotRedeemable(f"this is no value for {purpose!r} that can still be redeemed"))
    return decode(text)


def _has_flashes(state: State) -> bool:
    body = state.body
    return body is not None and state.stored is not None and bool(flashes_in(body.notes))


def _taken_back(state: State) -> list[Flash]:
    """Return the messages of this request itself, which the save does not keep then."""
    mine: Notes = {}
    for change in filter(is_flash, state.wish.notes):
        mine = change(mine)
    if mine:
        state.wish = state.wish._replace(notes=tuple(each for each in state.wish.notes if not is_flash(each)))
    return flashes_in(mine)


def _check_purpose(purpose: object) -> None:
    if not isinstance(purpose, str):
        raise TypeError(f"purpose must be text, not {type(purpose).__name__}")
    if not 1 <= len(purpose) <= _LONGEST_PURPOSE:
        raise ValueError(f"purpose must be 1 to {_LONGEST_PURPOSE} characters, such as 'oauth-state'")


def _is_possible(value: object) -> bool:
    return isinstance(value, str) and one_time.SHORTEST <= len(value) <= one_time.LONGEST and value.isascii()


def _checked(value: object) -> str:
    if not _is_possible(value):
        raise ValueError(
            f"value must be {one_time.SHORTEST} to {one_time.LONGEST} ASCII characters that nobody can guess"
        )
    return str(value)
