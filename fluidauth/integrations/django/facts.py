"""What the engine knows of a request's session. The session itself has only Django's names."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in

from fluidauth.errors import ConfigError, FreshLoginRequired, ImpersonationError, NotRedeemable
from fluidauth.records import seconds
from fluidauth.session import Session
from fluidauth.session.notes import Actor
from fluidauth.session.one_time import TTL
from fluidauth.session.proof import AS_OTHER, Proof, checked, demanded

from .base import StoredSession
from .configuration import get_engine
from .token_visit import DjangoVisit


class SessionFacts:
    """Who is signed in and since when, at the moment of each call; see :func:`session_of`."""

    def __init__(self, session: StoredSession) -> None:
        self._session = session

    @property
    def user_id(self) -> str | None:
        """The signed-in user's id, for ``list_sessions`` and ``revoke_user`` of the engine."""
        return self._session._signed_in[0]

    @property
    def auth_time(self) -> int | None:
        """When the user signed in, in Unix seconds; None if nobody did, or it is not known."""
        session = self._session
        if session._confirms:  # at the save
            return get_engine().requests.now()
        return session._signed_in[1]

    @property
    def handle(self) -> str | None:
        """The name of the session in the store, in events and in calls of the engine. It opens nothing."""
        behind = self._session._behind
        return None if behind is None else behind.handle

    @property
    def created_at(self) -> int | None:
        """Unix seconds; None until the session is stored."""
        behind = self._session._behind
        return None if behind is None else behind.created_at

    @property
    def expires_at(self) -> int | None:
        """The earlier of idle and absolute deadline, in Unix seconds; None until the session is stored."""
        behind = self._session._behind
        return None if behind is None else behind.expires_at

    @property
    def ends_at(self) -> int | None:
        """The absolute deadline, in Unix seconds; None until the session is stored."""
        behind = self._session._behind
        return None if behind is None else behind.ends_at

    @property
    def methods(self) -> dict[str, int]:
        """How the user authenticated: each method, and when it was used last, in Unix seconds."""
        behind, session = self._session._behind, self._session
        known = {} if behind is None or behind.user_id != self.user_id else behind.methods
        return {**known, **dict.fromkeys(session._methods, get_engine().requests.now())}

    @property
    def actor(self) -> Actor | None:
        """Who acts in the user's name; None if the user is really there."""
        behind = self._session._behind
        return None if behind is None else behind.actor

    def confirm(self, methods: Collection[str] = ()) -> None:
        """Note that the user authenticated again, by *methods*. The session gets a new key and ``auth_time``.

        Deadlines and fields stay. It is done when the session is saved. After ``auth.login()`` in the same
        request it notes how. Raise :class:`FreshLoginRequired` if nobody is signed in, and
        :class:`ImpersonationError` if somebody acts in the user's name.
        """
        used = checked(methods)
        self._check_real("nobody is signed in, so there is nothing to confirm; log the user in first")
        self._session._confirms = self._session.modified = True
        self._session._methods = (*self._session._methods, *used)

    def keep_only_this(self) -> None:
        """End all other sessions of the user, and logins that are under way. This one gets a new key.

        It is done when the session is saved. Raise as :meth:`confirm`.
        """
        self._check_real("nobody is signed in, so there are no sessions to end")
        self._session._alone = self._session.modified = True

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Do as :meth:`require` with ``within=max_age``."""
        self.require(max_age)

    def require(
        self, within: int | timedelta | None = None, method: str | Collection[str] | None = None
    ) -> None:
        """Raise :class:`FreshLoginRequired` unless the user authenticated *within* so many seconds.

        If *method* is given, that must have been by it, or by one of several. Our middleware answers with
        401, or leads to the engine's *login_url*, unless the view catches it. Raise
        :class:`ImpersonationError` if somebody acts in the user's name.
        """
        limit = None if within is None else seconds("within", within)
        wanted = demanded(method)
        proof = Proof(self.user_id, self.auth_time, self.methods, self.actor is not None)
        visit = DjangoVisit(get_engine().requests)
        error = proof.lacks(get_engine().requests.now(), limit, wanted, visit.login_page)
        if error is not None:
            raise error

    def require_real_user(self) -> None:
        """Raise :class:`ImpersonationError` if somebody acts in the user's name."""
        if self.actor is not None:
            raise ImpersonationError("this may not be done in another user's name")

    def _check_real(self, otherwise: str) -> None:
        if self.user_id is None:
            raise FreshLoginRequired(otherwise)
        if self.actor is not None:
            raise ImpersonationError(AS_OTHER)

    # -- what the session gives once, and how long it lasts ----------------------

    def issue(
        self, purpose: str, data: Any = None, *, ttl: int | timedelta = TTL, value: str | None = None
    ) -> str:
        """Do as :meth:`fluidauth.Session.issue`. The response saves it."""
        if self._session._behind is None:
            self._session.create()
        return self._issued(purpose, data, ttl, value)

    async def aissue(
        self, purpose: str, data: Any = None, *, ttl: int | timedelta = TTL, value: str | None = None
    ) -> str:
        """Do as :meth:`issue`, without blocking."""
        if self._session._behind is None:
            await self._session.acreate()
        return self._issued(purpose, data, ttl, value)

    def redeem(self, purpose: str, value: object) -> Any:
        """Do as :meth:`fluidauth.Session.redeem`."""
        return _stored(self._session).redeem(purpose, value)

    async def aredeem(self, purpose: str, value: object) -> Any:
        """Do as :meth:`redeem`, without blocking."""
        return await _stored(self._session).aredeem(purpose, value)

    @property
    def counts_as_activity(self) -> bool:
        """Whether this request prolongs the session. Set it to False in one that a page makes by itself."""
        behind = self._session._behind
        return True if behind is None else behind.counts_as_activity

    @counts_as_activity.setter
    def counts_as_activity(self, value: bool) -> None:
        behind = self._session._behind
        if behind is not None:
            behind.counts_as_activity = value

    def extend(self) -> bool:
        """Do as :meth:`fluidauth.Session.extend`."""
        behind = self._session._behind
        return behind is not None and behind.extend()

    async def aextend(self) -> bool:
        """Do as :meth:`extend`, without blocking."""
        behind = self._session._behind
        return behind is not None and await behind.aextend()

    def _issued(self, purpose: str, data: Any, ttl: int | timedelta, value: str | None) -> str:
        self._session.modified = True
        return _stored(self._session).issue(purpose, data, ttl=ttl, value=value)


