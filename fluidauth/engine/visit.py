"""One request's session: loaded once, each save planned once and carried out in one place.

A session holds its visit. The visit does not hold its session, as that would be a circle: callers pass it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress

from fluidauth.concurrency import begun, on_asyncio
from fluidauth.errors import SessionClosed, SessionNotLoaded, StoreError
from fluidauth.formats.cookies import CookiePlace, CookieSource
from fluidauth.formats.headers import UNAVAILABLE, Answer
from fluidauth.rules.saving import Outcome, SavePlan, cookies_after, plan, settle
from fluidauth.session import Session
from fluidauth.session.frozen import OVER
from fluidauth.session.state import State
from fluidauth.session.wish import Credential

from .at_once import AtOnce
from .requests import Requests
from .user_fields import follow_fields

_NO_COOKIES: dict[CookiePlace, str] = {}  # never written to
_TOO_LATE = (
    "the session was first used after the response head was sent, too late for Vary and Set-Cookie; read it "
    "before the first byte of the response"
)
_NOT_LOADED = (
    "this store cannot be read without waiting; call `await session.aload()` first, or give the middleware "
    "autoload=True"
)


class Visit(AtOnce):
    """What one request presented, what was found for it, and what was done with that.

    If *may_block*, the store may be asked at the first access. If *responds*, its failure is answered by 503.
    """

    __slots__ = (
        "accessed",
        "answer",
        "answerable",
        "bearer",
        "cookies",
        "failed",
        "found",
        "is_late",
        "keep",
        "logged_out",
        "may_block",
        "over",
        "presented",
        "readable",
        "requests",
        "responds",
        "saving",
        "set_cookies",
        "since",
        "started",
        "state",
        "token",
        "unavailable",
    )

    def __init__(
        self, requests: Requests, cookies: CookieSource = "", may_block: bool = True, responds: bool = False
    ) -> None:
        self.requests: Requests = requests
        self.cookies: CookieSource = cookies
        self.bearer: str | None = None  # a client's token, instead of cookies
        self.token: str | None = None  # the value of the cookie, if that came alone, as in Django
        self.may_block: bool = may_block
        self.responds: bool = responds
        self.state: State | None = None
        self.found: State | Exception | None = None  # what was read ahead, or the error
        self.presented: Sequence[Credential] = ()  # genuine ones, as far as cookies were looked at
        self.accessed: bool = False
        self.answerable: bool = True  # a cookie can still be sent
        self.readable: bool = True  # a first access can still change Vary
        self.is_late: bool = False  # the response head was sent: a logout does not wait for it
        self.over: bool = False  # the request has ended: the session may be read, and nothing is saved
        self.failed: bool = False  # whether the store failed the last time it was asked
        self.saving: Awaitable[None] | None = None
        self.set_cookies: dict[CookiePlace, str] = _NO_COOKIES
        self.keep: bool = False
        self.started: bool = False
        self.unavailable: bool = False  # whether we answer instead of the application
        self.answer: Answer = UNAVAILABLE

    def is_outside(self) -> bool:
        """Return whether a layer outside of the middleware asks, after the head."""
        return False

    def now(self) -> int:
        return self.requests.now()

    # -- loading -------------------------------------------------------------------

    def may_wait(self) -> bool:
        """Return whether a first access now would have to wait for the store."""
        return self.state is None and self.found is None and not self.may_block

    def load(self) -> State:
        """Return the state at the first access; if that is impossible, raise the reason each time."""
        # Flat, as nearly every request passes here: a call costs a hundredth of a read.
        if not (self.readable or self.is_outside()):
            raise SessionClosed(OVER if self.over else _TOO_LATE)
        self.accessed = True
        found = self.found
        if found is None:
            if not self.may_block:
                raise SessionNotLoaded(_NOT_LOADED)
            try:
                found = self.requests.load(self)
            except StoreError as error:
                self.found, self.failed = error, True
                raise
        elif not isinstance(found, State):
            raise found
        self.state, self.found = found, None
        return found

    async def aload(self) -> State:
        """Do as :meth:`load`, without blocking."""
        if not (self.readable or self.is_outside()):
            raise SessionClosed(OVER if self.over else _TOO_LATE)
        self.accessed = True
        if self.found is None:
            await self.prefetch()
        return self.state or self.load()  # another task may have loaded it meanwhile

    async def prefetch(self) -> None:
        """Read the session before its first access. An error is raised only at that access."""
        try:
            found: State | Exception = await self.requests.aload(self)
        except StoreError as error:  # kept: a page that does not use it is served
            found = error
        if self.state is None:  # no other task was first
            self.found, self.failed = found, self.failed or not isinstance(found, State)

    def nobody(self) -> State:
        """Go on as nobody if nothing can be read. The cookie alone says what a logout must end."""
        self.accessed, self.state = True, State()
        return self.state

    def reload(self) -> State:
        """Return the state as the store has it now."""
        try:
            self.state = self.requests.load(self)
        except StoreError:
            self.failed = True
            raise
        return self.state

    async def areload(self) -> State:
        """Do as :meth:`reload`, without blocking."""
        try:
            self.state = await self.requests.aload(self)
        except StoreError:
            self.failed = True
            raise
        return self.state

    # -- ending --------------------------------------------------------------------

    def log_out(self, session: Session) -> None:
        """Have the next save end *session*. If the response head has left, end it now."""
        if self.state is not None and self.state.closed and not (self.answerable or self.is_late):
            raise SessionClosed(f"this session is closed: {self.state.closed}")
        self.wish_end(session)
        if self.is_late:
            self._end_at_once(session)

    def wish_end(self, session: Session) -> None:
        """Have the next save end *session*, of which nothing is left."""
        state, wish = self.state or self.nobody(), self.requests.ending(self)
        if not wish.gone:
            state.adoption = state.adoption or next(iter(wish.formers), None)
        dict.clear(session)
        state.wish = wish._replace(leaves=state.wish.leaves)
        state.detach()

    def _end_at_once(self, session: Session) -> None:
        """Carry out a logout now, as a stream may go on for long. If that fails, try again at the end."""
        saving = self.saving
        if isinstance(saving, asyncio.Future) and not saving.done():
            # A save is under way that began without the logout: the logout comes next.
            saving.add_done_callback(lambda _: self._end_at_once(session))
            return
        plan = self.plan(session, keep=False)
        if plan is not None and on_asyncio() and not self.may_block:
            self.saving = begun(self._acarry_out(session, plan))
            return
        with suppress(StoreError):  # in a thread, as Starlette runs blocking generators; or under trio
            self.carry_out(session, plan)

    # -- saving --------------------------------------------------------------------

    def plan(self, session: Session, keep: bool = True) -> SavePlan | None:
        """Return what *session* asks of the store; if *keep* is false, only a logout."""
        state = self.state
        if state is None or not (state.due or state.is_changed(session)):
            return None
        policy, now = self.requests.policy, self.requests.now()
        if policy.user_of is not None:
            follow_fields(self, session, keep)
        return plan(policy, state, session, now, self.answerable, keep, self.counts)

    def save(self, session: Session) -> None:
        """Save all changes until now; raise ``StoreError`` if they are not all in the store."""
        self.carry_out(session, self.plan(session))

    async def asave(self, session: Session) -> None:
        """Do as :meth:`save`, without blocking."""
        await self.quiet()
        await self.acarry_out(session, self.plan(session))

    def carry_out(self, session: Session, plan: SavePlan | None) -> None:
        """Carry out *plan*, and update *session* to what is stored then."""
        if plan is None:
            return
        try:
            outcome = self.requests.carry_out(plan)
        except StoreError:
            self._save_failed()
            raise
        self._settle(session, plan, outcome)
        if plan.state.old:
            self.requests.forget(plan.state.old)

    async def acarry_out(self, session: Session, plan: SavePlan | None) -> None:
        """Do as :meth:`carry_out`, without blocking. A cancelled caller does not stop it halfway."""
        if plan is None:
            return
        if self.requests.is_undisturbed():
            try:
                await self._acarry_out(session, plan)
            except Exception:
                raise
            except BaseException:  # cancelled under trio, which has no shield here: it may be half done
                self.requests.deny_what_ends(plan.state)
                raise
            return
        saving = self.saving = begun(self._acarry_out(session, plan))
        try:
            await asyncio.shield(saving)
        finally:
            if saving.done():
                self.saving = None

    async def _acarry_out(self, session: Session, plan: SavePlan) -> None:
        try:
            outcome = await self.requests.acarry_out(plan)
        except StoreError:
            self._save_failed()
            raise
        self._settle(session, plan, outcome)
        if plan.state.old:
            await self.requests.aforget(plan.state.old)

    async def quiet(self) -> None:
        """Wait until no save is under way: each begins from where the last one ended."""
        while self.saving is not None:
            saving = self.saving
            with suppress(StoreError):  # its own caller gets the error
                await asyncio.shield(saving)
            if self.saving is saving:
                self.saving = None

    def _save_failed(self) -> None:
        self.failed = True
        if self.state is not None:
            self.state.unsure = True

    def _settle(self, session: Session, plan: SavePlan, outcome: Outcome) -> None:
        self.failed = False
        if plan.state.wish.ends:
            self.logged_out: bool = True
        if self.state is not None:
            self.state = settle(self.state, session, plan, outcome)
        if outcome.cookie is not None and self.answerable:
            self.set_cookies = {**self.set_cookies, **cookies_after(self.requests.policy, plan, outcome)}
        if outcome.notices:
            self.requests.report(outcome.notices)
        if outcome.failure is not None:
            self.failed = True
            if self.state is not None and plan.state.wish.alone_since is not None:  # for another try
                self.state.ask(alone_since=plan.state.wish.alone_since)
            raise outcome.failure
