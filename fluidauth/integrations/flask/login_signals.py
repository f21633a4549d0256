"""Flask-Login sends a signal at each login, also of a user who is signed in already. Fields do not show that.

Flask-Security signs users in through Flask-Login, and says when a password has changed.
"""

from __future__ import annotations

from typing import Any

import flask
from flask import Flask

from fluidauth.rules.user_fields import FLASK_LOGIN

from .sessions import FlaskSession, confirm, mirror_of, sign_in_anew


def follow(app: Flask) -> None:
    """Have each login and confirmation of *app* change its session, if the application uses Flask-Login."""
    if not hasattr(app, "login_manager"):
        return
    from flask_login.signals import user_logged_in, user_login_confirmed

    user_logged_in.connect(_logged_in, app)
    user_login_confirmed.connect(_confirmed, app)
    if "security" in app.extensions:
        from flask_security import password_changed, password_reset

        password_changed.connect(_password_changed, app)
        password_reset.connect(_password_changed, app)


def _logged_in(app: Flask, **_: Any) -> None:
    if (found := _session()) is not None:
        sign_in_anew(found)


def _confirmed(app: Flask, **_: Any) -> None:
    if (found := _session()) is not None:
        confirm(found)


def _password_changed(app: Flask, user: Any, **_: Any) -> None:
    """End the other sessions of *user*, under the id that it had before the change as well."""
    sessions: Any = app.session_interface
    engine, found, user_id = sessions.engine_for(app), _session(), str(user.get_id())
    former, kept = user_id, None
    if found is not None and dict.get(found, FLASK_LOGIN) == user_id:  # by the user, who is signed in again
        plain = mirror_of(found).plain
        former, kept = plain.user_id or user_id, plain.handle
    for each in {user_id, former}:
        engine.revoke_user(each, except_handle=kept)


def _session() -> FlaskSession | None:
    found = flask.session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    return found if isinstance(found, FlaskSession) else None
