"""Sessions in from the store and out to it, for the requests of one engine.

Rules, store and events meet here. Every request passes through ``load``, so it is written by hand
for speed. A test compares it with its awaited twin.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from fluidauth.after_fork import catch_up
from fluidauth.errors import StoreError, TooManyCookies
from fluidauth.events import EventLog, Notice
from fluidauth.formats.cookies import MAX_HEADER_LENGTH, MAX_LEAVING, CookieOptions, CookiePlace, CookieSource
from fluidauth.operations import adopt
from fluidauth.operations.acting import accompanied
from fluidauth.operations.runner import Steps, arun, run
from fluidauth.operations.save import carry_out
from fluidauth.records import SessionRecord
from fluidauth.rules.loading import admit, identify, identify_client, identify_token
from fluidauth.rules.policy import Policy, UserOf
from fluidauth.rules.saving import Outcome, SavePlan
from fluidauth.session.state import State, barred
from fluidauth.session.wish import Adoption, Credential, Wish
from fluidauth.stores.base import AsyncSessionStore, SessionStore

from .access import StoreAccess
from .adopters import AdopterList, Found
from .housekeeping import CLEAN_INTERVAL


class Presenting(Protocol):
    """What a request presented, as its visit says."""

    cookies: CookieSource
    token: str | None
    """The value of the cookie alone, if there is no header."""
    bearer: str | None
    """A client's token. If there is one, cookies count for nothing."""
    state: State | None
    presented: Sequence[Credential]
    set_cookies: dict[CookiePlace, str]


