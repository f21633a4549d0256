"""Flask-Login and Flask-Security, which know nothing of us."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import flask_login
import flask_security
import pytest

from fluidauth import MemoryStore, SessionEngine, new_secret
from fluidauth.testing import FakeClock
from tests.integrations.flask.sites import FlaskSite, Somebody, seen, sign_in


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
        assert site.ask(lambda session: session.get("cart")) == (("tea",) if name == "alice" else None)
        assert [info.user_id for info in engine.list_sessions(name)] == [name]
        handles.append(site.ask(lambda session: session.handle))
        site.ask(lambda session: flask_login.logout_user())
        assert site.ask(seen) == (None, None)
        assert engine.list_sessions(name) == []
    assert all(handle is None or engine.get_session(handle) is None for handle in handles)

    site.ask(lambda session: session.update(cart=1))
    sign_in(site, "eve")
    assert site.ask(lambda session: session.expires_at - session.created_at) <= 600
    assert engine.revoke_user("eve") == 1
    assert site.ask(seen) == (None, None)


@pytest.fixture
def shop(clock: FakeClock) -> FlaskSite:
    """A site with Flask-Login and an engine of its own."""
    site = FlaskSite(SessionEngine(new_secret(), MemoryStore(), clock=clock), SECRET_KEY="s" * 3)
    flask_login.LoginManager(site.app).user_loader(Somebody)
    return site


@pytest.mark.requirement("66")
def test_signing_in_again_is_a_new_login(shop: FlaskSite, clock: FakeClock) -> None:
    """Which no field shows: the password was asked for, so the login is fresh, under a new id."""
    sign_in(shop, "alice")
    former = shop.ask(lambda session: session.handle)
    clock.advance(1000)

    sign_in(shop, "alice")

    assert shop.ask(lambda session: session.auth_time) == int(clock.now)
    assert shop.ask(lambda session: session.handle) != former


@pytest.mark.requirement("66")
def test_who_is_only_remembered_has_no_fresh_login(shop: FlaskSite) -> None:
    """The cookie of Flask-Login brings the user back without a password, until that is confirmed."""
    shop.ask(lambda session: flask_login.login_user(Somebody("alice"), remember=True))
    shop.client.delete_cookie("session")
    shop.client.delete_cookie("__Host-session")

    assert shop.ask(seen)[0] == "alice"
    assert shop.ask(seen) == ("alice", "alice")
    assert shop.ask(lambda session: session.auth_time) is None
    assert shop.get(lambda session: session.require_fresh(3600)).status_code == 401
    before = shop.ask(lambda session: session.handle)

    shop.ask(lambda session: flask_login.confirm_login())

    assert shop.get(lambda session: session.require_fresh(3600)).status_code == 200
    assert shop.ask(lambda session: session.handle) != before


@pytest.mark.requirement("66")
def test_strong_protection_signs_out(shop: FlaskSite) -> None:
    """Flask-Login removes its fields where a cookie comes from another browser."""
    shop.app.config["SESSION_PROTECTION"] = "strong"
    sign_in(shop, "alice")

    shop.client.environ_base["HTTP_USER_AGENT"] = "another browser"

    assert shop.ask(seen)[0] is None
    assert shop.ask(seen) == (None, None)
    assert shop.interface.engine_for(shop.app).list_sessions("alice") == []


@pytest.mark.requirement("66")
@pytest.mark.parametrize("user_id", [7, "7", uuid4()])
def test_a_field_of_flasks_types_names_the_user(user_id: Any) -> None:
    """A whole number, as the tutorial's, or a UUID."""
    site = FlaskSite(SessionEngine(new_secret(), MemoryStore(), user_key="user_id"))

    site.ask(lambda session: session.update(user_id=user_id))

    assert site.ask(lambda session: (session.user_id, session["user_id"])) == (str(user_id), user_id)


@pytest.mark.requirement("66")
def test_a_function_is_asked_with_flasks_types() -> None:
    def user_of(fields: dict[str, Any]) -> str | None:
        found = fields.get("user")
        return None if found is None else str(found[0]) if isinstance(found, tuple) else None

    site = FlaskSite(SessionEngine(new_secret(), MemoryStore(), user_key=user_of))

    site.ask(lambda session: session.update(user=(UUID(int=7), "Ada")))

    assert site.ask(lambda session: session.user_id) == str(UUID(int=7))


@pytest.mark.requirement("66")
def test_flask_logins_field_counts_beside_one_that_is_named(clock: FakeClock) -> None:
    """And its mark of a visitor, whose session it calls not fresh, is not taken for the user's."""
    engine = SessionEngine(new_secret(), MemoryStore(), user_key="user_id", clock=clock)
    site = FlaskSite(engine, SECRET_KEY="s" * 3)
    flask_login.LoginManager(site.app).user_loader(Somebody)
    site.ask(lambda session: [session.update(cart=1), flask_login.current_user.is_authenticated])
    site.ask(lambda session: flask_login.current_user.is_authenticated)
    before = site.ask(lambda session: (session.handle, session["_fresh"]))

    sign_in(site, "alice")

    assert before[1] is False
    assert site.ask(seen) == ("alice", "alice")
    assert engine.get_session(before[0]) is None
    site.ask(lambda session: flask_login.logout_user())
    site.ask(lambda session: [session.update(cart=1), flask_login.current_user.is_authenticated])
    site.ask(lambda session: flask_login.current_user.is_authenticated)
    site.ask(lambda session: session.update(user_id=7))
    assert site.ask(lambda session: (session.user_id, session.auth_time)) == ("7", int(clock.now))


