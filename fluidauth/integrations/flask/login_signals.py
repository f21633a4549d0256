"""Flask-Login sends a signal at each login, also of a user who is signed in already. Fields do not show that.

Flask-Security signs users in through Flask-Login.
"""

from __future__ import annotations

from typing import Any

import flask
from flask import Flask

from .sessions import FlaskSession, confirm, sign_in_anew


def follow(app: Flask) -> None:
    """Have each login and confirmation of *app* change its session, if the application uses Flask-Login."""
    if not hasattr(app, "login_manager"):
        return
    from flask_login.signals import user_logged_in, user_login_confirmed

    user_logged_in.connect(_logged_in, app)
    user_login_confirmed.connect(_confirmed, app)


def _logged_in(app: Flask, **_: Any) -> None:
    if (found := _session()) is not None:
        sign_in_anew(found)


def _confirmed(app: Flask, **_: Any) -> None:
    if (found := _session()) is not None:
        confirm(found)


def _session() -> FlaskSession | None:
    found = flask.session._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    return found if isinstance(found, FlaskSession) else None