class Requests(StoreAccess):
    """What the visits of one engine ask, under one cookie."""

    def __init__(
        self,
        policy: Policy,
        store: SessionStore,
        twin: AsyncSessionStore,
        events: EventLog,
        clock: Callable[[], float],
        adopters: AdopterList,
    ) -> None:
        super().__init__(policy, store, twin, events, clock)
        self._adopters = adopters
        self.status_path: str | None = None
        """Of the page that says how long the session still lasts."""
        self.former_names: tuple[str, ...] = adopters.cookie_names
        """Of cookies that may open a session besides ours."""

    def with_cookie(
        self, cookie: CookieOptions, translated: Callable[[UserOf], UserOf] | None = None
    ) -> Requests:
        """Return requests for the same sessions under another cookie.

        *translated* finds the user in fields as a framework holds them.
        """
        other, user_of = copy.copy(self), self.policy.user_of
        cookie = cookie.over_plain_http() if self.development else cookie
        if translated is not None and user_of is not None:
            user_of = translated(user_of)
        other.policy = replace(self.policy, cookie=cookie, cookie_names=cookie.names, user_of=user_of)
        return other

    def serve_this_machine_alone(self) -> None:
        """Switch development mode on, and report it."""
        self.development = True
        self.report([Notice("development_mode")])

    @property
    def adopts(self) -> bool:
        """Whether sessions of former systems may be adopted."""
        return bool(self._adopters)

    # -- in ----------------------------------------------------------------------

    def load(self, visit: Presenting) -> State:
        """Return what the cookies of *visit* stand for."""
        try:
            credentials = self._credentials(visit)
            records: list[SessionRecord | None] = []
            for credential in credentials:  # a comprehension is a call of its own before Python 3.12
                get = self.store.get_again if credential.is_kept else self.store.get
                records.append(get(credential.handle))
            state = self._admit(credentials, records)
            if self._adopters and not credentials and visit.bearer is None:
                found = self._adopters.find(self.policy, self.store, visit.cookies, self.now())
                state = self._or_former(state, found)
            elif state.acting is not None:
                steps = accompanied(self.policy, state, state.acting, self.now())
                state = self._noted(run(self.store, steps))
            return state
        except StoreError as error:
            self.failed("load", error)
            raise

    async def aload(self, visit: Presenting) -> State:
        """Do as :meth:`load`, without blocking."""
        try:
            credentials = self._credentials(visit)
            records: list[SessionRecord | None] = []
            for credential in credentials:
                get = self.twin.get_again if credential.is_kept else self.twin.get
                records.append(await get(credential.handle))
            state = self._admit(credentials, records)
            if self._adopters and not credentials and visit.bearer is None:
                found = await self._adopters.afind(self.policy, self.twin, visit.cookies, self.now())
                state = self._or_former(state, found)
            elif state.acting is not None:
                steps = accompanied(self.policy, state, state.acting, self.now())
                state = self._noted(await arun(self.twin, steps))
            return state
        except StoreError as error:
            self.failed("load", error)
            raise

    def _credentials(self, visit: Presenting) -> list[Credential]:
        catch_up()
        self._keyring.refresh()
        state = visit.state
        if state is not None and state.credential is not None:  # a reload: maybe under a new id
            return [state.credential] if self._may_go_on(state.credential) else []
        if visit.bearer is not None:
            credentials, notices = identify_client(self.policy, visit.bearer)
        elif visit.token is None:
            credentials, notices = identify(self.policy, visit.cookies)
        else:
            credentials, notices = identify_token(self.policy, visit.token)
        if notices:
            self.report(notices)
        visit.presented = credentials
        return credentials

    def _may_go_on(self, credential: Credential) -> bool:
        """Return whether the key that admitted *credential* still verifies."""
        if self._keyring.find(credential.kid) is not None:
            return True
        self.report([Notice("cookie_rejected", "revoked_key", credential.handle)])
        return False

    def _admit(self, credentials: list[Credential], records: list[SessionRecord | None]) -> State:
        now = self.now()
        state, notices = admit(self.policy, credentials, records, now)
        if notices:
            self.report(notices)
        # Without the upper bound a process whose clock was set back would not clean.
        if not now < self.clean_at <= now + CLEAN_INTERVAL:
            self.cleaning_due = True
        return (self._denied(credentials) or state) if self.denylist.denied else state

    def _noted(self, found: tuple[State, list[Notice]]) -> State:
        state, notices = found
        if notices:
            self.report(notices)
        return state

    def _or_former(self, state: State, found: Found) -> State:
        """Return the session that a cookie of a former system stands for, else *state*."""
        if found.notices:
            self.report(found.notices)
        if found.state is None:
            return state
        old = found.state.adoption
        if old is not None and old.marker in self.denylist.denied:
            denied = State()  # it had to end, and the store failed
            denied.adoption, denied.barred = old._replace(taken=False), "ended"
            return denied
        return found.state

    def _denied(self, credentials: list[Credential]) -> State | None:
        """Return the state of a session that had to end, if one of *credentials* names one."""
        for presented in credentials:
            denial = self.denylist.denied.get(presented.handle)
            if denial is not None:
                return barred(
                    Credential(presented.cookie, presented.session_id, presented.kid, denial.left), "ended"
                )
        return None

    # -- out ---------------------------------------------------------------------

    def ending(self, visit: Presenting) -> Wish:
        """Return a logout, with all that it must end. The store is not asked.

        If there are more cookies than we read, clear the cookie and raise :class:`TooManyCookies`.
        """
        formers: list[Adoption] = []
        if self._adopters and visit.bearer is None:
            formers = self._adopters.presented(self.policy, visit.cookies, self.now())
        if visit.bearer is not None and not visit.presented:
            self._credentials(visit)
        if visit.presented or visit.token is not None or visit.bearer is not None:
            return Wish(True, tuple(visit.presented), tuple(formers))
        self._keyring.refresh()
        credentials, notices = identify(self.policy, visit.cookies, MAX_LEAVING)
        self.report(notices)
        if any(notice.reason in ("too_many", "too_long") for notice in notices):
            ours = self.policy.cookie
            visit.set_cookies = {**visit.set_cookies, ours.place(): ours.expire()}
            raise TooManyCookies(
                f"a logout came with more than {MAX_LEAVING} cookies, or {MAX_HEADER_LENGTH} characters of "
                "them. The response deletes our cookie, but the session may still be live"
            )
        return Wish(True, tuple(credentials), tuple(formers))

    def carry_out(self, plan: SavePlan) -> Outcome:
        """Carry out *plan*; raise ``StoreError`` if it is not all in the store."""
        outcome = self.perform(self._steps(plan), "save")
        if outcome.failure is not None:
            self.failed("save", outcome.failure)
        if self.denylist.denied and plan.state.wish.ends:
            self._lift_denials(plan.state)
        return outcome

    async def acarry_out(self, plan: SavePlan) -> Outcome:
        """Do as :meth:`carry_out`, without blocking. Callers that must not stop halfway shield it."""
        outcome = await self.aperform_here(self._steps(plan), "save")
        if outcome.failure is not None:
            self.failed("save", outcome.failure)
        if self.denylist.denied and plan.state.wish.ends:
            self._lift_denials(plan.state)
        return outcome

    def _steps(self, plan: SavePlan) -> Steps[Outcome]:
        if plan.state.adoption is not None or plan.state.wish.formers:
            return adopt.take_over(self.policy, plan)
        return carry_out(self.policy, plan)

    def forget(self, taken_over: list[Adoption]) -> None:
        """Let former systems drop what was adopted from them, or has ended here."""
        for old in taken_over:
            if not self._adopters.forget(old):
                self.report_failure("forget")

    async def aforget(self, taken_over: list[Adoption]) -> None:
        """Do as :meth:`forget`, without blocking."""
        for old in taken_over:
            if not await self._adopters.aforget(old):
                self.report_failure("forget")

    def deny_what_ends(self, state: State) -> None:
        """Let nobody in under what *state* had to end. End it soon, whether the store did that or not."""
        if state.wish.ends:
            presented = [c.handle for c in (*state.wish.gone, *filter(None, (state.credential,)))]
            self.deny({handle: handle for handle in presented} | {old.marker: "" for old in state.old})

    def _lift_denials(self, state: State) -> None:
        """Remove the denials of a session that has ended now."""
        if state.credential is not None:
            self.denylist.remove(state.credential.handle)
        for old in state.old:
            self.denylist.remove(old.marker)
