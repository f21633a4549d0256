"""Suites for a store with its records on a server: connections that break, a server that fails.

    class OnMyServer(RemoteServer):
        address = ("127.0.0.1", 7000)

        def kill_server(self) -> None: ...
        def start_server(self) -> None: ...

    class TestMyStore(OnMyServer, RemoteStoreContract):
        def make_store(self, port: int | None, *, timeout: float, pool_size: int) -> SessionStore:
            return MyStore("127.0.0.1", port or 7000, timeout=timeout, pool_size=pool_size)

        def take_connections(self, store: Any) -> AbstractContextManager[object]: ...

Use them together with :class:`~fluidauth.testing.StoreContract`. The server must be one that may be
killed. Each test expects no records there, so give it a namespace of its own. A proxy in this
process breaks connections. It finds the request to break by the user id in it.
"""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from functools import cached_property
from typing import Any

from fluidauth.errors import NotSupported, StoreBusy, StoreError
from fluidauth.records import SessionRecord
from fluidauth.stores.base import SessionStore

from .contract import make_record
from .forks import begin_child
from .server import RemoteServer
from .ticker import Ticker

PATIENCE = 30  # seconds for a child process to end
POOL_SIZE = 4
FORKS = 3
READS = 50  # by each process, at once
RETRY = 0.02  # seconds


