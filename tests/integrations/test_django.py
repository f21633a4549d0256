"""Django: its own tests of sessions, what its documentation says, and what it does not promise."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings as django_settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as FormerStore
from django.core.management import call_command
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.utils.decorators import sync_and_async_middleware

from fluidauth import ConfigError, MemoryStore, StoreError
from fluidauth.integrations.django import SessionStore, get_engine
from fluidauth.integrations.django.checks import check_settings
from fluidauth.keys import file as keyfile
from fluidauth.keys import new_secret

from ..support import FlakyStore, opened
from . import django_site
from .django_site import handlers
from .upstream import run_django_suite

NOT_APPLICABLE = {
    "sessions_tests.tests.SessionMiddlewareTests.test_empty_session_saved": "it reads Django's own table",
    "auth_tests.test_middleware.TestLoginRequiredMiddleware.test_protected_view_logged_in_performance": (
        "it counts the SQL query that reads Django's own table"
    ),
    **{
        f"sessions_tests.tests.{case}.{name}": "it is about Django's own table"
        for case in (
            "CustomDatabaseSessionTests",
            "DatabaseSessionTests",
            "DatabaseSessionWithTimeZoneTests",
        )
        for name in (
            "test_aclear_expired",
            "test_clearsessions_command",
            "test_extra_session_field",
            "test_session_get_decoded",
            "test_session_str",
            "test_sessionmanager_save",
        )
    },
}


# -- Django's own tests --------------------------------------------------------------------------


@pytest.mark.check
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("label", "least"), [("sessions_tests", 600), ("messages_tests", 100), ("auth_tests", 800)]
)
def test_djangos_own_tests_pass(label: str, least: int) -> None:
    """All of ``sessions_tests``, ``auth_tests`` and ``messages_tests`` that speak of behaviour."""
    found = run_django_suite(label)

    assert found.failed <= NOT_APPLICABLE.keys(), found.report[-8_000:]
    assert len(found.passed) >= least, found.report[-8_000:]


@pytest.mark.check
@pytest.mark.timeout(600)
def test_djangos_own_tests_would_fail_without_sessions() -> None:
    broken = run_django_suite("sessions_tests", "messages_tests", canary=True)

    assert len(broken.failed) > 60, "the canary was not felt"


# -- a site --------------------------------------------------------------------------------------


class Site:
    """Django's test client, which calls a function with the request."""

    path = "/"
    client_type: Any = Client

    def __init__(self) -> None:
        self.client: Any = self.client_type()

    def get(self, handler: Any) -> Any:
        """Return the response to a request in which *handler* is called."""
        handlers.append(handler)
        try:
            return self.answer()
        finally:
            handlers.pop()

    def answer(self) -> Any:
        return self.client.get(self.path)

    def ask(self, handler: Any) -> Any:
        """Return what *handler* returned."""
        response = self.get(handler)
        assert response.status_code == 200, response.content
        return response.json()["value"]

    @property
    def cookie(self) -> str | None:
        found = self.client.cookies.get("sessionid")
        return found.value or None if found else None

    def twin(self) -> Site:
        """Return a second tab: the same cookie at this moment."""
        other = type(self)()
        if self.cookie:
            other.client.cookies["sessionid"] = self.cookie
        return other


class AsyncSite(Site):
    """The same through ASGI: a coroutine that hands the request to a thread, as old code does."""

    path = "/async"
    client_type = AsyncClient

    def get(self, handler: Any) -> Any:
        async def handle(request: Any) -> Any:
            return await sync_to_async(handler)(request)

        return super().get(handle)

    def answer(self) -> Any:
        return asyncio.run(self.client.get(self.path))


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with override_settings(FLUIDAUTH={"store": MemoryStore()}):
        yield


