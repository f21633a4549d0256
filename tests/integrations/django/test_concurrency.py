"""Requests of Django that overlap: nothing is lost, and nothing comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as FormerStore
from django.test import override_settings

from fluidauth import MemoryStore
from fluidauth.integrations.django import SessionStore, get_engine
from tests.integrations.django.sites import Site, fields_of, handle_in, handle_of, name_of, put, sign_in, user


def test_changes_of_two_tabs_both_survive(site: Site) -> None:
    site.ask(put(a=[1], b=[1]))
    tab = site.twin()

    def slow(request: Any) -> None:
        request.session["a"].append(2)
        request.session["n"] = 1
        with get_engine().edit(handle_of(request)) as other:  # the other tab, meanwhile
            other["b"].append(2)

    site.ask(slow)

    assert tab.ask(fields_of) == {"a": [1, 2], "b": [1, 2], "n": 1}


def change_inside(request: Any) -> None:
    request.session["a"].append(2)
    del request.session["b"]
    with get_engine().edit(handle_of(request)) as other:  # another tab, meanwhile
        other["n"] = 1


@pytest.mark.parametrize("encrypted", [[], ["b"], "*"], ids=["none", "one", "all"])
def test_changes_inside_of_values_are_saved(site: Site, encrypted: Any) -> None:
    """Whatever is encrypted; and what is removed is gone."""
    with override_settings(FLUIDAUTH={"store": MemoryStore(), "encrypted_fields": encrypted}):
        site.ask(put(a=[1], b=[1], c=[1]))
        site.ask(change_inside)

        assert site.ask(fields_of) == {"a": [1, 2], "c": [1], "n": 1}


@pytest.mark.parametrize("encrypted", [[], ["b"], "*"], ids=["none", "one", "all"])
def test_adopted_session_may_be_changed_at_once(site: Site, encrypted: Any) -> None:
    old = FormerStore()
    old.update({"a": [1], "b": [1], "c": [1]})
    old.save()
    site.client.cookies["sessionid"] = old.session_key
    adopt = ["django.contrib.sessions.backends.signed_cookies"]
    with override_settings(FLUIDAUTH={"store": MemoryStore(), "encrypted_fields": encrypted, "adopt": adopt}):
        site.ask(change_inside)

        assert site.ask(fields_of) == {"a": [1, 2], "c": [1], "n": 1}


def test_saving_twice_takes_nothing_back() -> None:
    """What others changed before the first save is seen by the second."""
    first = SessionStore()
    first.update({"a": [1], "b": [1]})
    first.save()
    with get_engine().edit(handle_in(first)) as other:
        other["b"].append(2)

    first["a"].append(2)
    first.save()
    first["n"] = 1
    first.save()

    assert dict(SessionStore(first.session_key).items()) == {"a": [1, 2], "b": [1, 2], "n": 1}


@pytest.mark.parametrize("ending", ["revoke", "login", "logout"])
def test_a_slower_request_brings_nothing_back(site: Site, ending: str) -> None:
    """It is told so with 400, as Django does, and leaves the cookie of the newer session alone."""
    site.ask(sign_in)
    tab, key = site.twin(), str(site.cookie)

    def slow(request: Any) -> None:
        request.session["n"] = 1
        other = SessionStore(key)
        if ending == "revoke":
            get_engine().revoke_user(str(user().pk))
        elif ending == "login":
            other.cycle_key()
        else:
            other.flush()

    response = tab.get(slow)

    assert response.status_code == 400
    assert "sessionid" not in response.cookies
    assert site.ask(name_of) == ""


def end_by_hand(key: str) -> None:
    SessionStore(key).flush()


def revoke_ada(key: str) -> None:
    get_engine().revoke_user(str(user().pk))


def revoke_all(key: str) -> None:
    get_engine().revoke_all()


def log_in_elsewhere(key: str) -> None:
    """As another user, under that key: a login took its place."""
    tab = Site()
    tab.client.cookies["sessionid"] = key
    tab.ask(lambda request: auth.login(request, user("bob")))


ENDINGS = (end_by_hand, revoke_ada, revoke_all, log_in_elsewhere)


@pytest.mark.requirement("5")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_changed_password_makes_no_session_anew(site: Site, ending: Any) -> None:
    """It rotates the key; of a session that another request ended meanwhile nothing comes back."""
    site.ask(sign_in)
    tab, key = site.twin(), str(site.cookie)

    def slow(request: Any) -> None:
        assert name_of(request) == "ada"
        ending(key)
        auth.update_session_auth_hash(request, request.user)
        assert dict(request.session.items()).keys() <= {auth.HASH_SESSION_KEY}

    response = tab.get(slow)

    assert response.status_code == 400  # as Django says of a session that ended under way
    assert "sessionid" not in response.cookies
    assert get_engine().list_sessions(str(user().pk)) == []
    assert tab.ask(name_of) == ""


@pytest.mark.requirement("5")
def test_a_key_rotated_with_await_makes_no_session_anew() -> None:
    site = Site()
    site.ask(sign_in)

    async def slow() -> None:
        session = SessionStore(site.cookie)
        assert await session.aget(auth.SESSION_KEY) == str(user_id)
        await get_engine().arevoke_user(user_id)
        await session.acycle_key()
        assert await session.aget(auth.SESSION_KEY) is None
        await session.aset(auth.HASH_SESSION_KEY, "hash")
        with pytest.raises(UpdateError):
            await session.asave()

    user_id = str(user().pk)
    asyncio.run(slow())

    assert get_engine().list_sessions(user_id) == []


@pytest.mark.requirement("5")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_login_after_an_end_carries_nothing(site: Site, ending: Any) -> None:
    """It succeeds, and what lay in the session that was ended meanwhile is not in the new one."""
    site.ask(put(cart=["tea"]))
    tab, key = site.twin(), str(site.cookie)

    def slow(request: Any) -> None:
        assert request.session["cart"] == ["tea"]
        if ending is revoke_ada:  # an anonymous session is nobody's
            end_by_hand(key)
        ending(key)
        auth.login(request, user())

    response = tab.get(slow)

    assert response.status_code == 200
    assert tab.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {}]
    assert len(get_engine().list_sessions(str(user().pk))) == 1


@pytest.mark.requirement("5")
def test_a_changed_password_follows_to_the_new_key(site: Site) -> None:
    """Of two requests that rotate the key at once the later makes no second session; its changes count."""
    site.ask(sign_in)
    tab, key = site.twin(), str(site.cookie)

    def slow(request: Any) -> None:
        assert name_of(request) == "ada"
        first = SessionStore(key)
        first.cycle_key()
        site.client.cookies["sessionid"] = first.session_key
        auth.update_session_auth_hash(request, request.user)
        request.session["n"] = 1

    response = tab.get(slow)

    assert "sessionid" not in response.cookies  # the other response carries it
    assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {"n": 1}]
    assert len(get_engine().list_sessions(str(user().pk))) == 1


def change_beside(session: Any) -> None:
    """As another request does, which gives the session a new key as well."""
    del session["sudo"]
    session["y"] = 2
    session["both"] = "beside"
    session["same"] = ["beside"]
    session.cycle_key()


LOADED = {"sudo": True, "both": "before", "same": ["before"], "mine": 1, "gone": 1}
FOLLOWED = {"y": 2, "same": ["beside"], "both": "own", "mine": 2, "new": [1]}


def change_own(session: Any) -> None:
    session.update({"both": "own", "mine": 2, "new": [1]})
    del session["gone"]


@pytest.mark.requirement("67")
@pytest.mark.parametrize("encrypted", [[], "*"], ids=["none", "all"])
@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_key_rotated_late_takes_nothing_of_others_back(site: Site, when: str, encrypted: Any) -> None:
    """What this request changed goes onto the newer session; all else there is as the other one left it."""
    with override_settings(FLUIDAUTH={"store": MemoryStore(), "encrypted_fields": encrypted}):
        site.ask(put(**LOADED))
        tab, key = site.twin(), str(site.cookie)

        def slow(request: Any) -> None:
            session = request.session
            assert session["sudo"] is True
            other = SessionStore(key)
            change_beside(other)
            site.client.cookies["sessionid"] = other.session_key
            if when == "before":
                change_own(session)
            if when == "between":
                with pytest.raises(UpdateError):
                    session.save()
                change_own(session)
            session.cycle_key()
            if when == "after":
                change_own(session)
            assert dict(session.items()) == FOLLOWED

        tab.get(slow)

        assert site.ask(fields_of) == FOLLOWED


@pytest.mark.requirement("67")
def test_a_key_rotated_late_with_await_takes_nothing_back() -> None:
    first = SessionStore()
    first.update(LOADED)
    first.save()

    async def slow() -> None:
        session = SessionStore(first.session_key)
        assert await session.aget("sudo") is True
        await sync_to_async(change_beside)(first)
        change_own(session)
        await session.acycle_key()
        with pytest.raises(UpdateError):  # no key is known to send
            await session.asave()

    asyncio.run(slow())

    assert dict(SessionStore(first.session_key).items()) == FOLLOWED


@pytest.mark.requirement("67")
@pytest.mark.parametrize("how", ["key", "save"])
def test_key_rotated_concurrently_keeps_a_changed_password(site: Site, how: str) -> None:
    """The new hash stays in the session: whoever changed the password stays signed in."""
    ada = User.objects.create_user(f"ada of {how} {type(site).__name__}", password="old")
    site.ask(lambda request: auth.login(request, ada))
    tab, other = site.twin(), Site()
    other.client.cookies["sessionid"] = site.cookie

    def change(request: Any) -> None:
        request.user.set_password("new")
        request.user.save()
        auth.update_session_auth_hash(request, request.user)

    def slow(request: Any) -> None:
        assert name_of(request) == ada.username
        other.ask(change)
        request.session.cycle_key()
        if how == "save":
            request.session["n"] = 1

    tab.get(slow)

    assert other.ask(lambda request: [name_of(request), fields_of(request)]) == [
        ada.username,
        {"n": 1} if how == "save" else {},
    ]
