"""A store that does not answer when the application starts, and does later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpResponse
from django.test import override_settings
from django.utils.decorators import sync_and_async_middleware

from fluidauth.integrations.django import get_engine, session_of
from harness.servers.redis import OwnRedis, until
from tests.integrations.django.sites import MIDDLEWARE, Site, fields_of, put

NewRedis = Callable[..., OwnRedis]


def look(request: Any) -> None:
    request.session.get("n")


def ask_engine(request: Any) -> None:
    get_engine().list_sessions("ada")


def ask_facts(request: Any) -> None:
    assert session_of(request).handle


USES = (look, ask_engine, ask_facts, put(n=1))


def around(use: Callable[[Any], Any], when: str) -> Any:
    """Return a middleware that needs the store before the view, or after it."""

    @sync_and_async_middleware  # type: ignore[untyped-decorator]  # Django has no types
    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def awaited(request: Any) -> Any:
                if when == "before":
                    await sync_to_async(use)(request)
                response = await get_response(request)
                if when == "after":
                    await sync_to_async(use)(request)
                return response

            return awaited

        def called(request: Any) -> Any:
            if when == "before":
                use(request)
            response = get_response(request)
            if when == "after":
                use(request)
            return response

        return called

    return middleware


needy: Any = None
"""The middleware of the test, by this module's name."""


@pytest.mark.requirement("52")
@pytest.mark.parametrize("when", ["view", "before", "after"])
@pytest.mark.parametrize("use", USES, ids=["read", "engine", "facts", "write"])
def test_store_that_is_late_is_a_503_until_it_comes(
    site: Site, new_redis: NewRedis, use: Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody starts anything again; pages that need no session are there meanwhile; no cookie is lost."""
    server = new_redis()
    ours, *others = MIDDLEWARE["ours"]
    options = {"FLUIDAUTH": {"store": server.url}}
    with override_settings(**options):
        site.ask(put(n=1))
        with server.client as client:
            client.save()
        get_engine().close()
    server.kill()
    monkeypatch.setitem(globals(), "needy", around(use, when))
    with override_settings(**options, MIDDLEWARE=[ours, f"{__name__}.needy", *others]):
        tab = site.twin()
        tab.client.raise_request_exception = False

        idle = tab.get(bool) if when == "view" else None
        down = tab.get(use if when == "view" else bool)
        again = tab.get(use if when == "view" else bool)
        server.start()
        until(lambda: tab.get(use if when == "view" else bool).status_code == 200)

        assert [(each.status_code, list(each.cookies)) for each in (down, again)] == [(503, []), (503, [])]
        assert down.headers["Retry-After"]
        assert idle is None or idle.status_code == 200
        assert tab.ask(fields_of) == {"n": 1}
        get_engine().close()


def test_late_store_under_djangos_middleware_is_a_500_until_it_comes(site: Site, new_redis: NewRedis) -> None:
    server = new_redis()
    server.kill()
    with override_settings(FLUIDAUTH={"store": server.url}, MIDDLEWARE=MIDDLEWARE["Django's"]):
        site.client.raise_request_exception = False

        assert [site.get(bool).status_code, site.get(put(n=1)).status_code] == [200, 500]
        server.start()
        until(lambda: site.get(put(n=1)).status_code == 200)
        assert site.ask(fields_of) == {"n": 1}
        get_engine().close()


def test_application_that_fails_after_a_late_store_came_fails(site: Site, new_redis: NewRedis) -> None:
    """Its error is a 500, whatever the store did before."""
    server = new_redis()
    server.kill()

    def recover(request: Any) -> HttpResponse:
        with pytest.raises(Exception, match="Redis"):
            get_engine().list_sessions("ada")
        server.start()
        until(is_there)
        raise ZeroDivisionError

    with override_settings(FLUIDAUTH={"store": server.url}):
        site.client.raise_request_exception = False

        assert site.get(recover).status_code == 500
        get_engine().close()


def is_there() -> bool:
    try:
        return get_engine().list_sessions("ada") == []
    except Exception:
        return False