@pytest.fixture(params=[Site, AsyncSite], ids=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.param()  # type: ignore[no-any-return]  # pytest does not type it


def user(name: str = "ada") -> Any:
    return User.objects.get_or_create(username=name)[0]


def sign_in(request: Any) -> None:
    auth.login(request, user())


def put(**fields: Any) -> Any:
    return lambda request: request.session.update(fields)


def fields_of(request: Any) -> dict[str, Any]:
    return {name: value for name, value in request.session.items() if not name.startswith("_auth")}


def name_of(request: Any) -> str:
    return str(request.user.get_username())


# -- what Django documents -----------------------------------------------------------------------


def test_fields_survive(site: Site) -> None:
    site.ask(put(cart=["tea"], n=1))

    assert site.ask(fields_of) == {"cart": ["tea"], "n": 1}
    assert site.ask(lambda request: request.session.pop("n")) == 1
    assert site.ask(fields_of) == {"cart": ["tea"]}


def test_a_login_is_of_a_user_whom_the_engine_knows(site: Site) -> None:
    """So that his sessions can be listed, and ended everywhere at once."""
    site.ask(put(cart=["tea"]))
    before = site.cookie
    site.ask(sign_in)
    engine, pk = get_engine(), str(user().pk)

    assert before != site.cookie
    assert not SessionStore().exists(before)
    assert site.ask(lambda request: [name_of(request), request.session["cart"]]) == ["ada", ["tea"]]
    assert [found.user_id for found in engine.list_sessions(pk)] == [pk]
    assert site.ask(lambda request: request.session.handle) == engine.list_sessions(pk)[0].handle
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


def test_a_user_who_is_taken_out_by_hand_is_out(site: Site) -> None:
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
    stored = get_engine().get_session(site.ask(lambda request: request.session.handle))

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
        get_engine().requests._clock = lambda: late
        assert store.get(str(session.handle)) is not None

        call_command("clearsessions")

        assert store.get(str(session.handle)) is None


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


# -- what it does not promise --------------------------------------------------------------------


def test_changes_of_two_tabs_both_survive(site: Site) -> None:
    site.ask(put(a=[1], b=[1]))
    tab = site.twin()

    def slow(request: Any) -> None:
        request.session["a"].append(2)
        request.session["n"] = 1
        with get_engine().edit(request.session.handle) as other:  # the other tab, meanwhile
            other["b"].append(2)

    site.ask(slow)

    assert tab.ask(fields_of) == {"a": [1, 2], "b": [1, 2], "n": 1}


def change_inside(request: Any) -> None:
    request.session["a"].append(2)
    del request.session["b"]
    with get_engine().edit(request.session.handle) as other:  # another tab, meanwhile
        other["n"] = 1


@pytest.mark.parametrize("encrypted", [[], ["b"], "*"], ids=["none", "one", "all"])
def test_changes_inside_of_values_are_saved(site: Site, encrypted: Any) -> None:
    """Whatever is encrypted; and what is removed is gone."""
    with override_settings(FLUIDAUTH={"store": MemoryStore(), "encrypted_fields": encrypted}):
        site.ask(put(a=[1], b=[1], c=[1]))
        site.ask(change_inside)

        assert site.ask(fields_of) == {"a": [1, 2], "c": [1], "n": 1}


@pytest.mark.parametrize("encrypted", [[], ["b"], "*"], ids=["none", "one", "all"])
def test_what_is_taken_over_may_be_changed_at_once(site: Site, encrypted: Any) -> None:
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
    with get_engine().edit(str(first.handle)) as other:
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
def test_a_key_rotated_beside_a_changed_password_keeps_that(site: Site, how: str) -> None:
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


def test_a_request_under_a_replaced_id_leaves_the_cookie_alone(site: Site) -> None:
    """The response to the login, which the browser got first, stays in force."""
    site.ask(put(n=1))
    tab = site.twin()
    site.ask(sign_in)

    response = tab.get(fields_of)

    assert response.json() == {"value": {}}
    assert "sessionid" not in response.cookies
    assert site.ask(name_of) == "ada"


def test_nobody_chooses_a_session_key(site: Site) -> None:
    """A key that Django did not make opens nothing and is not adopted."""
    site.client.cookies["sessionid"] = "a" * 66
    site.ask(put(n=1))

    assert site.cookie != "a" * 66
    assert SessionStore("a" * 66).exists("a" * 66) is False


def test_what_is_stored_opens_nothing(site: Site) -> None:
    site.ask(put(n=1))
    handle = site.ask(lambda request: request.session.handle)
    record = get_engine().requests.store.get(handle)

    assert record is not None
    assert str(site.cookie).split(".")[2] not in repr(record)
    assert SessionStore().exists(handle) is False


def test_a_rotation_of_the_secret_key_signs_nobody_out(site: Site) -> None:
    """The next request, if it reads alone, brings row and cookie under the new key."""
    store, old, new = MemoryStore(), new_secret(), new_secret()
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=old):
        site.ask(put(n=1))
    before = site.cookie
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]):
        assert site.ask(fields_of) == {"n": 1}
    assert site.cookie != before
    with override_settings(FLUIDAUTH={"store": store}, SECRET_KEY=new):
        assert site.ask(fields_of) == {"n": 1}


