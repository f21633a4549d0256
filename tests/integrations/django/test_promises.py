"""What holds in Django beyond what it documents: secrets, stores that fail, keys."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.conf import settings as django_settings
from django.contrib import auth
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.utils.decorators import sync_and_async_middleware

from fluidauth import MemoryStore, SessionEvent, StoreError
from fluidauth.integrations.django import SessionStore, asession_of, get_engine
from fluidauth.keys import new_secret
from tests.integrations import django_site
from tests.integrations.django.sites import Site, fields_of, handle_in, handle_of, name_of, put, sign_in
from tests.support import FlakyStore, opened

# -- what it does not promise --------------------------------------------------------------------


def test_a_request_under_a_replaced_id_leaves_the_cookie_alone(site: Site) -> None:
    """The response to the login, which the browser got first, stays in force."""
    site.ask(put(n=1))
    tab = site.twin()
    site.ask(sign_in)

    response = tab.get(fields_of)

    assert response.json() == {"value": {}}
    assert "sessionid" not in response.cookies
    assert site.ask(name_of) == "ada"


def test_session_key_that_was_not_made_by_django_is_not_adopted(site: Site) -> None:
    """A key that Django did not make opens nothing and is not adopted."""
    site.client.cookies["sessionid"] = "a" * 66
    site.ask(put(n=1))

    assert site.cookie != "a" * 66
    assert SessionStore("a" * 66).exists("a" * 66) is False


def test_stored_key_opens_no_session(site: Site) -> None:
    site.ask(put(n=1))
    handle = site.ask(handle_of)
    record = get_engine().requests.store.get(handle)

    assert record is not None
    assert str(site.cookie).split(".")[2] not in repr(record)
    assert SessionStore().exists(handle) is False


def test_rotation_of_secret_key_keeps_sessions(site: Site) -> None:
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
        get_engine().requests.clock = lambda: now[0]
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


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_failing_store_is_a_503_and_costs_no_cookie(site: Site, verb: str) -> None:
    store = FlakyStore()
    with override_settings(FLUIDAUTH={"store": store}):
        site.ask(put(n=1))
        store.broken = {verb}
        response = site.get(put(n=2))
        store.broken = set()

        assert response.status_code == 503
        assert "sessionid" not in response.cookies
        assert site.ask(fields_of) == {"n": 1}


@pytest.mark.requirement("52")
def test_a_logout_that_failed_is_carried_out_later(site: Site) -> None:
    """When another request has been answered, whoever's."""
    store, events = FlakyStore(), list[SessionEvent]()
    with override_settings(FLUIDAUTH={"store": store, "on_event": events.append}):
        site.ask(sign_in)
        tab = site.twin()
        store.broken = {"delete"}
        failed = site.get(auth.logout)
        store.broken = set()
        get_engine().requests.clock = lambda: time.time() + 61  # it was tried again at once, in vain
        seen = tab.ask(fields_of)

    assert failed.status_code == 503
    assert seen == {}
    assert [record.handle for record in store.scan() if record.user_id] == []
    assert ("session_revoked", "late") in [(event.name, event.reason) for event in events]


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


@pytest.mark.requirement("5")
@pytest.mark.requirement("68")
@pytest.mark.parametrize("status", [500, 503])
def test_a_stream_of_a_500_keeps_no_change(site: Site, status: int) -> None:
    """Neither what the page changed before it, nor what its body does."""
    site.ask(put(n=1))

    def fail(request: Any) -> StreamingHttpResponse:
        def body() -> Iterator[bytes]:
            yield b"sorry"
            request.session["later"] = 3

        request.session["n"] = 2
        return StreamingHttpResponse(body(), status=status)

    response: Any = site.get(fail)
    told = response.getvalue()
    response.close()

    assert (response.status_code, told) == (status, b"sorry")
    assert site.ask(fields_of) == {"n": 1}


@pytest.mark.requirement("68")
def test_a_stream_that_raises_keeps_no_change_of_its_own(site: Site) -> None:
    """As a page that raises; what was saved with the head stands."""

    def fail(request: Any) -> StreamingHttpResponse:
        def body() -> Iterator[bytes]:
            yield b"begun"
            request.session["later"] = 3
            raise RuntimeError("amid")

        request.session["n"] = 2
        return StreamingHttpResponse(body())

    response: Any = site.get(fail)
    with pytest.raises(RuntimeError):
        response.getvalue()
    response.close()

    assert site.ask(fields_of) == {"n": 2}


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
    "session_of": lambda session, key: handle_in(session),
    "asession_of": lambda session, key: asyncio.run(asession_of(SimpleNamespace(session=session))),
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
def test_failing_store_shows_no_session_key_in_its_traceback(call: str) -> None:
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
