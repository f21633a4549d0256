"""What the engine knows of a request's session. The session itself has only Django's names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in

from fluidauth.errors import ConfigError, FreshLoginRequired
from fluidauth.records import seconds

from .base import StoredSession
from .configuration import get_engine


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

    def confirm(self) -> None:
        """Note that the user authenticated again. The session gets a new key and a new ``auth_time``.

        Deadlines and fields stay. It is done when the session is saved. Raise :class:`FreshLoginRequired` if
        nobody is signed in.
        """
        if self.user_id is None:
            raise FreshLoginRequired(
                "nobody is signed in, so there is nothing to confirm; log the user in first"
            )
        self._session._confirms = self._session.modified = True

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Raise :class:`FreshLoginRequired` unless the login was at most *max_age* seconds ago.

        Our middleware answers that with 401, unless the view catches it.
        """
        limit, auth_time = seconds("max_age", max_age), self.auth_time
        if auth_time is None or get_engine().requests.now() - auth_time > limit:
            raise FreshLoginRequired(f"this needs a login within the last {limit} seconds", limit)


def session_of(request: Any) -> SessionFacts:
    """Return what is known of the session of *request*. Read it, if it was not read yet.

    *request* has it as ``session``. Raise :class:`ConfigError` if that is not one of ours, ``StoreError`` if
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
    """Note a login of a user who is signed in already. Django changes nothing then that could be seen."""
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
            "and put its SessionMiddleware into MIDDLEWARE"
        )
    return session
