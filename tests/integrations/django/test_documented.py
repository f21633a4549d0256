"""What Django documents of sessions."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings

from fluidauth import MemoryStore
from fluidauth.integrations.django import SessionStore, get_engine
from tests.integrations.django.sites import Site, fields_of, handle_in, handle_of, name_of, put, sign_in, user


def test_fields_survive(site: Site) -> None:
    site.ask(put(cart=["tea"], n=1))

    assert site.ask(fields_of) == {"cart": ["tea"], "n": 1}
    assert site.ask(lambda request: request.session.pop("n")) == 1
    assert site.ask(fields_of) == {"cart": ["tea"]}


def test_login_is_listed_under_its_user_by_the_engine(site: Site) -> None:
    """So that his sessions can be listed, and ended everywhere at once."""
    site.ask(put(cart=["tea"]))
    before = site.cookie
    site.ask(sign_in)
    engine, pk = get_engine(), str(user().pk)

    assert before != site.cookie
    assert not SessionStore().exists(before)
    assert site.ask(lambda request: [name_of(request), request.session["cart"]]) == ["ada", ["tea"]]
    assert [found.user_id for found in engine.list_sessions(pk)] == [pk]
    assert site.ask(handle_of) == engine.list_sessions(pk)[0].handle
    assert engine.revoke_user(pk) == 1
    assert site.ask(name_of) == ""


def test_a_logout_ends_it(site: Site) -> None:
    site.ask(sign_in)
    tab = site.twin()

    site.ask(lambda request: auth.logout(request))

    assert site.cookie is None
    assert tab.ask(name_of) == ""
    assert get_engine().list_sessions(str(user().pk)) == []


def test_another_user_gets_nothing_of_the_first(site: Site) -> None:
    site.ask(sign_in)
    site.ask(put(cart=["tea"]))

    site.ask(lambda request: auth.login(request, user("bob")))

    assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["bob", {}]
    assert get_engine().list_sessions(str(user().pk)) == []


def test_removing_the_user_from_the_fields_is_a_logout(site: Site) -> None:
    """The session goes on without him, under another id."""
    site.ask(sign_in)
    site.ask(put(cart=["tea"]))
    before = site.cookie

    site.ask(
        lambda request: [
            request.session.pop(name) for name in list(request.session.keys()) if "_auth" in name
        ]
    )

    assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["", {"cart": ["tea"]}]
    assert site.cookie != before
    assert get_engine().list_sessions(str(user().pk)) == []


def test_a_changed_password_ends_the_other_sessions(site: Site) -> None:
    site.ask(sign_in)
    other = type(site)()
    other.ask(sign_in)

    def change(request: Any) -> None:
        request.user.set_password("new")
        request.user.save()
        auth.update_session_auth_hash(request, request.user)

    site.ask(change)

    assert (site.ask(name_of), other.ask(name_of)) == ("ada", "")


@pytest.mark.parametrize(
    ("expiry", "age"), [(300, 300), (timedelta(seconds=300), 299), (0, ""), (None, 1_209_600)]
)
def test_set_expiry(site: Site, expiry: Any, age: Any) -> None:
    def change(request: Any) -> None:
        request.session["n"] = 1
        request.session.set_expiry(expiry)

    site.ask(change)
    stored = get_engine().get_session(site.ask(handle_of))

    given = site.client.cookies["sessionid"]["max-age"]
    assert given == age or given - age in (0, 1)
    assert stored is not None
    assert stored.expires_at is not None
    assert abs(stored.expires_at - time.time() - (age or 1_209_600)) < 5


def test_an_expiry_of_now_ends_it(site: Site) -> None:
    site.ask(put(n=1))

    site.ask(lambda request: request.session.set_expiry(-1))

    assert site.ask(fields_of) == {}


def test_test_cookies(site: Site) -> None:
    site.ask(lambda request: request.session.set_test_cookie())

    assert site.ask(lambda request: request.session.test_cookie_worked()) is True
    site.ask(lambda request: request.session.delete_test_cookie())
    assert site.ask(lambda request: request.session.test_cookie_worked()) is False


def test_clearsessions_removes_what_expired() -> None:
    store = MemoryStore()
    late = time.time() + 3 * 7 * 86_400
    with override_settings(FLUIDAUTH={"store": store}):
        session = SessionStore()
        session["n"] = 1
        session.save()
        get_engine().requests.clock = lambda: late
        assert store.get(handle_in(session)) is not None

        call_command("clearsessions")

        assert store.get(handle_in(session)) is None


def test_the_admin_works() -> None:
    """With its messages and its protection against forgery."""
    User.objects.filter(username="root").delete()
    User.objects.create_superuser("root", password="for this test")
    client = Client(enforce_csrf_checks=True)
    page = client.get("/admin/login/")
    form = {
        "username": "root",
        "password": "for this test",
        "csrfmiddlewaretoken": page.cookies["csrftoken"].value,
    }

    assert client.post("/admin/login/?next=/admin/", form).status_code == 302
    assert client.get("/admin/auth/user/").status_code == 200


def test_the_contract_in_coroutines() -> None:
    """Without a thread between: every twin."""

    async def live() -> None:
        session = SessionStore()
        await session.aset("n", 1)
        await session.asave()
        first = session.session_key
        assert await session.aexists(first)

        again = SessionStore(first)
        assert await again.aget("n") == 1
        await again.aset_expiry(300)
        await again.acycle_key()
        assert again.session_key != first
        assert not await again.aexists(first)
        assert await SessionStore(again.session_key).aget_expiry_age() == 300

        last = again.session_key
        await again.aclear_expired()
        await again.aflush()
        assert not await again.aexists(last)
        assert await SessionStore(last).aload() == {}

        late = SessionStore()
        await late.aset("n", 1)
        await late.aset_expiry(-1)
        await late.asave()
        assert not await late.aexists(late.session_key)

    asyncio.run(live())
