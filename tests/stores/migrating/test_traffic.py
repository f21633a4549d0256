"""A service goes to another store under traffic."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fluidauth import SessionEngine
from fluidauth.keys import new_secret
from fluidauth.maintenance.move import move_all
from fluidauth.stores.migrating import MigratingStore
from fluidauth.stores.urls import store_from_url
from harness.history import Answer, OverHTTP, load_on, problems_in
from harness.servers.postgres import empty_postgres
from harness.servers.processes import serving
from harness.servers.redis import empty_redis, shared_cluster
from harness.visitor import Visitor
from tests.support import ON_THE_CLUSTER

IDLE = 200  # sessions that nobody uses meanwhile
LOAD = 60  # operations in each state of the roll-out


class Fleet:
    """The servers that serve at the moment; each request goes to any of them."""

    def __init__(self, *urls: str) -> None:
        self._urls = urls
        self._under_way = Counter[str]()
        self._ended = threading.Condition()

    def serve(self, *urls: str) -> None:
        """Let *urls* alone serve; return when no other is answering a request any more.

        As a roll-out does: a server of one step is not asked while those of the next but one are.
        """
        with self._ended:
            self._urls = urls
            self._ended.wait_for(lambda: all(url in urls for url in +self._under_way))

    def ask(self, kind: str, key: str, value: str, cookie: str) -> Answer:
        with self._ended:
            url = random.choice(self._urls)
            self._under_way[url] += 1
        try:
            return OverHTTP(url).ask(kind, key, value, cookie)
        finally:
            with self._ended:
                self._under_way[url] -= 1
                self._ended.notify_all()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "make_place",
    [
        pytest.param(empty_redis, marks=pytest.mark.check),
        pytest.param(empty_postgres, marks=pytest.mark.check),
        pytest.param(lambda: shared_cluster().url, marks=[pytest.mark.matrix, ON_THE_CLUSTER], id="cluster"),
    ],
)
def test_a_service_goes_to_another_store_under_traffic(
    make_place: Callable[[], str], tmp_path: Path, visitor: Visitor
) -> None:
    """Step by step, with servers of each step side by side: nothing is lost, nobody is logged out."""
    secret, old, new = new_secret(), f"sqlite:///{tmp_path / 'sessions.db'}", make_place()
    with closing(SessionEngine(secret, old)) as engine:
        idle = [engine.create_session(f"user-{number}")[0] for number in range(IDLE)]
    places = (old, f"{old} + {new}", f"{old} -> {new}", new)
    with ExitStack() as stack:
        urls = [
            stack.enter_context(
                serving(server, tmp_path / "unused.db", secret, environ={"FLUIDAUTH_DATABASE": place})
            )
            for server, place in zip(("gunicorn", "uvicorn") * 2, places, strict=True)
        ]
        fleet = Fleet(urls[0])
        with load_on(fleet, steps=30) as history:
            for serves in (urls[:1], urls[:2], urls[1:2], urls[1:3], urls[2:3]):
                fleet.serve(*serves)
                history.await_more(LOAD)
            with closing(store_from_url(places[2])) as both:
                assert isinstance(both, MigratingStore)
                *_, totals = move_all(both, int(time.time()))
                left = both.old.scan()
            for serves in (urls[2:4], urls[3:4]):
                fleet.serve(*serves)
                history.await_more(LOAD)
        signed_in = [Visitor(visitor.http, token).ask(f"{urls[3]}/whoami") for token in idle]

    assert problems_in(history) == []
    assert history.count("refused") == 0
    assert totals.done >= IDLE
    assert left == []
    assert signed_in == [f"user-{number}" for number in range(IDLE)]
