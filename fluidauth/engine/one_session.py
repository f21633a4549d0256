"""What an engine does with one session outside of a request: begin it, read, change or end it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from fluidauth.errors import NoSuchSession, StoreError
from fluidauth.events import Notice
from fluidauth.operations import manage
from fluidauth.operations.explain import Explanation, Headers, explain
from fluidauth.operations.lookup import Live
from fluidauth.operations.runner import Steps
from fluidauth.records import Lifetime
from fluidauth.rules.saving import Outcome
from fluidauth.rules.versions import token_for
from fluidauth.session import Session

from .clients import Clients
from .outside import READ_ONLY, check_saved, shut, visit_outside
from .visit import Visit


class OneSession(Clients):
    """The calls of an engine that concern one session."""

    def create_session(
        self,
        user_id: str | None,
        data: dict[str, Any] | None = None,
        *,
        lifetime: Lifetime | None = None,
        methods: Collection[str] = (),
    ) -> tuple[str, Session]:
        """Begin a session without a request; return its token (a secret) and the session.

        The arguments are those of :meth:`Session.login`. A session of None is that of a visitor.
        """
        steps = manage.begin(self.policy, user_id, data, lifetime, self._now(), methods=methods)
        return self._handed_out(self._run(steps, "create"))

    async def acreate_session(
        self,
        user_id: str | None,
        data: dict[str, Any] | None = None,
        *,
        lifetime: Lifetime | None = None,
        methods: Collection[str] = (),
    ) -> tuple[str, Session]:
        """Do as :meth:`create_session`, without blocking."""
        steps = manage.begin(self.policy, user_id, data, lifetime, self._now(), methods=methods)
        return self._handed_out(await self._arun(steps, "create"))

    def get_session(self, handle: str) -> Session | None:
        """Return the live session named *handle*, for reading; None if there is none."""
        return self._reading(self._run(self._fetching(handle), "get"))

    async def aget_session(self, handle: str) -> Session | None:
        """Do as :meth:`get_session`, without blocking."""
        return self._reading(await self._arun(self._fetching(handle), "get"))

    @contextmanager
    def edit(self, handle: str) -> Iterator[Session]:
        """Open the session named *handle* for changes. Save them at the end, merged with those of others.

        If the block raises, only a logout is saved. Raise :class:`NoSuchSession` if there is
        no such session, or none is left at the end.
        """
        visit = self._editing(self._run(self._fetching(handle), "get"))
        session = Session(visit)
        try:
            yield session
        except BaseException:
            visit.carry_out(session, visit.plan(session, keep=False))  # a logout is kept
            raise
        else:
            visit.save(session)
            check_saved(visit)
        finally:
            shut(visit)

    @asynccontextmanager
    async def aedit(self, handle: str) -> AsyncIterator[Session]:
        """Do as :meth:`edit`, without blocking."""
        visit = self._editing(await self._arun(self._fetching(handle), "get"))
        session = Session(visit)
        try:
            yield session
        except BaseException:
            await visit.acarry_out(session, visit.plan(session, keep=False))  # as above
            raise
        else:
            await visit.asave(session)
            check_saved(visit)
        finally:
            shut(visit)

    def delete_session(self, handle: str, *, user_id: str | None = None) -> bool:
        """End the session named *handle*, also under the id it was renewed to; return whether one ended.

        With *user_id* it ends only if it belongs to that user: give it if a page sends the handle back.
        """
        steps = self._deleting(handle, user_id)
        return self._revoked_one(handle, self._run(steps, "revoke"))

    async def adelete_session(self, handle: str, *, user_id: str | None = None) -> bool:
        """Do as :meth:`delete_session`, without blocking."""
        steps = self._deleting(handle, user_id)
        return self._revoked_one(handle, await self._arun(steps, "revoke"))

    def extend_session(self, handle: str, seconds: int | timedelta) -> bool:
        """Let the session idle for *seconds* from now, up to its absolute deadline; return if it is live."""
        return self._run(manage.extend(self.policy, handle, seconds, self._now()), "extend")

    async def aextend_session(self, handle: str, seconds: int | timedelta) -> bool:
        """Do as :meth:`extend_session`, without blocking."""
        return await self._arun(manage.extend(self.policy, handle, seconds, self._now()), "extend")

    def set_cookie_header(self, token: str) -> str:
        """Return the ``Set-Cookie`` value for *token*; raise :class:`NoSuchSession` if it opens none."""
        steps = manage.set_cookie_header(self.policy, token, self._now())
        del token  # a traceback that prints locals must not show it while the store fails
        return self._run(steps, "get")

    async def aset_cookie_header(self, token: str) -> str:
        """Do as :meth:`set_cookie_header`, without blocking."""
        steps = manage.set_cookie_header(self.policy, token, self._now())
        del token  # as above
        return await self._arun(steps, "get")

    def explain(self, headers: Headers, *, offline: bool = False) -> Explanation:
        """Say why a request with *headers* is in a session, or is not. If *offline*, do not ask the store.

        *headers* is a mapping or pairs, in text or bytes, a WSGI environ, or the headers of an ASGI scope.
        """
        steps = explain(self.policy, headers, self._now(), offline)
        del headers  # as above
        return self._run(steps, "explain")

    async def aexplain(self, headers: Headers, *, offline: bool = False) -> Explanation:
        """Do as :meth:`explain`, without blocking."""
        steps = explain(self.policy, headers, self._now(), offline)
        del headers  # as above
        return await self._arun(steps, "explain")

    # -- helpers -----------------------------------------------------------------

    def _fetching(self, handle: str) -> Steps[Live | None]:
        return manage.fetch(self.policy, handle, self._now())

    def _handed_out(self, outcome: Outcome) -> tuple[str, Session]:
        record, body, credential = outcome.record, outcome.body, outcome.credential
        self.requests.report(outcome.notices)
        if record is None or body is None or credential is None:
            raise StoreError("the new session was not stored")
        token = token_for(self.policy, record, credential.session_id)
        return token, Session(visit_outside(self.requests, Live(record, body), READ_ONLY))

    def _editing(self, live: Live | None) -> Visit:
        if live is None:
            raise NoSuchSession("no live session has this handle")
        return visit_outside(self.requests, live)

    def _deleting(self, handle: str, user_id: str | None) -> Steps[bool]:
        if user_id is None:
            return manage.delete(self.policy, handle)
        return manage.delete_of(self.policy, handle, user_id, self._now())

    def _revoked_one(self, handle: str, ended: bool) -> bool:
        if ended:
            self.requests.report([Notice("session_revoked", None, handle)])
        return ended
