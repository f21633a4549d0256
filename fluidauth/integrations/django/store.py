"""The session as Django knows it, over a :class:`~fluidauth.Session`.

Its key is what it was made with. Django's middleware, its test client and Channels make a store with the
cookie's value, a signed token, and send its ``session_key`` as the cookie. A store that is made with nothing
has a token, too. One that is made with a public key has that key: :mod:`.serving` says where it opens.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import UpdateError

from fluidauth.engine import SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.events import Notice
from fluidauth.operations import manage
from fluidauth.rules.loading import identify_token
from fluidauth.session import Session

from .asking import asks_store
from .base import StoredSession
from .configuration import get_engine
from .keys import handle_in
from .states import loaded_state, token_of
from .token_visit import TokenVisit


class SessionStore(StoredSession):
    """A session with Django's whole contract. Concurrent changes are merged, and a logout is final.

    Saving a session that another request ended or renewed raises ``UpdateError``, which Django answers
    with 400. A failing store raises ``StoreError``, and the cookie stays as it is.
    """

    # -- Django's contract -------------------------------------------------------

    @asks_store
    def exists(self, session_key: str | None) -> bool:
        """Return whether *session_key* opens a live session, or names one."""
        engine = get_engine()
        handle = _handle(engine, session_key)
        return handle is not None and engine.get_session(handle) is not None

    @asks_store
    async def aexists(self, session_key: str | None) -> bool:
        engine = get_engine()
        handle = _handle(engine, session_key)
        return handle is not None and await engine.aget_session(handle) is not None

    @asks_store
    def load(self) -> dict[str, Any]:
        return self._loaded(self._looked_up())

    @asks_store
    async def aload(self) -> dict[str, Any]:
        return self._loaded(await self._alooked_up())

    @asks_store
    def create(self) -> None:
        """Store a new session with the fields of this one; its key is always new."""
        requests = get_engine().requests
        self._created(requests, requests.perform(self._beginning(requests), "create"))
        if self.get_expiry_age() <= 0:
            self.delete()

    @asks_store
    async def acreate(self) -> None:
        requests = get_engine().requests
        self._created(requests, await requests.aperform(self._beginning(requests), "create"))
        if self.get_expiry_age() <= 0:
            await self.adelete()

    @asks_store
    def save(self, must_create: bool = False) -> None:
        """Save the session; raise ``UpdateError`` if it was ended meanwhile."""
        if not must_create and self._session_key is not None:
            self._get_session()  # this forgets a key that opens nothing
        if must_create or self._session_key is None:
            self._check_begins()
            self.create()
            return
        if self._visit is None:  # it was cleared, never read
            self._visit = self._looked_up()
        self._save(renews=False)

    @asks_store
    async def asave(self, must_create: bool = False) -> None:
        if not must_create and self._session_key is not None:
            await self._aget_session()  # as above
        if must_create or self._session_key is None:
            self._check_begins()
            await self.acreate()
            return
        if self._visit is None:  # as above
            self._visit = await self._alooked_up()
        await self._asave(renews=False)

    @asks_store
    def delete(self, session_key: str | None = None) -> None:
        """End the session under *session_key*, by default this one, for good. A public key is enough."""
        engine, key = get_engine(), session_key or self._session_key
        handle = self._ended_by(engine, session_key)
        if handle is not None:
            steps = manage.leave(engine.policy, handle, engine.requests.now(), own=session_key is None)
            self._deleted(engine, engine.requests.perform(steps, "revoke"))
        elif key and (visit := TokenVisit(engine.requests, key)).load().adoption is not None:
            former = Session(visit)
            former.logout()
            visit.save(former)

    @asks_store
    async def adelete(self, session_key: str | None = None) -> None:
        engine, key = get_engine(), session_key or self._session_key
        handle = self._ended_by(engine, session_key)
        if handle is not None:
            steps = manage.leave(engine.policy, handle, engine.requests.now(), own=session_key is None)
            self._deleted(engine, await engine.requests.aperform(steps, "revoke"))
        elif key and (await (visit := TokenVisit(engine.requests, key)).aload()).adoption is not None:
            former = Session(visit)
            former.logout()
            await visit.asave(former)

    @asks_store
    def cycle_key(self) -> None:
        """Give the session a new key with the same data. The old key opens nothing at once.

        A session that was ended meanwhile goes on empty and anonymous: only a login stores it. If another
        request gave it a new key, it goes on there.
        """
        self._get_session()
        self.modified = True
        if self._behind is None and self._session_key is None:
            self.create()  # nothing was stored yet
            return
        if self._visit is None and not self._was_ended:  # it was cleared, never read
            self._visit = self._looked_up()
        try:
            self._save(renews=True)
        except UpdateError:
            steps = self._renewed()
            self._go_on(None if steps is None else get_engine().requests.perform(steps, "load"))

    @asks_store
    async def acycle_key(self) -> None:
        await self._aget_session()
        self.modified = True
        if self._behind is None and self._session_key is None:
            await self.acreate()  # as above
            return
        if self._visit is None and not self._was_ended:  # as above
            self._visit = await self._alooked_up()
        try:
            await self._asave(renews=True)
        except UpdateError:
            steps = self._renewed()
            self._go_on(None if steps is None else await get_engine().requests.aperform(steps, "load"))

    @asks_store
    def flush(self) -> None:
        if self._is_named and self._visit is None:  # Channels makes a store of any cookie, and logs it out
            self._loaded(self._looked_up())
        super().flush()
        self._forget()

    @asks_store
    async def aflush(self) -> None:
        if self._is_named and self._visit is None:  # as above
            self._loaded(await self._alooked_up())
        await super().aflush()
        self._forget()

    @classmethod
    def clear_expired(cls) -> None:
        """Remove what has expired; ``manage.py clearsessions`` calls it."""
        get_engine().clean()

    @classmethod
    async def aclear_expired(cls) -> None:
        await get_engine().aclean()

    # -- helpers -----------------------------------------------------------------

    def _save(self, renews: bool) -> None:
        if self.get_expiry_age() <= 0:
            self.delete()
            return
        visit, behind, fields = self._changed(renews)
        visit.save(behind)
        if not self._saved(visit, behind, fields):
            self.create()

    async def _asave(self, renews: bool) -> None:
        if self.get_expiry_age() <= 0:
            await self.adelete()
            return
        visit, behind, fields = self._changed(renews)
        await visit.asave(behind)
        if not self._saved(visit, behind, fields):
            await self.acreate()

    def _switch(self, behind: Session) -> None:
        """Save *behind*, which is another session now, with fields of its own, and go on with that."""
        if self._visit is not None:
            self._visit.save(behind)
            self._switched(self._visit, behind)

    async def _aswitch(self, behind: Session) -> None:
        if self._visit is not None:
            await self._visit.asave(behind)
            self._switched(self._visit, behind)

    def _switched(self, visit: Visit, behind: Session) -> None:
        state = loaded_state(visit)
        if state.closed:
            raise UpdateError
        self._session_key, self._shares = token_of(state), False
        self._session_cache = self._python(dict(dict.items(behind)))
        self.modified = True

    def _ended_by(self, engine: SessionEngine, session_key: str | None) -> str | None:
        """Return the handle of what ``delete(session_key)`` ends. A cookie's value names nothing."""
        if session_key or self._is_named:
            return _handle(engine, session_key or self._session_key)
        return _opened(engine, self._session_key)

    def _deleted(self, engine: SessionEngine, notices: list[Notice]) -> None:
        self._left = True
        engine.requests.report(notices)


def _handle(engine: SessionEngine, session_key: str | None) -> str | None:
    """Return what *session_key* names, or opens."""
    return handle_in(session_key) or _opened(engine, session_key)


def _opened(engine: SessionEngine, token: str | None) -> str | None:
    """Return the handle of what *token* opens, if it is genuine."""
    found, notices = identify_token(engine.policy, token or "")
    engine.requests.report(notices)
    return found[0].handle if found else None