class _Users(flask_security.datastore.UserDatastore):
    """Flask-Security's users, one of them, in memory."""

    def __init__(self) -> None:
        super().__init__(_User, flask_security.RoleMixin)
        self.alice = _User()

    def find_user(self, case_insensitive: bool = False, **query: Any) -> Any:
        [(name, value)] = query.items()
        return self.alice if getattr(self.alice, name, None) == value else None

    def put(self, model: Any) -> Any:
        return model

    def commit(self) -> None:
        """Nothing to do: nothing is kept."""


class _User(flask_security.UserMixin):
    id, email, fs_uniquifier = 7, "alice@example.com", "unique-alice"
    password, active = "correct horse", True

    @property
    def roles(self) -> list[Any]:  # type: ignore[override]  # which is written nowhere here
        return []


def secure_site(clock: FakeClock, **more: Any) -> FlaskSite:
    """A site with Flask-Security's own pages."""
    engine = SessionEngine(new_secret(), MemoryStore(), clock=clock)
    settings = {"PASSWORD_SALT": "salt", "PASSWORD_HASH": "plaintext", "PASSWORD_SCHEMES": ["plaintext"]}
    site = FlaskSite(
        engine,
        SECRET_KEY=new_secret(),
        WTF_CSRF_ENABLED=False,
        SECURITY_PASSWORD_SINGLE_HASH=True,
        **{f"SECURITY_{name}": value for name, value in {**settings, **more}.items()},
    )
    flask_security.Security(site.app, _Users())
    return site


@pytest.mark.requirement("78")
def test_flask_security_tells_of_a_new_password(clock: FakeClock) -> None:
    """All other sessions of the user end; the one in which the user changed it goes on, signed in anew."""
    site = secure_site(clock, CHANGEABLE=True, SEND_PASSWORD_CHANGE_EMAIL=False)
    engine = site.interface.engine_for(site.app)
    signed_in = site.client.post("/login", data={"email": "alice@example.com", "password": "correct horse"})
    assert signed_in.status_code == 302
    engine.create_session("unique-alice")
    assert len(engine.list_sessions("unique-alice")) == 2

    new = {"new_password": "battery staple!", "new_password_confirm": "battery staple!"}
    changed = site.client.post("/change", data={"password": "correct horse", **new})

    assert changed.status_code == 302
    user_id = site.ask(lambda session: session.user_id)
    assert user_id not in (None, "unique-alice")
    assert engine.list_sessions("unique-alice") == []
    assert len(engine.list_sessions(user_id)) == 1


@pytest.mark.requirement("66")
def test_flask_security_signs_in_and_out(clock: FakeClock) -> None:
    """By its own pages: the session's user is what it says names one and changes with the password."""
    site = secure_site(clock)
    engine = site.interface.engine_for(site.app)
    site.ask(lambda session: session.update(cart=1))
    planted = site.ask(lambda session: session.handle)
    form = {"email": "alice@example.com", "password": "correct horse"}

    signed_in = site.client.post("/login", data=form)

    assert signed_in.status_code == 302
    assert site.ask(lambda session: (session.user_id, session["cart"])) == ("unique-alice", 1)
    assert engine.get_session(planted) is None
    assert len(engine.list_sessions("unique-alice")) == 1
    before = site.ask(lambda session: session.auth_time)
    clock.advance(100)
    assert site.client.post("/verify", data={"password": "correct horse"}).status_code == 302
    assert site.ask(lambda session: session.auth_time) == before + 100

    assert site.client.post("/logout").status_code == 302
    assert site.ask(lambda session: (session.user_id, session.get("cart"))) == (None, None)
    assert engine.list_sessions("unique-alice") == []


@pytest.mark.requirement("79")
@pytest.mark.parametrize("protection", [None, "basic", "strong"])
@pytest.mark.parametrize("remember", [False, True])
def test_acting_for_another_user(shop: FlaskSite, protection: str | None, remember: bool) -> None:
    """Flask-Login sees the other one as well, and neither its cookie nor its protection ends that."""
    shop.app.login_manager.session_protection = protection
    shop.ask(lambda session: flask_login.login_user(Somebody("alice"), remember=remember))

    shop.ask(lambda session: session.impersonate("bob", "ticket 7"))

    for _ in range(2):
        assert shop.ask(seen) == ("bob", "bob")
        assert shop.ask(lambda session: session.actor.user_id) == "alice"
    assert not shop.ask(lambda session: flask_login.login_fresh())
    shop.ask(lambda session: session.end_impersonation())
    assert shop.ask(seen) == ("alice", "alice")


@pytest.mark.requirement("74")
def test_the_remember_cookie_opens_nothing_to_another_origin() -> None:
    """It signs in without a session, so what a page elsewhere sends under it is refused as well."""
    site = FlaskSite(SessionEngine(new_secret(), MemoryStore(), cross_origin="block"), SECRET_KEY="s" * 3)
    site.app.config["REMEMBER_COOKIE_NAME"] = "remembered"
    flask_login.LoginManager(site.app).user_loader(Somebody)
    paid: list[str | None] = []

    def pay() -> str:
        paid.append(flask_login.current_user.get_id())
        return "paid"

    site.app.add_url_rule("/pay", view_func=pay, methods=["POST"])
    site.ask(lambda session: flask_login.login_user(Somebody("alice"), remember=True))
    for name in ("session", "__Host-session"):
        site.client.delete_cookie(name)

    refused = site.client.post("/pay", headers={"Sec-Fetch-Site": "same-site"})

    assert (refused.status_code, paid) == (403, [])
    assert site.client.post("/pay", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert paid == ["alice"]
