"""The engine: what a user configures, and the calls outside a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import TypeVar

from fluidauth.adoption import Adopter
from fluidauth.errors import StoreError
from fluidauth.events import EventLog, SessionEvent, logger
from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.payloads import Sealer
from fluidauth.formats.request_head import RequestHead
from fluidauth.operations import adoption_period
from fluidauth.records import Lifetime, system_time
from fluidauth.rules.origins import Mode, rules_of
from fluidauth.rules.policy import Policy
from fluidauth.rules.user_fields import FLASK_LOGIN, UserKey, first_of, names_of_users, user_finder
from fluidauth.secrecy import without_locals
from fluidauth.stores.base import AsyncSessionStore
from fluidauth.stores.memory import MemoryStore
from fluidauth.stores.under_test import run

from . import settings
from .adopters import AdopterList
from .development import is_on, keyring_for
from .one_session import OneSession
from .requests import Requests

T = TypeVar("T")


class SessionEngine(OneSession):
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
    :param cross_origin: What becomes of a request under our cookie that a page of another origin made, and of
        a login by one. With ``"block"`` it is refused with 403, with ``"report"`` only reported, with
        ``"off"`` not looked at. Methods that change nothing pass, but handshakes of WebSockets do not.
    :param trusted_origins: Other origins that may make requests, such as ``"https://app.example.com"``.
    :param cross_origin_exempt: Paths that are not looked at, such as ``"/saml/acs"``. One that ends with
        ``/*`` stands for all below it.
    :param counts_as_activity: A function of a :class:`RequestHead`: whether that request prolongs a session.
        By default each does, except those with the header ``Session-Activity: none``.
    :param status_path: A path where the middleware says, in JSON, how long the session still lasts, without
        prolonging it. A ``POST`` prolongs it. The script at this path with ``.js`` shows a countdown.
    :param login_url: The page that asks for the password, such as ``"/login"``. A page that needs a fresh
        login leads there, with the way back as ``next``. Without it, and for scripts, the response is 401.
    :param clear_site_data: What browsers forget at a logout (W3C, Clear Site Data): of ``"cache"``,
        ``"cookies"``, ``"storage"``, ``"executionContexts"`` and others; ``"*"`` for all.
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
        cross_origin: Mode = "report",
        trusted_origins: Collection[str] = (),
        cross_origin_exempt: Collection[str] = (),
        counts_as_activity: Callable[[RequestHead], bool] | None = None,
        status_path: str | None = None,
        login_url: str | None = None,
        clear_site_data: Collection[str] = (),
        connect: settings.Connect = "eager",
        on_event: Callable[[SessionEvent], object] | None = None,
        clock: Callable[[], float] = system_time,
        development: bool | None = None,
    ) -> None:
        settings.check_callables(clock=clock, on_event=on_event, counts_as_activity=counts_as_activity)
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
            origins=rules_of(cross_origin, trusted_origins, cross_origin_exempt),
            user_names=names_of_users(user_key),
            activity=counts_as_activity,
            login_url=settings.page("login_url", login_url),
            clear_site_data=settings.site_data(clear_site_data),
        )
        log = EventLog(on_event)
        self.requests: Requests = Requests(self.policy, blocking, twin, log, clock, adopters)
        self.requests.status_path = settings.page("status_path", status_path)
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

    # -- the end ---------------------------------------------------------------------

    def close(self) -> None:
        """Release the store's connections, and forget what was read."""
        self.policy.verified.forget()
        self.requests.store.close()

    async def aclose(self) -> None:
        """Do as :meth:`close`, without blocking."""
        self.policy.verified.forget()
        await self.requests.twin.close()
