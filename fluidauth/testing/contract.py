"""Suites that every store must pass, our own and third parties'.

    class TestMyStore(StoreContract):
        def make_store(self, namespace: str) -> SessionStore:
            return MyStore("test-database", namespace=namespace)

Stores that are made with different namespaces must share their storage. A capability that
the store does not offer must raise ``NotSupported``. Its tests then ask for no more.
Nothing here sleeps: time is an argument. It is in the future, so that a storage which
removes expired records by its own clock keeps those of the tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from functools import cached_property
from typing import Any

from fluidauth.errors import NotSupported, RecordExists
from fluidauth.records import SessionRecord
from fluidauth.stores.base import AsyncSessionStore, SessionStore

from .clock import BEGINNING

Call = tuple[str, SessionRecord]


def make_record(name: str = "a", **columns: Any) -> SessionRecord:
    """Return a record whose handle is derived from *name*, with *columns* as given."""
    record = SessionRecord(
        handle=hashlib.sha256(name.encode()).hexdigest(),
        user_id="user-1",
        created_at=BEGINNING + 1_000,
        expires_at=BEGINNING + 2_000,
        version=1,
        kid="abcdef",
        payload=b"payload of " + name.encode(),
    )
    return record._replace(**columns)


class StoreContract:
    """What :class:`~fluidauth.stores.SessionStore` promises, as tests. Override :meth:`make_store`."""

    def make_store(self, namespace: str) -> SessionStore:
        """Return a store for *namespace* over the storage of this test alone."""
        raise NotImplementedError

    @cached_property
    def store(self) -> Any:
        return self.make_store("contract")

    @cached_property
    def neighbour(self) -> Any:
        """A store on the storage of :attr:`store`, under another namespace."""
        return self.make_store("neighbour")

    def concurrently(self, calls: list[Call]) -> list[object]:
        """Make all *calls* at once; return their answers, or the errors that they raised."""
        store = self.store  # made once: from Python 3.12 on threads may make one each
        answers: list[object] = [None] * len(calls)
        barrier = threading.Barrier(len(calls))

        def make(position: int, method: str, record: SessionRecord) -> None:
            barrier.wait()
            try:
                answers[position] = getattr(store, method)(record)
            except RecordExists as error:
                answers[position] = error

        threads = [
            threading.Thread(target=make, args=(position, *call)) for position, call in enumerate(calls)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def teardown_method(self) -> None:
        for name in ("store", "neighbour"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def offers(self, capability: str, *arguments: Any) -> bool:
        """Return whether the store offers *capability*. If not, it must raise ``NotSupported``."""
        try:
            getattr(self.store, capability)(*arguments)
        except NotSupported:
            return False
        return True

    def kin_of(self, record: SessionRecord, name: str) -> SessionRecord:
        """Return another record that may replace *record* in the store."""
        other, digits = make_record(name), self.store.kin_digits
        return other._replace(handle=record.handle[:digits] + other.handle[digits:])

    # -- get and create ----------------------------------------------------------

    def test_an_absent_record_is_none(self) -> None:
        """A handle that was never stored gives None."""
        assert self.store.get(make_record().handle) is None

    def test_a_created_record_comes_back_whole(self) -> None:
        """Every column of a record is stored as it was given."""
        record = make_record(user_id="Zoë\n'; --", payload=bytes(range(256)) * 256)

        self.store.create(record)

        assert self.store.get(record.handle) == record

    def test_a_record_that_is_asked_for_again_is_as_it_is_now(self) -> None:
        """After each change and removal ``get_again`` answers as ``get`` does."""
        record, absent = make_record(), make_record("absent")
        self.store.create(record)
        for version in range(2, 5):
            for _ in range(3):
                assert self.store.get_again(record.handle) == self.store.get(record.handle)
            assert self.store.update(record._replace(version=version))
        assert [self.store.get_again(each.handle) for each in (record, absent)] == [
            record._replace(version=4),
            None,
        ]

        assert self.store.delete(record.handle)
        assert self.store.get_again(record.handle) is None

    def test_a_record_needs_no_user(self) -> None:
        """A session without a user keeps None, not an empty text."""
        record = make_record(user_id=None)

        self.store.create(record)

        assert self.store.get(record.handle).user_id is None

    def test_create_never_overwrites(self) -> None:
        """A second create under one handle is refused and changes nothing."""
        record = make_record()
        self.store.create(record)

        [answer] = self.concurrently([("create", record._replace(user_id="thief", payload=b"x"))])

        assert isinstance(answer, RecordExists)
        assert self.store.get(record.handle) == record

    def test_one_of_many_concurrent_creates_wins(self) -> None:
        """Of concurrent creates under one handle exactly one is done."""
        records = [make_record(payload=bytes([number])) for number in range(8)]

        answers = self.concurrently([("create", record) for record in records])

        winners = [record for record, answer in zip(records, answers, strict=True) if answer is None]
        assert len(winners) == 1
        assert self.store.get(records[0].handle) == winners[0]

    # -- update ------------------------------------------------------------------

    def test_update_replaces_the_version_before(self) -> None:
        """An update of the version that was read is stored whole."""
        record = make_record()
        self.store.create(record)
        following = record._replace(
            user_id=None, expires_at=BEGINNING + 3_000, version=2, kid="zzzzzz", payload=b"new"
        )

        done = self.store.update(following)

        assert done is True
        assert self.store.get(record.handle) == following

    def test_update_of_another_version_does_nothing(self) -> None:
        """An update that comes too late, or of no stored record, returns False and changes nothing."""
        record = make_record(version=5)
        self.store.create(record)

        answers = [self.store.update(record._replace(version=n, payload=b"x")) for n in (4, 5, 7)]

        assert answers == [False, False, False]
        assert self.store.get(record.handle) == record

    def test_update_never_inserts(self) -> None:
        """A slow request cannot bring back a session that was logged out."""
        record = make_record()

        done = self.store.update(record._replace(version=2))

        assert done is False
        assert self.store.get(record.handle) is None

    def test_update_never_lowers_expires_at(self) -> None:
        """A slow request does not shorten a session that another one touched."""
        record = make_record(expires_at=BEGINNING + 2_000)
        self.store.create(record)

        self.store.update(record._replace(version=2, expires_at=BEGINNING + 1_500))

        assert self.store.get(record.handle).expires_at == BEGINNING + 2_000

    def test_update_never_changes_created_at(self) -> None:
        """A session's beginning is written once."""
        record = make_record(created_at=BEGINNING + 1_000)
        self.store.create(record)

        self.store.update(record._replace(version=2, created_at=BEGINNING + 1_900))

        assert self.store.get(record.handle).created_at == BEGINNING + 1_000

    def test_one_of_many_concurrent_updates_wins(self) -> None:
        """Of concurrent updates of one version exactly one is done."""
        record = make_record()
        self.store.create(record)
        updates = [record._replace(version=2, payload=bytes([number])) for number in range(8)]

        answers = self.concurrently([("update", update) for update in updates])

        winners = [update for update, done in zip(updates, answers, strict=True) if done]
        assert len(winners) == 1
        assert self.store.get(record.handle) == winners[0]

    def test_many_updates_are_told_apart(self) -> None:
        """Of several updates at once, each is done or not by itself. The answer is in its place."""
        for name in ("a", "b", "c"):
            self.store.create(make_record(name))
        late = make_record("b", version=7, payload=b"late")
        good = [make_record(name, version=2, payload=b"new") for name in ("a", "c")]

        answers = self.store.update_many([good[0], late, make_record("absent", version=2), good[1]])

        assert answers == [True, False, False, True]
        assert self.store.get(late.handle) == make_record("b")
        assert [self.store.get(record.handle) for record in good] == good
        assert self.store.update_many([]) == []

    # -- many at once ------------------------------------------------------------

    def test_many_are_read_in_their_places(self) -> None:
        """Those that are not there are None."""
        records = [make_record(str(number), user_id=None) for number in range(700)]
        self.store.create_many(records)
        absent = make_record("absent").handle

        found = self.store.get_many([absent, *(record.handle for record in records), absent])

        assert found == [None, *records, None]
        assert self.store.get_many([]) == []

    def test_many_are_created_but_those_that_are_there(self) -> None:
        """Of several at once, each is inserted or not by itself. The answer is in its place."""
        there = make_record("b")
        self.store.create(there)
        new = [make_record("a", user_id=None), make_record("c")]

        answers = self.store.create_many([new[0], there._replace(payload=b"x"), new[1]])

        assert answers == [True, False, True]
        assert self.store.get_many([new[0].handle, there.handle, new[1].handle]) == [new[0], there, new[1]]
        assert self.store.create_many([]) == []

    def test_many_are_replaced_each_with_both_records_or_neither(self) -> None:
        """If one comes too late, or the handle of its successor is taken, the others are still replaced."""
        records = [make_record(name) for name in ("a", "late", "taken", "b")]
        successors = [self.kin_of(record, f"after {number}") for number, record in enumerate(records)]
        graves = [record._replace(user_id=None, version=2, payload=b"t") for record in records]
        if not self.offers("replace", graves[0], successors[0]):
            return
        graves[1] = graves[1]._replace(version=3)
        taken = successors[2]._replace(payload=b"taken")
        for record in [*records, taken]:
            self.store.create(record)

        answers = self.store.replace_many(list(zip(graves, successors, strict=True)))

        assert answers == [True, False, False, True]
        stored = [graves[0], records[1], records[2], graves[3]]
        assert self.store.get_many([record.handle for record in records]) == stored
        new = [successors[0], None, taken, successors[3]]
        assert self.store.get_many([record.handle for record in successors]) == new
        assert self.store.replace_many([]) == []

    def test_many_are_deleted_at_their_versions(self) -> None:
        """Without a version, at any."""
        a, b, c = (make_record(name, version=3) for name in "abc")
        for record in (a, b, c):
            self.store.create(record)

        answers = self.store.delete_many(
            [(a.handle, 3), (make_record("absent").handle, None), (b.handle, 2), (c.handle, None)]
        )

        assert answers == [True, False, False, True]
        assert self.store.get_many([a.handle, b.handle, c.handle]) == [None, b, None]
        assert self.store.delete_many([]) == []

    def test_many_at_once_respect_namespaces(self) -> None:
        """What another application stored is neither read nor removed."""
        record = make_record()
        self.store.create(record)

        seen = self.neighbour.get_many([record.handle])
        updated = self.neighbour.update_many([record._replace(version=2)])
        deleted = self.neighbour.delete_many([(record.handle, None)])

        assert (seen, updated, deleted) == ([None], [False], [False])
        assert self.store.get(record.handle) == record

    def test_users_of_many_are_known(self) -> None:
        """Sessions that were stored together are listed and revoked with the user's others."""
        if not self.offers("delete_for_user", "nobody"):
            return
        first, last = make_record("first"), make_record("last", user_id=None)
        after = self.kin_of(last, "after")
        self.store.create_many([first, last])
        self.store.replace_many([(last._replace(version=2), after)])
        self.store.update_many([first._replace(version=2, expires_at=first.expires_at + 5)])

        assert {record.handle for record in self.store.list_for_user("user-1")} == {
            first.handle,
            after.handle,
        }
        assert self.store.delete_for_user("user-1") == 2

    # -- delete and clean --------------------------------------------------------

    def test_delete_says_whether_it_was_there(self) -> None:
        """A record is deleted once; an absent one is no error."""
        record = make_record()
        self.store.create(record)

        answers = [self.store.delete(record.handle), self.store.delete(record.handle)]

        assert answers == [True, False]
        assert self.store.get(record.handle) is None

    def test_delete_at_a_version_spares_others(self) -> None:
        """A delete at a version that is no longer stored does nothing."""
        record = make_record(version=3)
        self.store.create(record)

        answers = [self.store.delete(record.handle, 2), self.store.delete(record.handle, 3)]

        assert answers == [False, True]

    def test_clean_removes_what_has_expired(self) -> None:
        """A record is expired from the second of its expiry on."""
        for name, expires_at in (
            ("old", BEGINNING + 1_999),
            ("now", BEGINNING + 2_000),
            ("live", BEGINNING + 2_001),
        ):
            self.store.create(make_record(name, expires_at=expires_at))

        removed = self.store.clean(BEGINNING + 2_000)

        assert removed == 2
        assert self.store.get(make_record("live").handle) is not None
        assert self.store.get(make_record("now").handle) is None

    def test_clean_stops_at_its_limit(self) -> None:
        """A limit bounds the work of one call. The next call removes the rest."""
        for number in range(5):
            self.store.create(make_record(str(number)))

        counts = [
            self.store.clean(BEGINNING + 9_000, 3),
            self.store.clean(BEGINNING + 9_000, 3),
            self.store.clean(BEGINNING + 9_000, 3),
        ]

        assert counts == [3, 2, 0]

    # -- namespaces --------------------------------------------------------------

    def test_namespaces_never_meet(self) -> None:
        """No call of one application reads, changes or removes what another one stored."""
        record = make_record(expires_at=BEGINNING + 10)
        self.store.create(record)

        seen = self.neighbour.get(record.handle)
        updated = self.neighbour.update(record._replace(version=2))
        deleted = self.neighbour.delete(record.handle)
        cleaned = self.neighbour.clean(BEGINNING + 9_000)

        assert (seen, updated, deleted, cleaned) == (None, False, False, 0)
        assert self.store.get(record.handle) == record

    def test_optional_calls_respect_namespaces(self) -> None:
        """Listing, counting and revoking see only one namespace."""
        if not self.offers("delete_for_user", "nobody"):
            return
        record = make_record()
        self.store.create(record)

        listed = self.neighbour.list_for_user("user-1")
        scanned = self.neighbour.scan()
        counted = self.neighbour.count_by_kid()
        revoked = self.neighbour.delete_for_user("user-1")

        assert (listed, scanned, counted, revoked) == ([], [], {}, 0)
        assert self.store.get(record.handle) == record

    # -- optional ----------------------------------------------------------------

    def test_touch_moves_forward_only(self) -> None:
        """A touch prolongs, never shortens, makes no new version and never inserts."""
        if not self.offers("touch", make_record("absent").handle, BEGINNING + 2_500):
            return
        record = make_record(expires_at=BEGINNING + 2_000)
        self.store.create(record)

        answers = [self.store.touch(record.handle, when) for when in (BEGINNING + 2_500, BEGINNING + 2_400)]

        assert answers == [True, False]
        assert self.store.get(record.handle) == record._replace(expires_at=BEGINNING + 2_500)
        assert self.store.get(make_record("absent").handle) is None

    def test_replace_does_both_or_neither(self) -> None:
        """A tombstone and its successor are stored in one step, if the version is right."""
        record, successor = make_record(), self.kin_of(make_record(), "successor")
        tombstone = record._replace(user_id=None, version=2, expires_at=BEGINNING + 1_060, payload=b"t")
        if not self.offers("replace", tombstone, successor):
            return
        self.store.create(record)

        late = self.store.replace(tombstone._replace(version=3), successor)
        between = self.store.get(successor.handle)
        done = self.store.replace(tombstone, successor)

        assert (late, between, done) == (False, None, True)
        assert self.store.get(record.handle) == tombstone
        assert self.store.get(successor.handle) == successor

    def test_replace_never_overwrites_the_successor(self) -> None:
        """A successor's handle that is taken leaves the old record as it was."""
        record, taken = make_record(), self.kin_of(make_record(), "taken")
        if not self.offers("replace", record._replace(version=2), taken):
            return
        self.store.create(record)
        self.store.create(taken)
        refused = False

        try:
            self.store.replace(record._replace(version=2), taken._replace(payload=b"x"))
        except RecordExists:
            refused = True

        assert refused
        assert self.store.get(record.handle) == record
        assert self.store.get(taken.handle) == taken

    def test_a_user_is_listed_page_by_page(self) -> None:
        """Pages follow each other in order of handle, without the sessions of others."""
        if not self.offers("list_for_user", "user-1"):
            return
        mine = sorted(make_record(str(number)) for number in range(5))
        for record in [*mine, make_record("other", user_id="user-2"), make_record("no", user_id=None)]:
            self.store.create(record)

        first = self.store.list_for_user("user-1", None, 3)
        second = self.store.list_for_user("user-1", first[-1].handle, 3)

        assert first + second == mine

    def test_a_user_is_revoked_but_for_one_session(self) -> None:
        """Revoking ends all sessions of a user, except one if named, and counts them."""
        if not self.offers("delete_for_user", "nobody"):
            return
        mine = [make_record(str(number)) for number in range(3)]
        other = make_record("other", user_id="user-2")
        for record in [*mine, other]:
            self.store.create(record)

        counts = [
            self.store.delete_for_user("user-1", mine[0].handle),
            self.store.delete_for_user("user-1"),
        ]

        assert counts == [2, 1]
        assert self.store.get(other.handle) == other

    def test_revoking_needs_replace(self) -> None:
        """A store that revokes users must renew ids in one step, or a revocation could miss one."""
        if not self.offers("delete_for_user", "nobody"):
            return

        record = make_record("x", version=2)
        assert self.offers("replace", record, self.kin_of(record, "y"))

    def test_kids_are_counted(self) -> None:
        """Each key id is counted over all records."""
        if not self.offers("count_by_kid"):
            return
        for number, kid in enumerate(("aaaaaa", "bbbbbb", "aaaaaa")):
            self.store.create(make_record(str(number), kid=kid))

        assert self.store.count_by_kid() == {"aaaaaa": 2, "bbbbbb": 1}

    def test_all_records_are_scanned_page_by_page(self) -> None:
        """A scan visits every record once, in order of handle."""
        if not self.offers("scan"):
            return
        records = sorted(make_record(str(number)) for number in range(5))
        for record in records:
            self.store.create(record)

        first = self.store.scan(None, 3)
        second = self.store.scan(first[-1].handle, 3)

        assert first + second == records


class AsyncStoreContract(StoreContract):
    """The same promises of an :class:`~fluidauth.stores.AsyncSessionStore`, on one event loop."""

    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        """Return a store for *namespace* over the storage of this test alone."""
        raise NotImplementedError

    @cached_property
    def runner(self) -> asyncio.Runner:
        return asyncio.Runner()

    @cached_property
    def store(self) -> Any:
        return Awaited(self.make_async_store("contract"), self.runner)

    @cached_property
    def neighbour(self) -> Any:
        return Awaited(self.make_async_store("neighbour"), self.runner)

    def concurrently(self, calls: list[Call]) -> list[object]:
        async def together() -> list[object]:
            store = self.store.awaited
            coroutines = [getattr(store, method)(record) for method, record in calls]
            return list(await asyncio.gather(*coroutines, return_exceptions=True))

        return self.runner.run(together())

    def teardown_method(self) -> None:
        super().teardown_method()
        self.runner.close()


class Awaited:
    """An asynchronous store whose calls are awaited at once."""

    def __init__(self, store: AsyncSessionStore, runner: asyncio.Runner) -> None:
        self.awaited = store
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.awaited, name)
        if not callable(method):
            return method
        return lambda *arguments: self._runner.run(method(*arguments))