class RemoteContract(RemoteServer):
    """What both suites have in common."""

    @cached_property
    def store(self) -> Any:
        """A store with connections through the proxy."""
        return self.opened(self.proxy.port)

    @cached_property
    def direct(self) -> Any:
        """Another store, on the server itself."""
        return self.opened(None)

    def opened(self, port: int | None) -> Any:
        raise NotImplementedError

    def teardown_method(self) -> None:
        for name in ("store", "direct", "proxy"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def refusal(self, state: str, call: Callable[..., object], *arguments: Any) -> StoreError:
        """Return the error that *call* raises. It must be a ``StoreError`` with the words for *state*."""
        try:
            call(*arguments)
        except StoreError as error:
            assert re.search(self.words.get(state, ""), str(error)), error
            return error
        raise AssertionError("the call was answered")

    # -- connections that break ------------------------------------------------------

    def test_dead_connections_are_replaced(self) -> None:
        """A restart of the server leaves a pool of dead connections. No call fails for that."""
        record = numbered(1)
        self.store.create(record)

        self.proxy.cut_all()
        read = self.store.get(record.handle)
        self.proxy.cut_all()
        written = self.store.update(numbered(1, version=2))

        assert (read, written) == (record, True)

    def test_connections_that_were_forgotten_on_the_way_cost_one_failure(self) -> None:
        """A balancer or firewall forgets idle connections, without notice to either end."""
        record = numbered(1)
        self.store.create(record)
        self.read_at_once(record.handle)

        self.proxy.forget()
        with suppress(StoreError):
            self.store.get(record.handle)

        assert self.store.get(record.handle) == record
        assert self.store.update(numbered(1, version=2)) is True

    def read_at_once(self, handle: str) -> None:
        """Read *handle* again and again, over as many connections as allowed."""
        raise NotImplementedError

    def test_change_that_was_lost_is_made_once(self) -> None:
        """If the connection broke before the server had read the request, it is sent again."""
        self._changes_are_made_once(self.proxy.cut_before)

    def test_change_whose_answer_was_lost_is_made_once(self) -> None:
        """The server had carried it out, and the caller gets the true answer."""
        self._changes_are_made_once(self.proxy.cut_after)

    def test_change_whose_answer_was_cut_short_is_made_once(self) -> None:
        """Only its first byte came."""
        self._changes_are_made_once(self.proxy.cut_amid)

    def _changes_are_made_once(self, cut: Callable[[bytes], None]) -> None:
        self.store.create(numbered(1))
        kin = numbered(2).handle[: self.store.kin_digits]
        ended = numbered(2, version=2, user_id=None)
        successor = numbered(3)._replace(handle=kin + numbered(3).handle[len(kin) :])
        stored: dict[str, SessionRecord] = {}
        for words, name, *change in (
            (b"user-2", "create", numbered(2)),
            (b"user-1", "update", numbered(1, version=2)),
            (b"user-3", "replace", ended, successor),
        ):
            cut(words)
            with suppress(NotSupported):
                assert getattr(self.store, name)(*change) in (None, True)
                assert not self.proxy.will_cut, "no request with the user id in clear passed the proxy"
                stored.update((record.handle, record) for record in change)

        assert {handle: self.store.get(handle) for handle in stored} == stored
        with suppress(NotSupported):
            assert len(self.store.scan()) == len(stored)

    def test_many_whose_answer_was_lost_are_made_once(self) -> None:
        """Each gets its true answer, whether the server had carried out all or none."""
        kept = numbered(9)
        for cut in (self.proxy.cut_before, self.proxy.cut_after, self.proxy.cut_amid):
            records = [numbered(number) for number in (1, 2)]
            kin = [record.handle[: self.store.kin_digits] for record in records]
            successors = [
                numbered(number)._replace(handle=start + numbered(number).handle[len(start) :])
                for number, start in zip((3, 4), kin, strict=True)
            ]
            graves = [numbered(number, version=3, user_id=None) for number in (1, 2)]
            self.direct.create(kept)

            for words, name, given, answer in (
                (b"user-1", "create_many", [*records, kept], [True, True, False]),
                (b"user-1", "update_many", [numbered(1, version=2), numbered(2, version=2)], [True, True]),
                (b"user-3", "replace_many", list(zip(graves, successors, strict=True)), [True, True]),
            ):
                cut(words)
                with suppress(NotSupported):
                    assert getattr(self.store, name)(given) == answer
                    assert not self.proxy.will_cut, "no request with the user id in clear passed the proxy"

            handles = [record.handle for record in (*records, *successors, kept)]
            stored = self.store.get_many(handles)
            self.store.delete_many([(handle, None) for handle in handles])
            if stored[2] is not None:
                assert stored == [*graves, *successors, kept]
            assert self.store.get_many(handles) == [None] * 5

    def test_swap_that_another_won_is_not_taken_for_ours(self) -> None:
        """If two requests write the same fields, one gets False, even if an answer is lost."""
        self.store.create(numbered(1))
        self.direct.update(numbered(1, version=2))

        self.proxy.cut_after(b"user-1")

        assert self.store.update(numbered(1, version=2)) is False

    # -- a server that fails ---------------------------------------------------------

    def test_frozen_server_is_an_error_within_the_time_limit(self) -> None:
        """What it answers when it wakes up reaches nobody."""
        record = numbered(1)
        self.store.create(record)

        self.freeze_server()
        try:
            with Ticker() as ticker:
                self.refusal("frozen", self.store.get, record.handle)
        finally:
            self.thaw_server()

        assert ticker.seconds < 2 * self.limit + 1
        assert self._answer_for(numbered(2).handle) is None
        assert self.store.get(record.handle) == record

    def _answer_for(self, handle: str) -> SessionRecord | None:
        """Return what the store finds as soon as it answers."""
        with Ticker() as ticker:
            while True:
                try:
                    return self.store.get(handle)  # type: ignore[no-any-return]  # it may be awaited
                except StoreError:
                    if ticker.seconds >= self.recovery:
                        raise
                    time.sleep(RETRY)

    def test_killed_server_keeps_what_was_acknowledged(self) -> None:
        """Calls work again by themselves as soon as it is back."""
        record = numbered(1)
        self.direct.create(record)

        self.kill_server()
        try:
            self.refusal("down", self.direct.create, numbered(2))
        finally:
            self.start_server()
        with Ticker() as ticker:
            found = self.direct.get(record.handle)

        assert found == record
        assert ticker.seconds < 2
        assert self.direct.update(numbered(1, version=2)) is True


class RemoteStoreContract(RemoteContract):
    """What a :class:`~fluidauth.stores.SessionStore` on a server promises in addition, as tests.

    Override :meth:`make_store` and :meth:`take_connections`, and what :class:`RemoteServer` asks for.
    """

    def make_store(self, port: int | None, *, timeout: float, pool_size: int) -> SessionStore:
        """Return a store on the server. With a *port*, use the proxy to it at that port of 127.0.0.1."""
        raise NotImplementedError

    def take_connections(self, store: Any) -> AbstractContextManager[object]:
        """Keep all connections of *store* in use until the block ends. It has made a call already."""
        raise NotImplementedError

    def opened(self, port: int | None) -> Any:
        return self.make_store(port, timeout=self.limit, pool_size=POOL_SIZE)

    def read_at_once(self, handle: str) -> None:
        store = self.store
        with ThreadPoolExecutor(POOL_SIZE) as pool:
            list(pool.map(store.get, [handle] * READS))

    def test_exhausted_pool_is_busy_within_the_time_limit(self) -> None:
        """A call that finds every connection in use gets an error, and no other call is harmed."""
        record = numbered(1)
        with closing(self.make_store(None, timeout=0.2, pool_size=1)) as store:
            store.create(record)

            with self.take_connections(store), Ticker() as ticker:
                error = self.refusal("busy", store.get, record.handle)
            found = store.get(record.handle)

        assert isinstance(error, StoreBusy)
        assert ticker.seconds < 2
        assert found == record

    def test_forked_process_has_connections_of_its_own(self) -> None:
        """Parent and children read at once, and the end of a child harms no other process."""
        self._check_forks(heard=True)

    def test_process_forked_in_c_has_connections_of_its_own(self) -> None:
        """The same is true if a server forks without Python's knowledge, as uwsgi does."""
        self._check_forks(heard=False)

    def _check_forks(self, heard: bool) -> None:
        records = [numbered(number) for number in range(FORKS + 1)]
        for record in records:
            self.direct.create(record)
        start = multiprocessing.get_context("fork").Barrier(len(records))

        def reads_its_own(record: SessionRecord) -> bool:
            start.wait(PATIENCE)
            return all(self.direct.get(record.handle) == record for _ in range(READS))

        def read(record: SessionRecord) -> None:
            assert reads_its_own(record)

        children = [begin_child(read, record, heard=heard) for record in records[1:]]
        beside = reads_its_own(records[0])
        for child in children:
            child.join(PATIENCE)

        assert beside
        assert [child.exitcode for child in children] == [0] * FORKS
        assert self.direct.get(records[0].handle) == records[0]


def numbered(number: int, *, version: int = 1, **columns: Any) -> SessionRecord:
    """Return a record of the user with that number."""
    return make_record(f"record-{number}", **{"version": version, "user_id": f"user-{number}", **columns})
