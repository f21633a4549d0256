"""Two tabs of one browser whose requests overlap, in threads, tasks and processes."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import pytest

from fluidauth import Session
from fluidauth.events import SessionEvent
from fluidauth.testing import FakeClock
from tests.support import (
    STORES,
    Browser,
    Response,
    apart,
    live_sessions,
    run_apart,
)

WORLDS = [
    *itertools.product(("wsgi", "asgi"), STORES, ("nested",)),
    *itertools.product(("wsgi",), STORES, ("threads",)),
    *itertools.product(("asgi",), STORES, ("tasks",)),
    *itertools.product(("wsgi", "asgi"), ("sqlite",), ("processes",)),
]
PATIENCE = 30  # seconds that one side waits for the other

START = {"a": 1, "n": 10, "log": []}


def fields(session: Session) -> dict[str, Any]:
    return dict(session)


def change(session: Session) -> None:
    session["a"] = "mine"
    session.add("n")
    session.append("log", "mine")


def log_in(session: Session) -> None:
    session.login("ann", {"t": 1})


class Tabs:
    """A tab whose request is overtaken by that of another tab."""

    def __init__(self, browser: Browser, clock: FakeClock, events: list[SessionEvent]) -> None:
        self.mine, self.clock, self.events = browser, clock, events
        self.mine.request(lambda session: session.update(START))
        self.other = self.mine.twin()

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        """Run *mine* in a request that has read its session before *meanwhile*."""

        def handler(session: Session) -> Any:
            assert dict(session) == START
            meanwhile()
            return mine(session)

        return self.mine.request(handler)

    @staticmethod
    def beside(request: Callable[[], Response], meanwhile: Callable[[], Any], turn: Turn) -> Response:
        """Run *request* in a thread; at its *turn*, *meanwhile* runs here."""
        with ThreadPoolExecutor(1) as executor:
            answer = executor.submit(request)
            assert turn.begun.wait(PATIENCE)
            try:
                meanwhile()
            finally:
                turn.end()
            return answer.result(PATIENCE)

    # What may happen meanwhile, by the names of the table's rows.

    def changed_others(self) -> None:
        def handler(session: Session) -> None:
            session["b"] = 2
            session.add("n", 5)
            session.append("log", "theirs")

        self.other.request(handler)

    def changed_same(self) -> None:
        self.other.request(lambda session: session.update(a="theirs"))

    def regenerated(self) -> None:
        self.other.request(Session.regenerate)

    def logged_in(self) -> None:
        self.other.request(lambda session: session.login("bob"))

    def logged_out(self) -> None:
        self.other.request(Session.logout)

    def revoked(self) -> None:
        apart(self.mine.engine.revoke_all)

    def expired(self) -> None:
        self.clock.advance(3_600)

    def rows(self) -> int:
        """How many sessions the store holds, tombstones aside."""
        return live_sessions(self.mine.engine)

    def dropped(self) -> list[str | None]:
        """The reasons of the writes dropped so far."""
        return [event.reason for event in self.events if event.name == "write_dropped"]


class Turn:
    """The moment, in one request, at which the other one passes."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.begun = threading.Event()
        self.end = end


class Threads(Tabs):
    """Two WSGI requests in two threads."""

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        passed = threading.Event()
        turn = Turn(passed.set)

        def handler(session: Session) -> Any:
            assert dict(session) == START
            turn.begun.set()
            assert passed.wait(PATIENCE)
            return mine(session)

        return self.beside(lambda: self.mine.request(handler), meanwhile, turn)


class Tasks(Tabs):
    """Two ASGI requests as tasks of one event loop."""

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        with running_loop() as loop:
            self.mine.run = self.other.run = lambda coroutine: asyncio.run_coroutine_threadsafe(
                coroutine, loop
            ).result(PATIENCE)
            passed = asyncio.Event()
            turn = Turn(lambda: loop.call_soon_threadsafe(passed.set))

            async def handler(session: Session) -> Any:
                await session.aload()
                assert dict(session) == START
                turn.begun.set()
                async with asyncio.timeout(PATIENCE):
                    await passed.wait()
                return mine(session)

            try:
                return self.beside(lambda: self.mine.request(handler), meanwhile, turn)
            finally:
                self.mine.run = self.other.run = run_apart


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop that runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_tasks() -> None:
    """Do as ``asyncio.run`` before a loop closes: a pool of connections has tasks of its own."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Processes(Tabs):
    """The other tab's requests are answered by another process on the same file."""

    def overtaken(self, mine: Callable[[Session], Any], meanwhile: Callable[[], Any]) -> Response:
        def in_child() -> None:
            context = multiprocessing.get_context("fork")
            here, there = context.Pipe()
            child = context.Process(target=self._answer, args=(meanwhile, there))
            child.start()
            there.close()  # so that a child that dies ends the wait
            assert here.poll(PATIENCE)
            self.other.cookie, now, events = here.recv()
            self.clock.advance(now - self.clock())
            self.events.extend(events)
            child.join(PATIENCE)
            assert child.exitcode == 0

        return super().overtaken(mine, in_child)

    def _answer(self, meanwhile: Callable[[], Any], there: Connection) -> None:
        self.events.clear()
        meanwhile()
        there.send((self.other.cookie, self.clock(), self.events))
        os._exit(0)  # a child of a thread cannot end the usual way: it would join that thread


ENDINGS = pytest.mark.parametrize("ending", ["logged_out", "revoked", "expired"])
