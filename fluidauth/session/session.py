"""The dict that an application sees.

Nothing here does I/O: the visit that it was made for loads and saves. No method here calls another one by
its public name, because a framework's session has none of these names (``faces``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fluidauth.errors import FreshLoginRequired, SessionClosed, SessionNotLoaded, StoreError
from fluidauth.formats.json_values import check, check_key
from fluidauth.records import Lifetime, check_lifetime, check_user_id, seconds

from .facts import Facts
from .frozen import OVER
from .lazydict import PLACEHOLDER
from .protocol import VisitProtocol
from .state import State
from .wish import Login

UNREAD = (StoreError, SessionNotLoaded, SessionClosed)  # a logout needs no read
_NO_HEAD = "a new session needs a Set-Cookie header, but the response head was sent already"
_BEARER = "{} needs a cookie, but this request came with a client's token, which no response can replace"


class Session(Facts):
    """The session of one request; to the application, a dict of JSON values.

    The first access loads it. Changes, also deep inside values, are saved before the response leaves.
    Raise :class:`PayloadError` for a value that is not JSON, and :class:`StoreError` if the store is out
    of order. Raise :class:`SessionNotLoaded` in asynchronous code with a remote store before ``aload()``.
    Raise :class:`SessionClosed` for a change that can no longer be kept.
    """

    __slots__ = ("_visit",)  # the visit does not hold its session: see there
    _too_old: type[FreshLoginRequired] = (
        FreshLoginRequired  # or the framework's own subclass, which it answers in its own way
    )

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
                raise self._too_old("the token of this request opens no session, so nothing can be kept")
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
        await Session.aload(self)
        before = self._read()
        self._refill(before, await self._visit.areload())

    def _refill(self, before: State, state: State) -> None:
        self._fill(state)
        state.closed = before.closed
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
        await Session.aload(self)
        await self._visit.asave(self)

    # -- identity --------------------------------------------------------------

    def login(
        self, user_id: str, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> None:
        """Sign *user_id* in under a new id. From the save on, the old id opens nothing.

        Fields are kept, unless another user was signed in. *lifetime* overrides the engine's timeouts for
        this session (NIST SP 800-63B-4, section 5.2). Raise ``TypeError`` if *user_id* is not text.
        """
        check_user_id(user_id)
        check_lifetime(lifetime)
        check(data or {}, "data")
        state = self._answerable_state("login()")
        if state.user_id not in (None, user_id):
            dict.clear(self)
            state.detach()
        state.closed = None
        state.ask(login=Login(user_id, lifetime, self._visit.now()), renews=False)
        self.update(data or {})

    def regenerate(self) -> None:
        """Give the session a new id with the same data. From the save on, the old id opens nothing."""
        state = self._answerable_state("regenerate()")
        if state.closed:
            raise SessionClosed(f"this session is closed: {state.closed}")
        if not (state.signs_in or state.wish.ends):
            state.ask(renews=True)

    def confirm(self) -> None:
        """Note that the user authenticated again. The session gets a new id and a new ``auth_time``.

        Deadlines and fields stay. Raise :class:`FreshLoginRequired` if nobody is signed in.
        """
        state, now = self._answerable_state("confirm()"), self._visit.now()
        if state.closed:
            raise SessionClosed(f"this session is closed: {state.closed}")
        if state.user_id is None:
            raise self._too_old("nobody is signed in, so there is nothing to confirm; log the user in first")
        if state.wish.login is not None:
            state.ask(login=state.wish.login._replace(auth_time=now))
        else:
            state.ask(renews=True, confirmed_at=now)

    def set_lifetime(self, lifetime: Lifetime) -> None:
        """Give the session other timeouts, counted from now. Its cookie gets the same expiry.

        The session can end later than before, but not later than the engine's absolute timeout after its
        login or beginning (NIST SP 800-63B-4, section 5.2). Raise ``TypeError`` if it is no ``Lifetime``.
        """
        if not isinstance(lifetime, Lifetime):
            raise TypeError(f"lifetime={lifetime!r} must be a Lifetime, such as Lifetime(absolute=3600)")
        state = self._answerable_state("set_lifetime()")
        self._change()
        if state.wish.login is not None and state.signs_in:
            state.ask(login=state.wish.login._replace(lifetime=lifetime))
        else:
            state.ask(lifetime=lifetime)

    def logout(self) -> None:
        """End the session for good. The save removes its record, even if the handler fails.

        Nothing is read for this, because the cookie names the session. In a stream or WebSocket, where the
        response has begun, it ends at once. A later write in the same request starts a fresh session. Raise
        :class:`TooManyCookies` if the request has more cookies of our name than we read.
        """
        try:
            self._read()
        except UNREAD:
            self._fill(self._visit.nobody())
        self._visit.log_out(self)

    destroy = logout

    def clear(self) -> None:
        """Remove each field. If a user is signed in, or that cannot be read, do as :meth:`logout`."""
        try:
            state = self._read()
            leaves = state.user_id is not None or state.wish.ends
        except UNREAD:
            leaves = True
        if leaves:
            Session.logout(self)
        else:
            super().clear()

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Raise :class:`FreshLoginRequired` unless the login was at most *max_age* seconds ago."""
        limit = seconds("max_age", max_age)
        auth_time = self._read().auth_time
        if auth_time is None or self._visit.now() - auth_time > limit:
            raise self._too_old(f"this needs a login within the last {limit} seconds", limit)

    # -- changes that merge ----------------------------------------------------

    def add(self, key: str, amount: float = 1) -> None:
        """Add *amount* to the number under *key* (0 if absent).

        Concurrent additions all count; assignments overwrite. Raise ``TypeError`` if either is no number.
        """
        value = self.get(key, 0)
        for number in (value, amount):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise TypeError(f"session.add({key!r}) needs numbers, not {number!r}")
        check_key(key, "session")
        self._change().note(key, "add", amount)
        self[key] = value + amount

    def append(self, key: str, item: Any) -> None:
        """Append *item* to the list under *key* (empty if absent).

        All items that concurrent requests append are kept. Raise ``TypeError`` if the value is no list.
        """
        items = self.get(key, [])
        if not isinstance(items, list):
            raise TypeError(f"session.append({key!r}) needs a list, not {type(items).__name__}")
        check_key(key, "session")
        check(item, f"session[{key!r}][{len(items)}]", depth=2)
        self._change().note(key, "append", item)
        items.append(item)
        # Not by an assignment, which would check the whole list each time. The save checks it once.
        self._remove_unreadable(key)
        dict.__setitem__(self, key, items)

    # -- what frameworks ask ---------------------------------------------------

    @property
    def accessed(self) -> bool:
        """Whether this request used the session; its response then varies by cookie."""
        return self._visit.accessed

    @property
    def modified(self) -> bool:
        """Whether this request changed the session."""
        state = self._visit.state
        return state is not None and state.is_changed(self)

    def mark_accessed(self) -> None:
        """Count the session as used. Load it if that needs no waiting."""
        self._visit.accessed = True
        if not self._visit.may_wait():
            self._read()

    def mark_modified(self) -> None:
        """Compare every field at the save. Seldom needed, because changes are found without it."""
        self._change()

    def __repr__(self) -> str:
        self._visit.accessed = True  # names only, without loading: values must not reach logs
        state = self._visit.state
        if state is None:
            return "<Session, not loaded>"
        return f"<Session {state.user_id or 'anonymous'!r} fields={list(dict.keys(self))}>"


def visit_of(session: Session) -> Any:
    """Return the visit that *session* was made for."""
    return session._visit
