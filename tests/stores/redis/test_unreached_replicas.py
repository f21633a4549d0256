"""With ``wait_replicas`` nothing that ends a session succeeds before a replica has it.

A primary whose replica is cut off is asked, again and by several processes. That a session is
not found there any more proves nothing: the replica, which takes over when the primary dies, has it still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from fluidauth import Session, SessionEngine, StoreError
from fluidauth.engine.housekeeping import tidy
from fluidauth.errors import NotEnded
from fluidauth.events import SessionEvent
from fluidauth.keys import new_secret
from fluidauth.stores.redis import RedisStore
from fluidauth.testing.proxy import Proxy
from harness.servers.redis import EXECUTABLES, NewRedis, until
from tests.support import Browser, Protocol


class Pair:
    """A primary and its replica, with what cuts them off from one another in between."""

    def __init__(self, kind: str, new_redis: NewRedis, engines: ExitStack) -> None:
        self.kind = kind
        self.primary = new_redis("--repl-diskless-sync-delay", "0", kind=kind)
        self.between = Proxy(("127.0.0.1", self.primary.port))
        self.replica = new_redis("--replicaof", "127.0.0.1", str(self.between.port), kind=kind)
        self._secret = new_secret()
        self._engines = engines
        self.events: list[SessionEvent] = []
        until(lambda: self.replica.client.info("replication")["master_link_status"] == "up")

    def engine(self) -> SessionEngine:
        """Return the engine of another process."""
        store = RedisStore(self.primary.url, timeout=0.6, wait_replicas=1)
        return self._made(store)

    def after_failover(self) -> SessionEngine:
        """Let the primary die and the replica take its place."""
        self.primary.kill()
        self.between.close()
        self.replica.client.replicaof("no", "one")
        return self._made(RedisStore(self.replica.url))

    def _made(self, store: RedisStore) -> SessionEngine:
        engine = SessionEngine(self._secret, store, on_event=self.events.append)
        self._engines.callback(engine.close)
        return engine


@pytest.fixture(params=EXECUTABLES)
def pair(request: pytest.FixtureRequest, new_redis: NewRedis) -> Iterator[Pair]:
    with ExitStack() as engines:
        found = Pair(request.param, new_redis, engines)
        with closing(found.between):
            yield found


@pytest.fixture
def protocol(pair: Pair) -> Protocol:
    """One with each kind of server: what differs lies in the server and in the two ways to it."""
    return "wsgi" if pair.kind == "redis" else "asgi"


def log_in(session: Session) -> None:
    session.login("alice")


def log_out(session: Session) -> None:
    session.logout()


def user_of(session: Session) -> str | None:
    return session.user_id


@pytest.fixture
def alice(pair: Pair, protocol: Protocol) -> Browser:
    """Signed in, and the replica knows it; from now on that hears nothing."""
    browser = Browser(protocol, pair.engine())
    browser.request(log_in)
    pair.between.dam()
    return browser


@pytest.mark.requirement("4")
def test_a_logout_is_an_error_however_often_it_is_tried(pair: Pair, alice: Browser) -> None:
    """By the same process, by others, and behind everybody's back; then the replica may come."""
    others = [Browser(alice.protocol, pair.engine()).with_cookie(alice.cookie) for _ in range(2)]

    tries = [tab.request(log_out) for tab in (alice, alice.twin(), *others, alice.twin())]
    tidy(alice.engine.requests)

    assert [response.status for response in tries] == [503] * 5
    assert all(response.set_cookies == [] for response in tries)
    assert alice.twin().get(user_of) is None  # this process lets nobody in still
    pair.between.undam()
    assert alice.twin().request(log_out).status == 200
    gone = Browser(alice.protocol, pair.after_failover()).with_cookie(alice.cookie)
    assert gone.get(user_of) is None


def revoke_all(engine: SessionEngine, handle: str) -> Any:
    return engine.revoke_all()


def revoke_user(engine: SessionEngine, handle: str) -> Any:
    return engine.revoke_user("alice")


def delete_session(engine: SessionEngine, handle: str) -> Any:
    return engine.delete_session(handle)


@pytest.mark.requirement("4", "23")
@pytest.mark.parametrize("revoke", [revoke_all, revoke_user, delete_session])
def test_a_revocation_is_an_error_however_often_it_is_tried(
    pair: Pair, protocol: Protocol, revoke: Callable[[SessionEngine, str], Any]
) -> None:
    browser = Browser(protocol, pair.engine())
    browser.request(log_in)
    handle = str(browser.get(lambda session: session.handle))
    pair.between.dam()

    for engine in (browser.engine, browser.engine, pair.engine()):
        with pytest.raises((StoreError, NotEnded)):
            revoke(engine, handle)

    pair.between.undam()
    revoke(browser.engine, handle)
    gone = Browser(protocol, pair.after_failover()).with_cookie(browser.cookie)
    assert gone.get(user_of) is None


@pytest.mark.requirement("4", "23")
@pytest.mark.parametrize("revoke", [revoke_all, revoke_user, delete_session])
def test_an_empty_primary_proves_nothing(
    pair: Pair, alice: Browser, revoke: Callable[[SessionEngine, str], Any]
) -> None:
    """It came back without its data, say; the replica has them still."""
    handle = str(alice.get(lambda session: session.handle))
    pair.primary.client.flushall()

    with pytest.raises((StoreError, NotEnded)):
        revoke(alice.engine, handle)
    assert Browser(alice.protocol, pair.engine()).with_cookie(alice.cookie).request(log_out).status == 503


@pytest.mark.requirement("3")
def test_new_id_of_an_anonymous_session_is_an_error_without_its_replica(
    pair: Pair, protocol: Protocol
) -> None:
    browser = Browser(protocol, pair.engine())
    browser.request(lambda session: session.update(a=1))
    pair.between.dam()

    assert browser.request(Session.regenerate).status == 503


@pytest.mark.requirement("3")
@pytest.mark.parametrize("renew", [Session.regenerate, log_in])
def test_a_new_id_is_an_error_while_a_replica_knows_the_old_one(
    pair: Pair, alice: Browser, renew: Callable[[Session], None]
) -> None:
    """Else the old one would live after a failover, and a logout under the new one would not end it."""
    response = alice.request(renew)

    assert (response.status, response.set_cookies) == (503, [])


@pytest.mark.requirement("4")
def test_a_logout_whose_answer_is_lost_is_confirmed_by_the_next(pair: Pair, protocol: Protocol) -> None:
    """The second connection finds nothing to delete, and waits for the replica all the same."""
    with closing(Proxy(("127.0.0.1", pair.primary.port))) as way:
        engine = SessionEngine(
            pair._secret, RedisStore(f"redis://127.0.0.1:{way.port}", timeout=0.6, wait_replicas=1)
        )
        browser = Browser(protocol, engine)
        browser.request(log_in)
        pair.between.dam()
        way.cut_after(b"EVALSHA")

        response = browser.request(log_out)
        engine.close()

    assert response.status == 503
