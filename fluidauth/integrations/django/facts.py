"""What the engine knows of a request's session; the session itself has Django's names alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in

from fluidauth.errors import ConfigError, FreshLoginRequired
from fluidauth.records import seconds

from .base import StoredSession
from .configuration import get_engine


class SessionFacts:
    """Who is signed in and since when, as of the moment it is asked; see :func:`session_of`."""

    def __init__(self, session: StoredSession) -> None:
        self._session = session

    @property
    def user_id(self) -> str | None:
        """The user signed in, as ``list_sessions`` and ``revoke_user`` of the engine know him."""
        return self._session._signed_in[0]

    @property
    def auth_time(self) -> int | None:
        """When he signed in, in Unix seconds; None if nobody did, or nobody knows."""
        session = self._session
        if session._confirms:  # at the save
            return get_engine().requests.now()
        return session._signed_in[1]

    @property
    def handle(self) -> str | None:
        """What names the session in the store, in events and in calls of the engine; it opens nothing."""
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

    def confirm(self) -> None:
        """Note that the user authenticated again: a new key, a new ``auth_time``; deadlines and fields stay.

        It is done when the session is saved. Raise :class:`FreshLoginRequired` if nobody is signed in.
        """
        if self.user_id is None:
            raise FreshLoginRequired("nobody is signed in to confirm it; this needs a login")
        self._session._confirms = self._session.modified = True

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Raise :class:`FreshLoginRequired` unless the login was at most *max_age* seconds ago.

        With our middleware that is answered with 401, unless the view catches it.
        """
        limit, auth_time = seconds("max_age", max_age), self.auth_time
        if auth_time is None or get_engine().requests.now() - auth_time > limit:
            raise FreshLoginRequired(f"this needs a login within the last {limit} seconds", limit)


def session_of(request: Any) -> SessionFacts:
    """Return what is known of the session of *request*; it is read, if it was not yet.

    *request* has it as ``session``. Raise :class:`ConfigError` if that is none of ours, ``StoreError`` if
    the store is out of order.
    """
    session = _ours(request)
    session._get_session()
    return SessionFacts(session)


async def asession_of(request: Any) -> SessionFacts:
    """Do as :func:`session_of`, without blocking."""
    session = _ours(request)
    await session._aget_session()
    return SessionFacts(session)


def _confirmed(sender: object, request: Any, **_: object) -> None:
    """Note a login of who is signed in already, for whom Django changes nothing that could be seen."""
    session = getattr(request, "session", None)
    if not isinstance(session, StoredSession) or session._behind is None:
        return
    behind = session._behind
    if behind.user_id is not None and behind.auth_time != get_engine().requests.now():
        session._confirms = True


user_logged_in.connect(_confirmed)


def _ours(request: Any) -> StoredSession:
    session = getattr(request, "session", None)
    if not isinstance(session, StoredSession):
        raise ConfigError(
            "the request has no session of fluidauth; set SESSION_ENGINE = 'fluidauth.integrations.django', "
            "and have its SessionMiddleware in MIDDLEWARE"
        )
    return session
