"""Authlib's OAuth clients, with a one-time value for each sign-in that is under way.

    oauth = one_time_states(OAuth())

Authlib keeps what belongs to a ``state`` in a field of the session. Its client for Starlette keeps only the
last one, so of two tabs that sign in at once one fails (authlib/authlib#285). Here each tab has its own. It
can be used once, and is bound to the session. What is kept for it is encrypted, such as the verifier of PKCE.
"""

from __future__ import annotations

import sys
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from fluidauth.errors import ConfigError, NotRedeemable
from fluidauth.session import Session
from fluidauth.session.faces import view_of

__all__ = ["one_time_states"]

TTL = 60 * 60  # seconds, as Authlib's own

AnyOAuth = TypeVar("AnyOAuth")


def one_time_states(oauth: AnyOAuth) -> AnyOAuth:
    """Return *oauth*, a registry of Authlib's for Starlette, FastAPI, Flask or Django.

    Its clients keep their states as one-time values from now on. Call it before the first sign-in. A
    ``state`` of your own must have 22 characters or more. Raise :class:`ConfigError` for anything else.
    """
    found: Any = oauth
    kind = getattr(found, "framework_integration_cls", None)
    if kind is None:
        raise ConfigError(f"oauth={oauth!r} is no OAuth() of authlib.integrations")
    states = _AwaitedStates if iscoroutinefunction(kind.get_state_data) else _States
    found.framework_integration_cls = type(kind.__name__, (states, kind), {})
    return oauth


class _States:
    name: str

    def set_state_data(self, session: Any, state: str, data: Any) -> None:
        _session_behind(session).issue(f"authlib {self.name}", data, ttl=TTL, value=state)

    def get_state_data(self, session: Any, state: str) -> Any:
        try:
            return _session_behind(session).redeem(f"authlib {self.name}", state)
        except NotRedeemable:
            return None  # which Authlib answers with its own error

    def clear_state_data(self, session: Any, state: str) -> None:
        """Nothing is left of a state that was redeemed."""


class _AwaitedStates:
    name: str

    async def set_state_data(self, session: Any, state: str, data: Any) -> None:
        await _session_behind(session).aissue(f"authlib {self.name}", data, ttl=TTL, value=state)

    async def get_state_data(self, session: Any, state: str) -> Any:
        try:
            return await _session_behind(session).aredeem(f"authlib {self.name}", state)
        except NotRedeemable:
            return None

    async def clear_state_data(self, session: Any, state: str) -> None:
        """Nothing is left of a state that was redeemed."""


def _session_behind(session: Any) -> Any:
    """Return the session that a framework hands out as *session*, with our methods."""
    found = session._get_current_object() if hasattr(session, "_get_current_object") else session
    if isinstance(found, Session):
        return view_of(found)
    if "fluidauth.integrations.flask" in sys.modules:
        from fluidauth.integrations.flask.sessions import FlaskSession
        from fluidauth.integrations.flask.sessions import view_of as view_of_flasks

        if isinstance(found, FlaskSession):
            return view_of_flasks(found)
    if "fluidauth.integrations.django" in sys.modules:
        from fluidauth.integrations.django.base import StoredSession
        from fluidauth.integrations.django.facts import SessionFacts

        if isinstance(found, StoredSession):
            found._get_session()
            return SessionFacts(found)
    raise ConfigError(
        f"{type(found).__name__} is no session of fluidauth; put its session middleware in place"
    )
