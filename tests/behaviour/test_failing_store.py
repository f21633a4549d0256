"""Requests whose store fails: a 503, and nobody loses a session by it."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Session, StoreError
from fluidauth.events import SessionEvent
from fluidauth.testing import FakeClock
from tests.handlers import broken, fields, nothing, write
from tests.support import Browser

# -- a store out of order -----------------------------------------------------------------


@pytest.mark.requirement("52")
@pytest.mark.parametrize("handler", [fields, write, Session.logout, lambda s: s.login("other")])
def test_a_failed_load_is_a_503(flaky: Browser, handler: Any, events: list[SessionEvent]) -> None:
    """An outage is never an anonymous session and never clears a cookie."""
    broken(flaky, "get")

    response = flaky.request(handler)

    assert response.status == 503
    assert response.all("retry-after") == ["5"]
    assert response.all("cache-control") == ["no-store"]
    assert response.set_cookies == []
    assert ("store_error", "load") in [(event.name, event.reason) for event in events]


@pytest.mark.requirement("52")
@pytest.mark.parametrize("handler", [write, Session.regenerate, lambda s: s.login("other")])
def test_a_failed_save_is_a_503(flaky: Browser, handler: Any, events: list[SessionEvent]) -> None:
    """No success is told that never happened; after the outage the session is as it was."""
    store = broken(flaky, "update", "delete", "replace", "create")

    response = flaky.request(handler)
    store.broken = set()

    assert response.status == 503
    assert response.set_cookies == []
    assert response.body == b"The service is temporarily unavailable. Please try again.\n"
    assert ("store_error", "save") in [(event.name, event.reason) for event in events]
    assert flaky.get(lambda s: (s.user_id, dict(s))) == ("user-42", {"a": 0})


@pytest.mark.requirement("52")
def test_pages_that_never_look_are_served(flaky: Browser) -> None:
    """An outage stops only those that need their session."""
    broken(flaky, "get", "update")

    response = flaky.request(nothing)

    assert (response.status, response.headers) == (200, [])


@pytest.mark.requirement("52")
def test_failed_touch_fails_no_request(flaky: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
    """Prolonging a session is best effort; the response goes out, and the log tells."""
    broken(flaky, "touch")
    clock.advance(600)

    response = flaky.request(fields)

    assert (response.status, response.value) == (200, {"a": 0})
    assert ("store_error", "refresh") in [(event.name, event.reason) for event in events]


@pytest.mark.requirement("52")
def test_a_500_made_of_a_failed_load_is_a_503(flaky: Browser) -> None:
    """Frameworks turn every exception into a 500 head; the client is told to come back."""
    broken(flaky, "get")

    def handler(session: Session) -> None:
        with pytest.raises(StoreError):
            dict(session)

    response = flaky.request(handler, status=500)

    assert response.status == 503


@pytest.mark.requirement("52")
def test_an_application_may_handle_a_failed_load(flaky: Browser) -> None:
    """A page that can do without its session answers as it likes."""
    broken(flaky, "get")

    def handler(session: Session) -> str:
        with pytest.raises(StoreError):
            dict(session)
        return "guest"

    response = flaky.request(handler)

    assert (response.status, response.value, response.set_cookies) == (200, "guest", [])


@pytest.mark.parametrize("call", ["get", "update"])
def test_errors_may_be_left_to_the_framework(flaky: Browser, call: str) -> None:
    """on_store_error="raise" hands the error on instead of answering 503."""
    strict = Browser(flaky.protocol, flaky.engine, on_store_error="raise")
    strict.cookie = flaky.cookie
    broken(flaky, call)

    response = strict.request(write, catch=True)

    assert isinstance(response.error, StoreError)
    assert response.status == 0


def test_a_failed_load_is_not_tried_again(flaky: Browser) -> None:
    """One time limit a request is enough; reload() tries anew."""
    store = broken(flaky, "get")

    def handler(session: Session) -> list[str]:
        for _ in range(3):
            with pytest.raises(StoreError):
                session.get("a")
        return list(store.calls)

    assert flaky.get(handler) == ["get"]


# -- what reviewers of this library tried -----------------------------------------------------


@pytest.mark.requirement("52")
def test_a_503_hands_out_a_new_id_that_is_stored(flaky: Browser) -> None:
    """After a login was saved, a later failure must not leave the browser with a dead id."""
    store = broken(flaky)

    def handler(session: Session) -> None:
        session.login("other")
        if flaky.protocol == "wsgi":
            session.save()
            store.broken = {"update"}
            session["z"] = 1

    async def ahandler(session: Session) -> None:
        session.login("other")
        await session.asave()
        store.broken = {"update"}
        session["z"] = 1

    response = flaky.request(handler if flaky.protocol == "wsgi" else ahandler)
    store.broken = set()

    assert response.status == 503
    assert flaky.get(lambda session: session.user_id) == "other"


@pytest.mark.requirement("52")
def test_a_500_made_of_a_failed_save_is_a_503(flaky: Browser) -> None:
    """Also where the application saved by itself and its framework caught the error."""
    broken(flaky, "update")

    def handler(session: Session) -> None:
        session["x"] = 1
        with pytest.raises(StoreError):
            session.save()

    response = flaky.request(handler, status=500)

    assert response.status == 503