def test_timeouts_of_the_engine_bound_those_of_django() -> None:
    """The absolute one the age; the idle one counts from each use, which then saves the session."""
    now = [1_800_000_000.0]
    store = MemoryStore(clock=lambda: now[0])
    options = {"store": store, "absolute_timeout": 7_200, "idle_timeout": 600}
    with override_settings(FLUIDAUTH=options):
        get_engine().requests._clock = lambda: now[0]
        session = SessionStore()
        session["n"] = 1
        session.save()
        for _ in range(11):
            now[0] += 590
            session = SessionStore(session.session_key)
            assert session["n"] == 1
            assert session.modified
            session.save()
        now[0] += 590

        assert "n" in SessionStore(session.session_key)
        now[0] += 130
        assert "n" not in SessionStore(session.session_key)


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
def test_any_store_serves(site: Site, kind: str, tmp_path: Path) -> None:
    with opened(kind, tmp_path) as store, override_settings(FLUIDAUTH={"store": store}):
        site.ask(sign_in)
        site.ask(put(cart=["tea"]))

        assert site.ask(lambda request: [name_of(request), fields_of(request)]) == ["ada", {"cart": ["tea"]}]


class FailingStore(MemoryStore):
    failing = ""

    def get(self, handle: str) -> Any:
        if self.failing == "get":
            raise StoreError("out of order")
        return super().get(handle)

    def update(self, record: Any) -> bool:
        if self.failing == "update":
            raise StoreError("out of order")
        return super().update(record)


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_failing_store_is_a_503_and_costs_no_cookie(site: Site, verb: str) -> None:
    store = FailingStore()
    with override_settings(FLUIDAUTH={"store": store}):
        site.ask(put(n=1))
        store.failing = verb
        response = site.get(put(n=2))
        store.failing = ""

        assert response.status_code == 503
        assert "sessionid" not in response.cookies
        assert site.ask(fields_of) == {"n": 1}


@sync_and_async_middleware  # type: ignore[untyped-decorator]  # Django has no types
def looking(get_response: Any) -> Any:
    """A middleware that needs the session before the view."""
    if iscoroutinefunction(get_response):

        async def awaited(request: Any) -> Any:
            await request.session.aget("n")
            return await get_response(request)

        return awaited

    def called(request: Any) -> Any:
        request.session.get("n")
        return get_response(request)

    return called


def looking_afterwards(get_response: Any) -> Any:
    """One that needs it when the view has answered."""

    def called(request: Any) -> Any:
        response = get_response(request)
        request.session.get("n")
        return response

    return called


OUTER, *_ = django_settings.MIDDLEWARE
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
NEEDY = {
    "login required": (AUTHENTICATION, "django.contrib.auth.middleware.LoginRequiredMiddleware"),
    "before": (f"{__name__}.looking",),
    "after": (f"{__name__}.looking_afterwards",),
}


def error_page(request: Any) -> HttpResponse:
    return HttpResponse("sorry", status=500)


def error_page_with_session(request: Any) -> HttpResponse:
    return HttpResponse(f"sorry, {request.session.get('n')}", status=500)


