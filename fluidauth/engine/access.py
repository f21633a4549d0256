"""The engine's store, clock and events: steps are carried out on the store, and reported as events.

A failing store is an error here, never an empty session and never a cleared cookie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from fluidauth.concurrency import begun, on_asyncio
from fluidauth.errors import ConfigError, NotEnded, StoreError
from fluidauth.events import EventLog, Notice, SessionEvent, logger
from fluidauth.meanings import EventName
from fluidauth.operations.runner import Steps, arun, run
from fluidauth.records import MAX_LIFETIME
from fluidauth.rules.policy import Policy
from fluidauth.secrecy import clear_frames
from fluidauth.stores.base import AsyncSessionStore, SessionStore

from .denylist import Denylist

T = TypeVar("T")

_MOST_HOSTS = 100
_LONGEST_HOST = 260  # characters: a name of DNS, and a port
_LATEST_TIME = 253_402_300_799 - MAX_LIFETIME  # year 9999, less the longest lifetime


class StoreAccess:
    """One store, in both forms, with what goes with asking it."""

    def __init__(
        self,
        policy: Policy,
        store: SessionStore,
        twin: AsyncSessionStore,
        events: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self.policy = policy
        self.store = store
        self.twin = twin
        self.denylist: Denylist = Denylist()
        self.development: bool = False
        """Whether only this machine is served, over plain http."""
        self.cleaning_due = False
        """Whether the response now going out should be followed by ``housekeeping.tidy``."""
        self.clean_at: int = 0
        """When that is due next, in Unix seconds."""
        self._events = events
        self.clock: Callable[[], float] = clock
        self._plain_hosts = set[str]()
        """The hosts whose Secure cookie went over plain http, and was reported."""
        self.warned_conflict: bool = False
        """Whether it was reported that something else sets a cookie of our name."""
        self.replaced_by: set[str] = set()
        """The middlewares that were reported to keep sessions in the place of ours."""
        self.crossings: int = 0
        """How many requests and logins of other origins this process has met."""
        self._keyring = policy.keyring
        self._keyring.report_to(self)

    def now(self) -> int:
        """Return the time in Unix seconds; raise :class:`ConfigError` for an impossible clock."""
        try:
            now = int(self.clock())
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"the engine's clock returned no time: {error}") from None
        if not 0 <= now <= _LATEST_TIME:
            raise ConfigError(f"the engine's clock returned {now}, which is no Unix time")
        return now

    def moment(self) -> float:
        """Return the time in Unix seconds, with its fractions."""
        return max(float(self.now()), float(self.clock()))

    # -- asking the store --------------------------------------------------------

    def perform(self, steps: Steps[T], what: str) -> T:
        """Carry out *steps* on the store; *what* they are for goes into the event of a failure."""
        self._keyring.refresh()
        try:
            return run(self.store, steps)
        except Exception as error:
            clear_frames(error)
            if isinstance(error, StoreError):
                self.failed(what, error)
            raise

    async def aperform(self, steps: Steps[T], what: str) -> T:
        """Do as :meth:`perform` without blocking, to the end even if the caller is cancelled.

        A client that goes away must not stop its own logout halfway.
        """
        if self.is_undisturbed():
            return await self.aperform_here(steps, what)
        return await asyncio.shield(begun(self.aperform_here(steps, what)))

    async def aperform_here(self, steps: Steps[T], what: str) -> T:
        """Do as :meth:`aperform`, but stop if the caller is cancelled."""
        self._keyring.refresh()
        try:
            return await arun(self.twin, steps)
        except Exception as error:
            clear_frames(error)
            if isinstance(error, StoreError):
                self.failed(what, error)
            raise

    def is_undisturbed(self) -> bool:
        """Return whether work on the store needs no shield: it never waits, or trio has none."""
        return self.twin.inline or not on_asyncio()

    def failed(self, what: str, error: StoreError) -> None:
        """Report that the store failed while doing *what*; deny what it could not end."""
        self.report_failure(what)
        if isinstance(error, NotEnded):
            self.deny(error.handles)

    def deny(self, handles: dict[str, str]) -> None:
        """Let nobody in under *handles*, and try again soon to remove the records left."""
        until = self.now() + MAX_LIFETIME
        for handle, record in handles.items():
            self.denylist.add(handle, record, until)
            self.report([Notice("revoke_failed", None, handle)])
        self.clean_at = 0

    # -- reporting ---------------------------------------------------------------

    def report(self, notices: Iterable[Notice]) -> None:
        """Make events of *notices*."""
        for notice in notices:
            name, reason, handle, user_id, number, actor, origin = notice
            event = SessionEvent(name, self.now(), reason, handle, user_id, number, actor, origin)
            self._events.emit(event)

    def report_failure(self, what: str) -> None:
        """Report that the store failed while doing *what*."""
        self.report([Notice("store_error", what)])

    def report_insecure(self, host: str, why: str) -> None:
        """Report once for each *host* that its cookie is dropped; *why* is the format of the line about it.

        The host comes from clients, so after a hundred hosts nothing more is kept or reported.
        """
        host = host.lower()[:_LONGEST_HOST]
        if host not in self._plain_hosts and len(self._plain_hosts) < _MOST_HOSTS:
            self._plain_hosts.add(host)
            self.report([Notice("cookie_insecure", "plain_http")])
            logger.warning(why, host)

    def report_conflict(self) -> None:
        """Report that something else sets a cookie of our name. Callers look at ``warned_conflict`` first."""
        self.warned_conflict = True
        self.report([Notice("cookie_conflict", self.policy.cookie.name)])

    def report_cache_override(self) -> None:
        """Report that the application let caches keep a response that sets a cookie."""
        self.report([Notice("cache_overridden", "public")])

    def keyring_event(self, name: EventName, reason: str) -> None:
        """Report what happened with the keyring file."""
        self.report([Notice(name, reason)])
