"""The engine: what a user configures, and the calls outside a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from fluidauth.adoption import Adopter
from fluidauth.errors import NoSuchSession, StoreError
from fluidauth.events import EventLog, Notice, SessionEvent, logger
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.payloads import Sealer
from fluidauth.operations import adoption_period, manage
from fluidauth.operations.explain import Explanation, Headers, explain
from fluidauth.operations.lookup import Live
from fluidauth.operations.runner import Steps
from fluidauth.records import Lifetime, system_time
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome
from fluidauth.rules.user_fields import FLASK_LOGIN, UserKey, first_of, user_finder
from fluidauth.rules.versions import token_for
from fluidauth.secrecy import without_locals
from fluidauth.session import Session
from fluidauth.stores.base import AsyncSessionStore
from fluidauth.stores.memory import MemoryStore
from fluidauth.stores.under_test import run

from . import settings
from .adopters import AdopterList
from .clients import Clients
from .development import is_on, keyring_for
from .outside import READ_ONLY, check_saved, shut
from .requests import Requests
from .visit import Visit

T = TypeVar("T")


class SessionEngine(Clients):
    """Sessions for one application: secrets, store, timeouts and cookie.

    Use one engine from as many threads and event loops as you like.

    :param secret: One secret, several (newest first), or a :class:`Keyring`. By default ``FLUIDAUTH_SECRET``,
        ``FLUIDAUTH_SECRETS`` or ``FLUIDAUTH_KEYRING`` (the path of a keyring file) in the environment.
    :param store: A store, its URL, or the path of a SQLite file. By default ``FLUIDAUTH_DATABASE``, or else
        ``fluidauth.db``.
    :param absolute_timeout: Seconds or timedelta from a login to the end of the session. The default, 24
        hours, is that of NIST SP 800-63B-4 for AAL2.
    :param idle_timeout: Seconds or timedelta without use after which a session ends; None for no such end.
        The default, one hour, is that of NIST SP 800-63B-4 for AAL2.
    :param cookie: Name and attributes of the cookie.
    :param encrypted_fields: Names of fields that the store may only see encrypted, or ``"*"`` for all.
    :param max_payload: The greatest size of a session in bytes.
    :param user_key: The field in which the application keeps the signed-in user. Of several fields the first
        that is there counts. It can also be a function of the fields. Setting the field is a login, and
        removing it a logout. By default that of Flask-Login; None for no field.
    :param client_tokens: Whether ``Authorization: Bearer`` opens the sessions of :meth:`create_client_token`.
    :param adopt: Former systems whose sessions go on here, each an :class:`~fluidauth.adoption.Adopter`.
    :param adopt_until: When adoption ends. By default that is when the last of their cookies has expired.
    :param connect: ``"eager"`` fails at once if the store does not answer. ``"lazy"`` starts, and requests
        that use a session get 503 until it answers.
    :param on_event: Called with each :class:`SessionEvent`.
    :param clock: Returns Unix seconds.
    :param development: Whether this is a developer's own machine. Then a random secret signs if none is
        strong, the cookie works over plain http, and only this machine is served. By default
        ``FLUIDAUTH_DEVELOPMENT``.
    :raises ConfigError: for every setting that is wrong or weak.
    :raises StoreError: if the store cannot be opened.
    """

    @without_locals
    def __init__(
        self,
        secret: settings.Secret | None = None,
        store: settings.Store | None = None,
        *,
        absolute_timeout: int | timedelta = settings.DEFAULT_ABSOLUTE_TIMEOUT,
        idle_timeout: int | timedelta | None = settings.DEFAULT_IDLE_TIMEOUT,
        cookie: CookieOptions | None = None,
        encrypted_fields: Collection[str] = (),
        max_payload: int = settings.MAX_PAYLOAD,
        user_key: UserKey | None = FLASK_LOGIN,
        client_tokens: bool = False,
        adopt: Sequence[Adopter] = (),
        adopt_until: datetime | None = None,
        connect: settings.Connect = "eager",
        on_event: Callable[[SessionEvent], object] | None = None,
        clock: Callable[[], float] = system_time,
        development: bool | None = None,
    ) -> None:
        settings.check_callables(clock=clock, on_event=on_event)
        self.development: bool = is_on(development)
        options = settings.cookie_of(cookie, self.development)
        found = settings.store_of(store)
        keyring = keyring_for(secret, found, self.development)
        blocking, twin = settings.open_store(found, connect)
        lifetime = Lifetime(absolute_timeout, idle_timeout, options.persistent)
        sealer = Sealer(keyring, settings.field_names(encrypted_fields), settings.payload_limit(max_payload))
        adopters = AdopterList(adopt, adopt_until)
        user_of = first_of(user_finder(user_key), adopters.user_of if adopters else None)
        self.policy: Policy = Policy.of(
            sealer,
            options,
            lifetime,
            blocking.namespace,
            blocking.kin_digits,
            user_of,
            settings.switch("client_tokens", client_tokens),
        )
        log = EventLog(on_event)
        self.requests: Requests = Requests(self.policy, blocking, twin, log, clock, adopters)
        if adopters and not isinstance(store, AsyncSessionStore):  # a running loop could not ask that
            with suppress(StoreError) if connect == "lazy" else nullcontext():  # a request asks again
                self.requests.perform(adoption_period.begin(self.policy, self._now(), first=True), "open")
        if isinstance(blocking, MemoryStore) and options.secure and not run.goes_on:
            logger.warning("MemoryStore is for development: sessions end with this process")
        if self.development:
            self.requests.serve_this_machine_alone()

    def __repr__(self) -> str:
        if not hasattr(self, "requests"):  # refused by __init__, and shown in a traceback
            return "<SessionEngine, not built>"
        return f"<SessionEngine {self.policy.keyring!r} store={self.requests.store!r}>"

    # -- one session -------------------------------------------------------------

    def create_session(
        self, user_id: str | None, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> tuple[str, Session]:
        """Begin a session without a request; return its token (a secret) and the session."""
        steps = manage.begin(self.policy, user_id, data, lifetime, self._now())
        return self._handed_out(self._run(steps, "create"))

    async def acreate_session(
        self, user_id: str | None, data: dict[str, Any] | None = None, *, lifetime: Lifetime | None = None
    ) -> tuple[str, Session]:
        """Do as :meth:`create_session`, without blocking."""
        steps = manage.begin(self.policy, user_id, data, lifetime, self._now())
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

    # -- the end ---------------------------------------------------------------------

    def close(self) -> None:
        """Release the store's connections, and forget what was read."""
        self.policy.verified.forget()
        self.requests.store.close()

    async def aclose(self) -> None:
        """Do as :meth:`close`, without blocking."""
        self.policy.verified.forget()
        await self.requests.twin.close()

    # -- helpers -----------------------------------------------------------------

    def _fetching(self, handle: str) -> Steps[Live | None]:
        return manage.fetch(self.policy, handle, self._now())

    def _handed_out(self, outcome: Outcome) -> tuple[str, Session]:
        record, body, credential = outcome.record, outcome.body, outcome.credential
        self.requests.report(outcome.notices)
        if record is None or body is None or credential is None:
            raise StoreError("the new session was not stored")
        token = token_for(self.policy, record, credential.session_id)
        return token, Session(Visit.outside(self.requests, Live(record, body), READ_ONLY))

    def _editing(self, live: Live | None) -> Visit:
        if live is None:
            raise NoSuchSession("no live session has this handle")
        return Visit.outside(self.requests, live)

    def _deleting(self, handle: str, user_id: str | None) -> Steps[bool]:
        if user_id is None:
            return manage.delete(self.policy, handle)
        return manage.delete_of(self.policy, handle, user_id, self._now())

    def _revoked_one(self, handle: str, ended: bool) -> bool:
        if ended:
            self.requests.report([Notice("session_revoked", None, handle)])
        return ended
