"""A change whose answer was lost is made once, or is an error, whatever others wrote meanwhile.

A proxy carries the change to the server, lets others go first, and then breaks the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from fluidauth import Session, SessionEngine, StoreError
from fluidauth.errors import OutcomeUnknown
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.stores.base import SessionStore
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.scripts import DELETE, REPLACE, UPDATE
from fluidauth.testing.proxy import Proxy
from harness.servers.postgres import address_of, empty_postgres
from harness.servers.redis import empty_redis
from tests.support import Browser, FlakyStore, Protocol, live_sessions

pytestmark = pytest.mark.requirement("65")


class Server:
    """A server with a proxy before it: stores that reach it past the proxy, and through it."""

    def __init__(self, kind: str) -> None:
        self._url = empty_redis() if kind == "redis" else empty_postgres()
        self._is_redis = kind == "redis"
        near = self.near()
        if isinstance(near, RedisStore):
            [place] = near.settings.places
            self.proxy = Proxy(tuple(place) if place.port else place.host)
        else:
            self.proxy = Proxy(address_of(self._url))

    def near(self) -> SessionStore:
        return RedisStore(self._url) if self._is_redis else PostgresStore(self._url)

    def far(self) -> SessionStore:
        if self._is_redis:
            return RedisStore(f"redis://127.0.0.1:{self.proxy.port}")
        # Without preparation each statement goes over the wire in words.
        return PostgresStore(make_conninfo(self._url, host="127.0.0.1", port=self.proxy.port), prepare=False)

    def words(self, call: str) -> bytes:
        """Return what can be seen of *call* on its way to the server."""
        if self._is_redis:
            return {"update": UPDATE, "replace": REPLACE, "delete": DELETE}[call].sha
        return {"update": b"SET user_id", "replace": b"WITH buried", "delete": b"DELETE FROM"}[call]

    def lose(self, call: str, meanwhile: Callable[[], object] = bool) -> None:
        """Have the answer to the next *call* lost, after *meanwhile*."""
        self.proxy.cut_after(self.words(call), meanwhile)


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(request.param)
    with closing(server.proxy):
        yield server


@pytest.fixture
def alice(server: Server, protocol: Protocol, events: list[SessionEvent]) -> Iterator[Browser]:
    """Signed in, through the proxy."""
    with closing(SessionEngine(new_secret(), server.far(), on_event=events.append)) as engine:
        browser = Browser(protocol, engine)
        browser.request(log_in)
        yield browser


@pytest.fixture
def tab(server: Server, alice: Browser) -> Iterator[Browser]:
    """Another client with the same cookie, past the proxy."""
    with closing(SessionEngine(alice.engine.policy.keyring, server.near())) as engine:
        yield Browser(alice.protocol, engine).with_cookie(alice.cookie)


def log_in(session: Session) -> None:
    session.login("alice", {"n": 0, "log": []})


def count(session: Session) -> None:
    session.add("n")
    session.append("log", "mine")


def write(session: Session) -> None:
    session["other"] = session.get("other", 0) + 1


def fields(session: Session) -> Any:
    return dict(session)


ONCE = {"n": 1, "log": ["mine"]}


def test_lost_answer_without_another_write_is_made_once(server: Server, alice: Browser, tab: Browser) -> None:
    server.lose("update")
    assert alice.request(count).status == 200
    assert tab.get(fields) == ONCE


def test_lost_answer_before_another_write_is_made_once(server: Server, alice: Browser, tab: Browser) -> None:
    """Whose write lies where the proof of ours was: nobody can know any more, and nobody guesses."""
    server.lose("update", lambda: tab.request(write))
    assert alice.request(count).status == 503
    assert tab.get(fields) == {**ONCE, "other": 1}


def test_lost_request_is_merged_with_another_write(server: Server, alice: Browser, tab: Browser) -> None:
    """The connection breaks before the server hears of it, and another writes first."""

    def late(session: Session) -> None:
        count(session)
        tab.request(write)
        server.proxy.cut_before(server.words("update"))

    assert alice.request(late).status == 200
    assert tab.get(fields) == {**ONCE, "other": 1}


@pytest.mark.parametrize("again", [Session.save, Session.regenerate, lambda session: session.login("alice")])
def test_the_request_itself_does_not_make_it_again(
    server: Server, alice: Browser, tab: Browser, again: Callable[[Session], object]
) -> None:
    """It saved, was told of the failure, and goes on: the response is an error, unless that is sure."""

    def stubborn(session: Session) -> None:
        count(session)
        server.lose("update", lambda: tab.request(write))
        with pytest.raises(OutcomeUnknown):
            session.save()
        with pytest.raises(StoreError):
            again(session)
            session.save()

    assert alice.request(stubborn).status == 503
    assert tab.get(fields) == {**ONCE, "other": 1}


def test_a_new_id_is_given_once(server: Server, alice: Browser, tab: Browser) -> None:
    """The answer to a renewal is lost: what it took along is in the session once, and one lives."""

    def renew(session: Session) -> None:
        count(session)
        session.regenerate()

    server.lose("replace", lambda: tab.request(write))  # under the old id, so that it comes too late

    assert alice.request(renew).status == 200
    assert alice.twin().get(fields) == ONCE
    assert live_sessions(tab.engine) == 1


def test_a_logout_clears_the_cookie_and_is_told(
    server: Server, alice: Browser, events: list[SessionEvent]
) -> None:
    """It found nothing when it was made again, since it had been done."""
    server.lose("delete")
    response = alice.request(Session.logout)

    assert response.status == 200
    assert "Max-Age=0" in response.set_cookies[0]
    assert events[-1].name == "session_logout"
    assert events[-1].user_id == "alice"


def test_a_store_that_failed_may_have_done_it(protocol: Protocol) -> None:
    """Whatever the store: what it refused halfway is merged with nothing that others wrote."""
    outage = FlakyStore()
    with closing(SessionEngine(new_secret(), outage)) as engine:
        browser = Browser(protocol, engine)
        browser.request(log_in)

        def twice(session: Session) -> None:
            count(session)
            outage.broken = {"update"}
            with pytest.raises(StoreError):
                session.save()
            outage.broken = set()
            if others:
                browser.twin().request(write)

        others = False
        assert browser.request(twice).status == 200
        assert browser.get(fields) == ONCE
        others = True
        assert browser.request(twice).status == 503
        assert browser.get(fields) == {**ONCE, "other": 1}
