"""Django tells its password validators that a password has changed: other sessions of the user end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.sessions.exceptions import SessionInterrupted
from django.test import override_settings

from fluidauth.integrations.django import get_engine, session_of
from tests.integrations.django.sites import Site

VALIDATOR = {"NAME": "fluidauth.integrations.django.validators.EndOtherSessions"}


@pytest.fixture
def user() -> Iterator[User]:
    users: Any = get_user_model().objects
    found = users.create_user("of the validator", password="old password")
    with override_settings(AUTH_PASSWORD_VALIDATORS=[VALIDATOR]):
        yield found
    found.delete()


def change(request: Any, user: User) -> None:
    user.set_password("new password")
    user.save()
    update_session_auth_hash(request, user)


@pytest.mark.requirement("78")
def test_other_sessions_end(user: User) -> None:
    """That of the user who changed it goes on, under a new id; one of another user as well."""
    site, engine = Site(), get_engine()
    site.client.force_login(user)
    for user_id in (str(user.pk), "other"):
        engine.create_session(user_id)
    (before,) = [info.handle for info in engine.list_sessions(str(user.pk))[:1]]

    site.ask(lambda request: change(request, request.user))

    (kept,) = engine.list_sessions(str(user.pk))
    assert kept.handle != before
    assert site.ask(lambda request: session_of(request).user_id) == str(user.pk)
    assert len(engine.list_sessions("other")) == 1


@pytest.mark.requirement("78")
@pytest.mark.parametrize("visitor", [True, False], ids=["with a session", "without one"])
@pytest.mark.parametrize("how", ["by login()", "by the field"])
def test_a_login_under_way_does_not_survive(user: User, visitor: bool, how: str) -> None:
    """It has checked the former password; whoever signs in after that does."""
    site = Site()
    if visitor:
        site.ask(lambda request: request.session.update({"cart": 1}))

    def signs_in(request: Any) -> None:
        if how == "by the field":
            request.session["_auth_user_id"] = str(user.pk)
            return
        login(request, user, "django.contrib.auth.backends.ModelBackend")

    def overtaken(request: Any) -> None:
        get_engine().revoke_before(str(user.pk))
        signs_in(request)

    with suppress(SessionInterrupted):
        assert site.get(overtaken).status_code == 400

    assert get_engine().list_sessions(str(user.pk)) == []
    assert site.ask(lambda request: session_of(request).user_id) is None
    later = Site()
    later.ask(signs_in)
    assert later.ask(lambda request: session_of(request).user_id) == str(user.pk)


@pytest.mark.requirement("78")
def test_an_administrator_changes_it(user: User) -> None:
    """In a command, or a request of another user: each session of the user ends."""
    engine = get_engine()
    engine.create_session(str(user.pk))

    user.set_password("new password")
    user.save()

    assert engine.list_sessions(str(user.pk)) == []


def test_it_accepts_every_password(user: User) -> None:
    """It is no judge of passwords; a user who is not stored has no sessions."""
    from django.contrib.auth.password_validation import (
        password_changed,
        password_validators_help_texts,
        validate_password,
    )

    validate_password("x")
    password_changed("x", None)
    password_changed("x", User(username="new"))
    assert password_validators_help_texts() == [""]