def _stored(session: StoredSession) -> Session:
    """Return the session behind; raise :class:`NotRedeemable` if there is none."""
    if session._behind is None:
        raise NotRedeemable("there is no session, so nothing was issued in it")
    return session._behind


def session_of(request: Any) -> SessionFacts:
    """Return what is known of the session of *request*. Read it, if it was not read yet.

    *request* has it as ``session``. Raise :class:`ConfigError` if that is not one of ours, ``StoreError`` if
    the store is out of order.
    """
    session = ours(request)
    session._get_session()
    return SessionFacts(session)


async def asession_of(request: Any) -> SessionFacts:
    """Do as :func:`session_of`, without blocking."""
    session = ours(request)
    await session._aget_session()
    return SessionFacts(session)


def _confirmed(sender: object, request: Any, **_: object) -> None:
    """Note a login of a user who is signed in already. Django changes nothing then that could be seen."""
    session = getattr(request, "session", None)
    if not isinstance(session, StoredSession) or session._behind is None:
        return
    behind = session._behind
    if behind.user_id is not None and behind.actor is not None:  # the user has come: nobody acts for them
        behind.login(behind.user_id)
        session.modified = True
    elif behind.user_id is not None and behind.auth_time != get_engine().requests.now():
        session._confirms = True


user_logged_in.connect(_confirmed)


def ours(request: Any) -> StoredSession:
    session = getattr(request, "session", None)
    if not isinstance(session, StoredSession):
        raise ConfigError(
            "the request has no session of fluidauth; set SESSION_ENGINE = 'fluidauth.integrations.django', "
            "and put its SessionMiddleware into MIDDLEWARE"
        )
    return session
