"""Flask-Login, which knows nothing of us."""

from __future__ import annotations

import flask_login
import pytest

from tests.integrations.flask.sites import FlaskSite, seen, sign_in


@pytest.mark.requirement("66")
def test_flask_logins_user_is_the_sessions(flask_login_site: FlaskSite) -> None:
    """Signing in gives a new id, to be listed and revoked; signing out ends it, and so for the next user."""
    site = flask_login_site
    engine = site.interface.engine_for(site.app)
    handles = []
    site.ask(lambda session: session.update(cart=("tea",)))
    for name in ("alice", "bob"):
        handles.append(site.ask(lambda session: session.handle))
        sign_in(site, name)
        assert site.ask(seen) == (name, name)
        assert [info.user_id for info in engine.list_sessions(name)] == [name]
        handles.append(site.ask(lambda session: session.handle))
        site.ask(lambda session: flask_login.logout_user())
        assert site.ask(seen) == (None, None)
        assert engine.list_sessions(name) == []
    assert site.ask(lambda session: session["cart"]) == ("tea",)
    assert len(set(handles)) == 4
    assert all(engine.get_session(handle) is None for handle in handles[:3])

    sign_in(site, "eve")
    assert site.ask(lambda session: session.expires_at - session.created_at) <= 600
    assert engine.revoke_user("eve") == 1
    assert site.ask(seen) == (None, None)
