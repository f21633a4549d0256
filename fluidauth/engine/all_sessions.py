"""What an engine does with all sessions of a user, or of everybody, outside a request."""

from __future__ import annotations

from typing import TypeVar

from fluidauth.events import Notice
from fluidauth.operations import manage, moments, revoke
from fluidauth.operations.runner import Steps
from fluidauth.records import SessionInfo
from fluidauth.rules.policy import Policy

from .requests import Requests

T = TypeVar("T")


class AllSessions:
    """The calls of an engine that concern many sessions."""

    policy: Policy
    requests: Requests

    def list_sessions(self, user_id: str) -> list[SessionInfo]:
        """Return the live sessions of *user_id*; no payload is opened."""
        return self._run(manage.sessions_of(user_id, self._now()), "list")

    async def alist_sessions(self, user_id: str) -> list[SessionInfo]:
        """Do as :meth:`list_sessions`, without blocking."""
        return await self._arun(manage.sessions_of(user_id, self._now()), "list")

    def revoke_user(self, user_id: str, except_handle: str | None = None) -> int:
        """End all sessions of *user_id* except the one named *except_handle*; return how many.

        Sessions of a former system that were not adopted yet are not adopted any more.
        """
        steps = revoke.revoke_user(self.policy, user_id, except_handle, self._now(), self.requests.adopts)
        return self._revoked(self._run(steps, "revoke"), user_id)

    async def arevoke_user(self, user_id: str, except_handle: str | None = None) -> int:
        """Do as :meth:`revoke_user`, without blocking."""
        steps = revoke.revoke_user(self.policy, user_id, except_handle, self._now(), self.requests.adopts)
        return self._revoked(await self._arun(steps, "revoke"), user_id)

    def revoke_before(
        self, user_id: str, moment: float | None = None, except_handle: str | None = None
    ) -> int:
        """End the sessions of *user_id* that began before *moment*, by default now; return how many.

        Logins that are under way end as well, if their request began before *moment* (Unix seconds). So no
        login by a former password survives. A ``GET``, such as the way back from a provider, counts from its
        first :meth:`Session.redeem`, or else from the login. The session *except_handle* stays. Raise
        ``ValueError`` for a moment that is still to come.
        """
        steps = self._before(user_id, moment, except_handle)
        return self._revoked(self._run(steps, "revoke"), user_id)

    async def arevoke_before(
        self, user_id: str, moment: float | None = None, except_handle: str | None = None
    ) -> int:
        """Do as :meth:`revoke_before`, without blocking."""
        steps = self._before(user_id, moment, except_handle)
        return self._revoked(await self._arun(steps, "revoke"), user_id)

    def revoke_all(self) -> int:
        """End every session of this store's namespace; return how many records were removed.

        Sessions of a former system that were not adopted yet are not adopted any more.
        """
        steps = revoke.revoke_all(self.policy, self._now(), self.requests.adopts)
        return self._revoked(self._run(steps, "revoke"), None)

    async def arevoke_all(self) -> int:
        """Do as :meth:`revoke_all`, without blocking."""
        steps = revoke.revoke_all(self.policy, self._now(), self.requests.adopts)
        return self._revoked(await self._arun(steps, "revoke"), None)

    def clean(self) -> int:
        """Remove the records that have expired by now; return how many."""
        return self._run(manage.clean(self._now()), "clean")

    async def aclean(self) -> int:
        """Do as :meth:`clean`, without blocking."""
        return await self._arun(manage.clean(self._now()), "clean")

    # -- helpers -----------------------------------------------------------------

    def _before(self, user_id: str, moment: float | None, except_handle: str | None) -> Steps[int]:
        at = self.requests.moment() if moment is None else moment
        return moments.revoke_before(self.policy, user_id, at, except_handle, self._now())

    def _now(self) -> int:
        return self.requests.now()

    def _run(self, steps: Steps[T], what: str) -> T:
        return self.requests.perform(steps, what)

    async def _arun(self, steps: Steps[T], what: str) -> T:
        return await self.requests.aperform(steps, what)

    def _revoked(self, count: int, user_id: str | None) -> int:
        self.requests.report([Notice("session_revoked", user_id=user_id, number=count)])
        return count
