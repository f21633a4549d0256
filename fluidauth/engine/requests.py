"""Sessions in from the store and out to it, for one engine, blocking or awaited.

The only place where rules, store and events meet. A failing store is an error here,
never an empty session and never a cleared cookie.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from fluidauth.concurrency import begun, on_asyncio
from fluidauth.errors import ConfigError, NotEnded, StoreError, TooManyCookies
from fluidauth.events import EventLog, EventName, Notice, SessionEvent
from fluidauth.formats.cookies import MAX_HEADER_LENGTH, MAX_LEAVING, CookieOptions
from fluidauth.operations import adopt, manage
from fluidauth.operations.runner import Steps, arun, run
from fluidauth.operations.save import commit
from fluidauth.records import MAX_LIFETIME, SessionRecord
from fluidauth.rules.loading import admit, identify, identify_token
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Changes, Outcome, close, follow_user, settle
from fluidauth.secrecy import clear_frames, without_locals
from fluidauth.session import Session
from fluidauth.session.state import Credential, State, barred
from fluidauth.stores.base import AsyncSessionStore, SessionStore

from .adopters import Adopters, Found
from .denylist import Denials

T = TypeVar("T")

CLEAN_INTERVAL = 60  # seconds between two automatic cleanings of a process
CLEAN_MARGIN = 60 * 60  # a clock that jumped forward must not cost live sessions
CLEAN_BATCH = 200
DENIALS_BATCH = 20  # sessions to be ended late, after one response
_LATEST_TIME = 253_402_300_799 - 400 * 24 * 60 * 60  # year 9999, less the longest lifetime


class SessionGateway:
    """What sessions and middlewares ask of the engine."""

    def __init__(
        self,
        policy: Policy,
        store: SessionStore,
        twin: AsyncSessionStore,
        events: EventLog,
        clock: Callable[[], float],
        adopters: Adopters,
    ) -> None:
        self.policy = policy
        self.store = store
        self.twin = twin
        self._events = events
        self._clock = clock
        self.cleaning_due = False
        """Whether the response now going out should be followed by :meth:`tidy`."""
        self._clean_at = 0
        self._adopters = adopters
        self._denials = Denials()
        self._warned_insecure = False
        self._keyring = policy.sealer.keyring
        self._keyring.report_to(self)

    def with_cookie(self, cookie: CookieOptions) -> SessionGateway:
        """Return a gateway to the same sessions for requests under another cookie."""
        other = copy.copy(self)
        other.policy = replace(self.policy, cookie=cookie, cookie_names=cookie.names)
        return other

    @property
    def adopts(self) -> bool:
        """Whether sessions of other systems may come in."""
        return bool(self._adopters)

    def now(self) -> int:
        """Return the time in Unix seconds; raise :class:`ConfigError` for an impossible clock."""
        try:
            now = int(self._clock())
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"the engine's clock returned no time: {error}") from None
        if not 0 <= now <= _LATEST_TIME:
            raise ConfigError(f"the engine's clock returned {now}, which is no Unix time")
        return now

    # -- in ----------------------------------------------------------------------

    def load(self, session: Session) -> None:
        """Read *session*; it installs what was found, or raises it."""
        try:
            credentials = self._credentials(session)
            records = []
            for credential in credentials:  # a comprehension is a call of its own before Python 3.12
                records.append(self.store.get(credential.handle))
            session._prefetched = self._admit(credentials, records)
            if self._adopters and not credentials:
                found = self._adopters.find(self.policy, self.store, session._cookies, self.now())
                session._prefetched = self._or_former(session._prefetched, found)
        except StoreError as error:
            session._prefetched = error
            self._failed("load", session, error)
            raise

    async def aload(self, session: Session) -> None:
        """Do as :meth:`load`, without blocking."""
        try:
            credentials = self._credentials(session)
            records = [await self.twin.get(c.handle) for c in credentials]
            session._prefetched = self._admit(credentials, records)
            if self._adopters and not credentials:
                found = await self._adopters.afind(self.policy, self.twin, session._cookies, self.now())
                session._prefetched = self._or_former(session._prefetched, found)
        except StoreError as error:
            session._prefetched = error
            self._failed("load", session, error)
            raise

    @without_locals
    def look_up(self, token: str) -> State:
        """Return what *token*, the value of a cookie, stands for: as :meth:`load`, without a session."""
        try:
            self._keyring.refresh()
            credentials = self._reported(identify_token(self.policy, token))
            records = [self.store.get(credentials[0].handle)] if credentials else []
            state = self._admit(credentials, records)
            if self._adopters and not credentials:
                found = self._adopters.find(self.policy, self.store, self._cookie_of(token), self.now())
                state = self._or_former(state, found)
            return state
        except StoreError as error:
            self._failed("load", None, error)
            raise

    @without_locals
    async def alook_up(self, token: str) -> State:
        """Do as :meth:`look_up`, without blocking."""
        try:
            self._keyring.refresh()
            credentials = self._reported(identify_token(self.policy, token))
            records = [await self.twin.get(credentials[0].handle)] if credentials else []
            state = self._admit(credentials, records)
            if self._adopters and not credentials:
                found = await self._adopters.afind(self.policy, self.twin, self._cookie_of(token), self.now())
                state = self._or_former(state, found)
            return state
        except StoreError as error:
            self._failed("load", None, error)
            raise

    def _cookie_of(self, token: str) -> str:
        return f"{self.policy.cookie.name}={token}"

    def present(self, session: Session, state: State) -> None:
        """Note in *state* all that a logout is to end, without asking the store.

        Raise :class:`TooManyCookies`, with the cookie cleared, if there are more than are looked at.
        """
        if self._adopters:
            state.formers = tuple(self._adopters.presented(self.policy, session._cookies, self.now()))
        if session._presented:
            state.gone = tuple(session._presented)
            return
        self._keyring.refresh()
        credentials, notices = identify(self.policy, session._cookies, MAX_LEAVING)
        self.report(notices)
        if any(notice.reason in ("too_many", "too_long") for notice in notices):
            line = self.policy.cookie.expire(self.policy.cookie.name)
            session._set_cookies = {**session._set_cookies, _place_of(line): line}
            raise TooManyCookies(
                f"more than {MAX_LEAVING} cookies, or {MAX_HEADER_LENGTH} characters of them, came with a "
                "logout; the browser is told to drop ours, and the session may live on"
            )
        state.gone = tuple(credentials)
        if not credentials:
            state.adoption = state.adoption or next(iter(state.formers), None)

    async def prefetch(self, session: Session) -> None:
        """Read *session* ahead of its first access, which then raises what failed here."""
        with suppress(StoreError):  # kept in the session: a page that never looks is served
            await self.aload(session)

    def _credentials(self, session: Session) -> list[Credential]:
        self._keyring.refresh()
        state = session._state
        if state is not None and state.credential is not None:  # a reload: maybe under a new id
            return [state.credential] if self._may_go_on(state.credential) else []
        found = self._reported(identify(self.policy, session._cookies))
        session._presented = found
        return found

    def _reported(self, identified: tuple[list[Credential], list[Notice]]) -> list[Credential]:
        credentials, notices = identified
        if notices:
            self.report(notices)
        return credentials

    def _admit(self, credentials: list[Credential], records: list[SessionRecord | None]) -> State:
        now = self.now()
        state, notices = admit(self.policy, credentials, records, now)
        if notices:
            self.report(notices)
        # The upper bound frees a process whose clock was set back.
        if not now < self._clean_at <= now + CLEAN_INTERVAL:
            self.cleaning_due = True
        return (self._denied(credentials) or state) if self._denials.denied else state

    def _or_former(self, state: State, found: Found) -> State:
        """Return the session that a cookie of a former system stands for, else *state*."""
        if found.notices:
            self.report(found.notices)
        if found.state is None:
            return state
        old = found.state.adoption
        if old is not None and self._denials.record_left(old.marker) is not None:
            denied = State()  # it was to end, and the store refused
            denied.adoption, denied.barred = old._replace(taken=False), "ended"
            return denied
        return found.state

    def _denied(self, credentials: list[Credential]) -> State | None:
        """Return the state of a session that was to end, if one of *credentials* is of such."""
        for presented in credentials:
            left = self._denials.record_left(presented.handle)
            if left is not None:
                return barred(
                    Credential(presented.cookie, presented.session_id, presented.kid, left), "ended"
                )
        return None

    # -- out ---------------------------------------------------------------------

    def changes(self, session: Session, keep: bool = True) -> Changes | None:
        """Return what *session* asks of the store; only a logout where *keep* is false."""
        state = session._state
        if state is None or not (state.due or state.is_changed(session)):
            return None
        return close(self.policy, session, self.now(), keep)

    def follow_user(self, session: Session) -> None:
        """Do now what :meth:`changes` does first: sign in or out by the fields of a former system."""
        if session._state is not None:
            follow_user(self.policy, session, session._state, self.now())

    def save(self, session: Session) -> None:
        changes = self.changes(session)
        if changes is not None:
            self.commit(session, changes)

    async def asave(self, session: Session) -> None:
        await self.quiet(session)
        changes = self.changes(session)
        if changes is not None:
            await self.acommit(session, changes)

    def leave(self, session: Session) -> None:
        """Carry out a logout at once: a stream or WebSocket may go on for long.

        If the store refuses, nobody gets in under it here, and it is tried again at the end.
        """
        saving = session._saving
        if isinstance(saving, asyncio.Future) and not saving.done():  # then this is next
            saving.add_done_callback(lambda _: self.leave(session))
            return
        changes = self.changes(session, keep=False)
        if changes is None:
            return
        if on_asyncio() and not session._may_block:
            session._saving = begun(self._acommit(session, changes))
            return
        with suppress(StoreError):  # in a thread, as Starlette runs blocking generators; or under trio
            self.commit(session, changes)

    def commit(self, session: Session, changes: Changes) -> None:
        """Carry out *changes*; raise ``StoreError`` if they are not all in the store."""
        now = self.now()
        outcome = self.perform(self._steps(changes, now), "save", session)
        self._settle(session, changes, outcome, now)
        for old in changes.state.old:
            if not self._adopters.forget(old):
                self.report_failure("forget")

    async def acommit(self, session: Session, changes: Changes) -> None:
        """Do as :meth:`commit`; a cancelled caller does not stop it halfway."""
        if self._is_undisturbed():
            try:
                await self._acommit(session, changes)
            except Exception:
                raise
            except BaseException:  # cancelled under trio, which has no shield here: it may have ended halfway
                self._deny_what_ends(changes.state)
                raise
            return
        saving = session._saving = begun(self._acommit(session, changes))
        try:
            await asyncio.shield(saving)
        finally:
            if saving.done():
                session._saving = None

    async def _acommit(self, session: Session, changes: Changes) -> None:
        now = self.now()
        outcome = await self._aperform(self._steps(changes, now), "save", session)
        self._settle(session, changes, outcome, now)
        for old in changes.state.old:
            if not await self._adopters.aforget(old):
                self.report_failure("forget")

    def _steps(self, changes: Changes, now: int) -> Steps[Outcome]:
        state = changes.state
        if state.adoption is not None or state.formers:
            return adopt.adopt(self.policy, changes, now)
        return commit(self.policy, changes, now)

    async def quiet(self, session: Session) -> None:
        """Wait until no save of *session* is under way: each begins from where the last one ended."""
        while session._saving is not None:
            saving = session._saving
            with suppress(StoreError):  # its own caller hears of it
                await asyncio.shield(saving)
            if session._saving is saving:
                session._saving = None

    def _settle(self, session: Session, changes: Changes, outcome: Outcome, now: int) -> None:
        session._failed = False
        if self._denials.denied and changes.state.ends:
            self._lift_denials(changes.state)
        lines = settle(self.policy, session, changes, outcome, now)
        if lines:
            session._set_cookies = {**session._set_cookies, **{_place_of(line): line for line in lines}}
        if outcome.notices:
            self.report(outcome.notices)

    def _lift_denials(self, state: State) -> None:
        """Deny nothing any longer of a session that has ended now."""
        if state.credential is not None:
            self._denials.remove(state.credential.handle)
        for old in state.old:
            self._denials.lift(old.marker)

    def perform(self, steps: Steps[T], what: str, session: Session | None = None) -> T:
        """Carry out *steps* on the store; *what* they are for goes into the event of a failure."""
        self._keyring.refresh()
        try:
            return run(self.store, steps)
        except Exception as error:
            clear_frames(error)
            if isinstance(error, StoreError):
                self._failed(what, session, error)
            raise

    async def aperform(self, steps: Steps[T], what: str) -> T:
        """Do as :meth:`perform` without blocking, to the end even if the caller is cancelled.

        A client that goes away must not stop its own logout halfway.
        """
        if self._is_undisturbed():
            return await self._aperform(steps, what)
        return await asyncio.shield(begun(self._aperform(steps, what)))

    def _is_undisturbed(self) -> bool:
        """Return whether work on the store needs no shield: it never waits, or trio has none."""
        return self.twin.inline or not on_asyncio()

    async def _aperform(self, steps: Steps[T], what: str, session: Session | None = None) -> T:
        self._keyring.refresh()
        try:
            return await arun(self.twin, steps)
        except Exception as error:
            clear_frames(error)
            if isinstance(error, StoreError):
                self._failed(what, session, error)
            raise

    def _failed(self, what: str, session: Session | None, error: StoreError) -> None:
        self.report_failure(what)
        if session is not None:
            session._failed = True
            if what == "save" and session._state is not None:
                session._state.unsure = True
        if isinstance(error, NotEnded):
            self._deny(error.handles)

    def _deny(self, handles: dict[str, str]) -> None:
        """Let nobody in under *handles*, and try again soon to remove the records left."""
        until = self.now() + MAX_LIFETIME
        for handle, record in handles.items():
            self._denials.add(handle, record, until)
            self.report([Notice("revoke_failed", None, handle)])
        self._clean_at = 0

    def _deny_what_ends(self, state: State) -> None:
        """Let nobody in under what *state* was to end, and end it soon, whether that was done or not."""
        if state.ends:
            presented = [c.handle for c in (*state.gone, *filter(None, (state.credential,)))]
            self._deny({handle: handle for handle in presented} | {old.marker: "" for old in state.old})

    def _may_go_on(self, credential: Credential) -> bool:
        """Return whether the key that admitted *credential* still verifies."""
        if self._keyring.find(credential.kid) is not None:
            return True
        self.report([Notice("cookie_rejected", "revoked_key", credential.handle)])
        return False

    # -- afterwards ----------------------------------------------------------------

    def tidy(self) -> None:
        """Remove a few of the records that expired an hour ago; called when ``cleaning_due``."""
        for handle, record, until in self._denials.pending(self.now(), DENIALS_BATCH):
            with suppress(StoreError):  # reported; it stays denied, and the others get their turn
                self._removed(handle, record, self.perform(self._ending(handle, record, until), "revoke"))
        before = self._cleaning_begins()
        if self.store.expires_itself:
            return
        try:
            self._cleaned(self.store.clean(before, CLEAN_BATCH))
        except StoreError:
            self.report_failure("clean")

    async def atidy(self) -> None:
        """Do as :meth:`tidy`, without blocking."""
        for handle, record, until in self._denials.pending(self.now(), DENIALS_BATCH):
            with suppress(StoreError):  # as above
                ended = await self.aperform(self._ending(handle, record, until), "revoke")
                self._removed(handle, record, ended)
        before = self._cleaning_begins()
        if self.twin.expires_itself:
            return
        try:
            self._cleaned(await self.twin.clean(before, CLEAN_BATCH))
        except StoreError:
            self.report_failure("clean")

    def _cleaning_begins(self) -> int:
        """Take the turn; return the time up to which expired records go."""
        now = self.now()
        self.cleaning_due = False
        self._clean_at = now + CLEAN_INTERVAL
        return now - CLEAN_MARGIN

    def _cleaned(self, count: int) -> None:
        self.cleaning_due = count >= CLEAN_BATCH  # more is waiting: go on after the next response

    def _ending(self, handle: str, record: str, until: int) -> Steps[bool]:
        """Return what ends a denied session now; *record* is left of it, nothing of a former system's."""
        if record:
            return manage.delete(self.policy, record)
        return adopt.close(self.policy, handle, until, self.now())

    def _removed(self, handle: str, record: str, ended: bool) -> None:
        if record:
            self._denials.remove(record)
        else:
            self._denials.lift(handle)
        if ended:
            self.report([Notice("session_revoked", "late", record or handle)])

    def report(self, notices: Iterable[Notice]) -> None:
        """Make events of *notices*."""
        for notice in notices:
            self._events.emit(
                SessionEvent(notice.name, self.now(), notice.reason, notice.handle, notice.user_id)
            )

    def keyring_event(self, name: EventName, reason: str) -> None:
        """Tell what became of the keyring's file."""
        self.report([Notice(name, reason)])

    def report_failure(self, what: str) -> None:
        """Tell that the store failed while doing *what*."""
        self.report([Notice("store_error", what)])

    def report_insecure(self, scheme: str) -> None:
        """Tell once why a browser drops a Secure cookie that came over plain http."""
        if self.policy.cookie.secure and scheme in ("http", "ws") and not self._warned_insecure:
            self._warned_insecure = True
            self.report([Notice("cookie_insecure", "plain_http")])

    def report_cache_override(self) -> None:
        """Tell that the application let caches keep a response that carries a cookie."""
        self.report([Notice("cache_overridden", "public")])


def _place_of(line: str) -> tuple[str, ...]:
    """Return what tells a browser which cookie the ``Set-Cookie`` *line* replaces."""
    pair, *attributes = line.split("; ")
    return pair.partition("=")[0], *(each for each in attributes if each.startswith(("path=", "domain=")))
