"""Act in the name of another of Django's users: its fields, and ``request.user``, go with the session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, aget_user, get_user
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from fluidauth.errors import FreshLoginRequired, ImpersonationError
from fluidauth.session import Session
from fluidauth.session.impersonation import LIFETIME

from .base import EXPIRY
from .facts import ours


def impersonate(
    request: HttpRequest, user: Any, reason: str, *, lifetime: int | timedelta = LIFETIME
) -> None:
    """Do as :meth:`fluidauth.Session.impersonate`, for a user of Django. The session is saved at once.

    ``request.user`` is *user* from then on. The view decides who may.
    """
    session: Any = ours(request)
    session._get_session()
    if session.modified:
        session.save()
    behind = _begun(session, user, reason, lifetime)
    session._switch(behind)
    rotate_token(request)
    request.user = user


async def aimpersonate(
    request: HttpRequest, user: Any, reason: str, *, lifetime: int | timedelta = LIFETIME
) -> None:
    """Do as :func:`impersonate`, without blocking."""
    session: Any = ours(request)
    await session._aget_session()
    if session.modified:
        await session.asave()
    behind = _begun(session, user, reason, lifetime)
    await session._aswitch(behind)
    rotate_token(request)
    request.user = user


def end_impersonation(request: HttpRequest) -> None:
    """Do as :meth:`fluidauth.Session.end_impersonation`. ``request.user`` is the real one again."""
    session: Any = ours(request)
    session._get_session()
    behind = _ended(session)
    session._switch(behind)
    rotate_token(request)
    request.user = get_user(request)


async def aend_impersonation(request: HttpRequest) -> None:
    """Do as :func:`end_impersonation`, without blocking."""
    session: Any = ours(request)
    await session._aget_session()
    behind = _ended(session)
    await session._aswitch(behind)
    rotate_token(request)
    request.user = await aget_user(request)


def _begun(session: Any, user: Any, reason: str, lifetime: int | timedelta) -> Session:
    behind: Session | None = session._behind
    if behind is None:
        raise FreshLoginRequired("nobody is signed in who could act in another's name")
    fields = {
        SESSION_KEY: user._meta.pk.value_to_string(user),  # as auth.login()
        BACKEND_SESSION_KEY: session.get(BACKEND_SESSION_KEY),
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    if EXPIRY in session:  # a cookie that ends with the browser goes on to
        fields[EXPIRY] = session[EXPIRY]
    behind.impersonate(str(user.pk), reason, data=fields, lifetime=lifetime)
    return behind


def _ended(session: Any) -> Session:
    behind: Session | None = session._behind
    if behind is None:
        raise ImpersonationError("nobody acts in another user's name here")
    behind.end_impersonation()
    return behind
