"""How a session is read and saved. Nothing here does I/O: the visit that it was made for does."""

from __future__ import annotations

from typing import Any

from fluidauth.errors import FreshLoginRequired, Refusal, SessionClosed

from .facts import Facts
from .frozen import OVER
from .lazydict import PLACEHOLDER
from .protocol import VisitProtocol
from .state import State

_NO_HEAD = "a new session needs a Set-Cookie header, but the response head was sent already"
_BEARER = "{} needs a cookie, but this request came with a client's token, which no response can replace"


class Loading(Facts):
    """The part of a session that its visit fills and saves."""

    __slots__ = ("_visit",)  # the visit does not hold its session: see there

    @staticmethod
    def _told(error: Refusal) -> Refusal:
        """Return *error*, or the framework's own kind of it, which that answers in its own way."""
        return error

    def __init__(self, visit: VisitProtocol) -> None:
        self._visit = visit
        if visit.state is None:
            dict.__setitem__(self, PLACEHOLDER, PLACEHOLDER)
        else:
            dict.update(self, visit.state.base)

    # -- loading ---------------------------------------------------------------

    def _read(self) -> State:
        """Return the state. Load it first if necessary; every access passes here."""
        return self._visit.state or self._fill(self._visit.load())

    def _fill(self, state: State) -> State:
        dict.clear(self)
        dict.update(self, state.base)
        return state

    def _watch(self, key: str, value: Any) -> None:
        self._read().watch(key, value)

    def _watch_all(self) -> None:
        self._read().watch_all()

    def _change(self) -> State:
        state = self._read()
        if state.closed:
            raise SessionClosed(f"this session is closed: {state.closed}")
        visit = self._visit
        if not visit.answerable and (visit.over or state.record is None or state.wish.ends):
            if visit.bearer is not None and not visit.over:
                raise self._told(
                    FreshLoginRequired("the token of this request opens no session, so nothing can be kept")
                )
            raise SessionClosed(OVER if visit.over else _NO_HEAD)
        state.modified = True
        return state

    def _note_set(self, key: str) -> None:
        self._read().note_set(key)

    def _explain_missing(self, key: object) -> None:
        state = self._read()
        if state.body is not None and key in state.unreadable:
            raise state.body.locked[str(key)].error or KeyError(key)

    def _remove_unreadable(self, key: str | None = None) -> bool:
        return self._change().drop_unreadable(key)

    def _answerable_state(self, what: str) -> State:
        state = self._read()
        if self._visit.bearer is not None:
            raise SessionClosed(_BEARER.format(what))
        if not self._visit.answerable:
            raise SessionClosed(f"{what} needs a Set-Cookie header, but no response head is left to carry it")
        return state

    async def aload(self) -> None:
        """Read the session from the store, once; needed before access to a remote store."""
        if self._visit.state is None:
            state = await self._visit.aload()
            if dict.__contains__(self, PLACEHOLDER):  # no other task was first
                self._fill(state)

    def reload(self) -> None:
        """Read the session again. Changes of this request that are not saved yet are dropped."""
        before = self._read()
        self._refill(before, self._visit.reload())

    async def areload(self) -> None:
        """Do as :meth:`reload`, without blocking."""
        await Loading.aload(self)
        before = self._read()
        self._refill(before, await self._visit.areload())

    def _refill(self, before: State, state: State) -> None:
        self._fill(state)
        state.closed, state.counts = before.closed, before.counts
        if before.wish.ends:  # a logout is kept
            dict.clear(self)
            state.wish = before.wish
            state.detach()

    def save(self) -> None:
        """Save now, and not only when the response begins: for handlers that run long."""
        self._read()
        self._visit.save(self)

    async def asave(self) -> None:
        """Do as :meth:`save`, without blocking."""
        await Loading.aload(self)
        await self._visit.asave(self)
