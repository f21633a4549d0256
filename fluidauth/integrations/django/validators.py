"""Django reports to its password validators when a password has changed.

AUTH_PASSWORD_VALIDATORS = [
    ...,
    {"NAME": "fluidauth.integrations.django.validators.EndOtherSessions"},
]
"""

from __future__ import annotations

from typing import Any

from .base import StoredSession
from .configuration import get_engine
from .serving import served


class EndOtherSessions:
    """Ends all sessions of a user whose password has changed, and logins that are under way.

    The session of the request in which the user changed it stays. It accepts every password.
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Accept any password."""

    def get_help_text(self) -> str:
        """Return nothing, as there is nothing to comply with."""
        return ""

    def password_changed(self, password: str, user: Any = None) -> None:
        """End the other sessions of *user*, who is saved with a new password."""
        if user is None or user.pk is None:
            return
        user_id, session = str(user.pk), getattr(served(), "session", None)
        kept = None
        if isinstance(session, StoredSession) and session._signed_in[0] == user_id:
            kept = None if session._behind is None else session._behind.handle
        get_engine().revoke_before(user_id, except_handle=kept)