@pytest.mark.requirement("52")
@pytest.mark.parametrize("page", [error_page, error_page_with_session])
@pytest.mark.parametrize("needy", NEEDY)
def test_a_middleware_that_needs_a_failing_store_is_a_503(
    site: Site, needy: str, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a view is, whatever the page for errors does; it costs no cookie."""
    store = FlakyStore()
    monkeypatch.setattr(django_site, "handler500", page, raising=False)
    with override_settings(FLUIDAUTH={"store": store}):
        site.ask(sign_in)
        with override_settings(MIDDLEWARE=[OUTER, *NEEDY[needy]]):
            tab = site.twin()
            tab.client.raise_request_exception = False
            store.broken = {"get"}
            response = tab.get(bool)
            store.broken = set()
            after = tab.get(bool)

    assert (response.status_code, list(response.cookies)) == (503, [])
    assert response.headers["Retry-After"]
    assert after.status_code == 200


def test_an_error_of_the_application_stays_one(site: Site) -> None:
    """Also if the store failed before it, and answers again."""
    store = FlakyStore()

    def recover(request: Any) -> None:
        store.broken = {"get"}
        with pytest.raises(StoreError):
            request.session.get("n")
        store.broken = set()
        request.session.get("n")
        raise ZeroDivisionError

    with override_settings(FLUIDAUTH={"store": store}):
        site.ask(put(n=1))
        site.client.raise_request_exception = False
        response = site.get(recover)

    assert response.status_code == 500


CALLS: dict[str, Any] = {
    "exists": lambda session, key: session.exists(key),
    "load": lambda session, key: session.load(),
    "get": lambda session, key: session.get("n"),
    "delete": lambda session, key: session.delete(key),
    "delete by default": lambda session, key: session.delete(),
    "flush": lambda session, key: session.flush(),
    "save": lambda session, key: [session.clear(), session.save()],
    "cycle_key": lambda session, key: session.cycle_key(),
    "create": lambda session, key: [session.clear(), session.create()],
    "handle": lambda session, key: session.handle,
    "aexists": lambda session, key: asyncio.run(session.aexists(key)),
    "aload": lambda session, key: asyncio.run(session.aload()),
    "adelete": lambda session, key: asyncio.run(session.adelete(key)),
    "adelete by default": lambda session, key: asyncio.run(session.adelete()),
    "aflush": lambda session, key: asyncio.run(session.aflush()),
    "asave": lambda session, key: [session.clear(), asyncio.run(session.asave())],
    "acycle_key": lambda session, key: asyncio.run(session.acycle_key()),
    "acreate": lambda session, key: [session.clear(), asyncio.run(session.acreate())],
}


@pytest.mark.requirement("25", "59")
@pytest.mark.parametrize("call", CALLS)
def test_no_session_key_is_in_what_a_failing_store_leads_to(call: str) -> None:
    """Error reporters send the local variables of each frame, and of the errors behind an error."""
    store = FlakyStore()
    with override_settings(FLUIDAUTH={"store": store}):
        first = SessionStore()
        first["n"] = 1
        first.save()
        key = str(first.session_key)
        store.broken = {"get", "create", "delete"}
        with pytest.raises(StoreError) as caught:
            CALLS[call](SessionStore(key), key)

    error: BaseException | None = caught.value
    shown = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename) != Path(__file__):
                shown += [f"{frame.f_code.co_name}: {local!r}" for local in frame.f_locals.values()]
        error = error.__cause__ or error.__context__

    assert shown
    assert [text for text in shown if key in text or key[9:41] in text] == []


@pytest.mark.requirement("4")
@pytest.mark.parametrize("awaits", [False, True])
def test_a_key_that_is_rotated_unread_is_dead(awaits: bool) -> None:
    """Its fields were cleared, so that nothing was read."""
    session = SessionStore()
    session["n"] = 1
    session.save()
    former, session = session.session_key, SessionStore(session.session_key)

    session.clear()
    if awaits:
        async_to_sync(session.acycle_key)()
    else:
        session.cycle_key()

    assert session.session_key != former
    assert not SessionStore().exists(former)


@pytest.mark.requirement("59")
@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_session_is_not_copied(copied: Any) -> None:
    """Its key opens it."""
    session = SessionStore()
    session["n"] = 1
    session.save()

    with pytest.raises(TypeError, match="SessionStore cannot be pickled or copied"):
        copied(session)


def test_no_cache_keeps_a_session(site: Site) -> None:
    assert "no-store" in site.get(put(n=1)).headers["Cache-Control"]
    assert "Cache-Control" not in site.get(fields_of).headers


def test_an_emptied_session_goes_on(site: Site) -> None:
    def empty_and_fill(request: Any) -> None:
        request.session.clear()
        request.session.save()
        request.session["n"] = 2

    site.ask(put(n=1))
    site.ask(empty_and_fill)

    assert site.ask(fields_of) == {"n": 2}


# -- settings ------------------------------------------------------------------------------------


def ids() -> list[str]:
    return [str(found.id) for found in check_settings()]


def test_good_settings_pass_the_checks() -> None:
    assert ids() == []
    call_command("check", verbosity=0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": "django-insecure-" + "x" * 50}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"stores": "sqlite:///x"}}, "fluidauth.E001"),
        ({"FLUIDAUTH": ["store"]}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"secret": new_secret(), "keyring": "keys.json"}}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"store": MemoryStore(), "idle_timeout": 0}}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"store": "sqlite:////nowhere/at/all.db"}}, "fluidauth.E001"),
        ({"FLUIDAUTH": {"store": MemoryStore(), "on_event": "no.such.module"}}, "fluidauth.E001"),
        ({"SESSION_SERIALIZER": "tests.integrations.test_django.Pickling"}, "fluidauth.E003"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.db"}, "fluidauth.W001"),
    ],
)
def test_bad_settings_are_told(changes: dict[str, Any], expected: str) -> None:
    with override_settings(**{"FLUIDAUTH": {"store": MemoryStore()}, **changes}):
        assert ids() == [expected]


def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").write_text("no database, but a text of some length " * 40)
    with override_settings(FLUIDAUTH={"store": f"sqlite:///{tmp_path}/sessions.db"}):
        assert ids() == ["fluidauth.E002"]


class Pickling:
    def dumps(self, value: Any) -> bytes:
        return b"\x80" + repr(value).encode()

    def loads(self, data: bytes) -> Any:
        raise NotImplementedError


def test_a_serializer_that_writes_no_json_is_refused() -> None:
    with override_settings(SESSION_SERIALIZER="tests.integrations.test_django.Pickling"):
        session = SessionStore()
        session["n"] = 1
        with pytest.raises(ConfigError, match="Pickling"):
            session.save()


@pytest.mark.parametrize("by_path", [False, True])
def test_a_keyring_file_signs(tmp_path: Path, by_path: bool) -> None:
    """Whatever ``SECRET_KEY`` is; and a function, or the path of one, hears of events."""
    path, heard = tmp_path / "keys.json", len(EVENTS)
    keyfile.change(path, lambda empty: empty.added(new_secret(), int(time.time())))
    on_event = "tests.integrations.test_django.note" if by_path else note
    options = {"store": MemoryStore(), "keyring": str(path), "on_event": on_event}
    with override_settings(FLUIDAUTH=options, SECRET_KEY="weak"):
        session = SessionStore()
        session["n"] = 1
        session.save()

        assert dict(SessionStore(session.session_key).items()) == {"n": 1}
    assert [event.name for event in EVENTS[heard:]] == ["session_created"]


EVENTS: list[Any] = []


def note(event: Any) -> None:
    EVENTS.append(event)


def test_a_session_that_ended_cannot_be_saved() -> None:
    session = SessionStore()
    session["n"] = 1
    session.save()
    SessionStore(session.session_key).delete()

    session["n"] = 2
    with pytest.raises(UpdateError):
        session.save()
    with pytest.raises(UpdateError):
        asyncio.run(session.asave())
