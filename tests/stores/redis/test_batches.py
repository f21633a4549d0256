"""Many sessions at once in Redis: how many pipelines that takes, on one server and in a cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from fluidauth import StoreError
from fluidauth.maintenance.census import PAGE, every_record
from fluidauth.stores.redis import RedisStore
from fluidauth.testing import make_record
from harness.servers.redis import NewRedis, empty_redis, redis_url, shared_cluster
from tests.stores.counted import Trips
from tests.stores.redis.support import client_of, record
from tests.support import ON_THE_CLUSTER

COUNT = 500


def call(store: RedisStore, verb: str, *given: Any) -> tuple[Any, int]:
    """Return what comes of a call, and how many pipelines it took."""
    trips = Trips()
    return store.carry_out(trips.of(getattr(store._records, verb)(*given))), trips.count


def all_calls(store: RedisStore) -> list[tuple[Any, int]]:
    """Do all that can be done with many sessions of as many users."""
    records = [make_record(str(number), user_id=f"user-{number}") for number in range(COUNT)]
    digits = store.kin_digits
    successors = [
        make_record(f"after {number}", user_id=f"user-{number}")._replace(
            handle=each.handle[:digits] + make_record(f"after {number}").handle[digits:]
        )
        for number, each in enumerate(records)
    ]
    graves = [each._replace(version=3, user_id=None) for each in records]
    answers = [
        call(store, "create_many", records),
        call(store, "update_many", [each._replace(version=2) for each in records]),
        call(store, "replace_many", list(zip(graves, successors, strict=True))),
        call(store, "get_many", [each.handle for each in successors]),
        call(store, "delete_many", [(each.handle, None) for each in (*graves, *successors)]),
    ]
    assert [done for done, _ in answers] == [*[[True] * COUNT] * 3, successors, [True] * 2 * COUNT]
    return answers


def test_many_sessions_are_a_few_pipelines() -> None:
    """With those for the lists of their users: however many sessions they are."""
    with closing(RedisStore(empty_redis())) as store:
        answers = all_calls(store)

        assert [trips for _, trips in answers] == [2, 1, 3, 1, 2]
        assert client_of(redis_url()).dbsize() == 0


@pytest.mark.check
@ON_THE_CLUSTER
def test_many_sessions_are_as_many_pipelines_as_a_cluster_has_primaries() -> None:
    shared_cluster().clear()
    with closing(RedisStore(shared_cluster().url)) as store:
        store.get(make_record().handle)  # where the servers are is known then

        answers = all_calls(store)

        assert all(trips <= 3 * most for (_, trips), most in zip(answers, [2, 1, 3, 1, 2], strict=True))


@pytest.mark.check
@ON_THE_CLUSTER
def test_what_a_cluster_has_moved_is_asked_for_where_it_is() -> None:
    """A part of the keys is not where it was known to be: they alone are asked for again."""
    shared_cluster().clear()
    with closing(RedisStore(shared_cluster().url)) as store:
        records = [make_record(str(number)) for number in range(COUNT)]
        assert store.create_many(records) == [True] * COUNT
        slots = store._routes._slots
        places = sorted(set(slots.values()))
        store._routes._slots = {slot: places[0] if slot % 2 else place for slot, place in slots.items()}

        assert store.get_many([each.handle for each in records]) == records
        assert store.update_many([each._replace(version=2) for each in records]) == [True] * COUNT


def test_all_sessions_are_read_by_pages() -> None:
    """For ``sessions stats``: a pipeline for each page, and a walk over the keys, none for a session."""
    count = 3_000
    with closing(RedisStore(empty_redis())) as store:
        store.create_many([make_record(str(number), user_id=None) for number in range(count)])
        trips = 0

        def scan(after: str | None, limit: int) -> Any:
            nonlocal trips
            page, more = call(store, "scan", after, limit)
            trips += more
            return page

        assert len(list(every_record(scan))) == count
        assert trips < 3 * count / PAGE + 10


def test_sessions_of_a_user_are_read_by_pages() -> None:
    with closing(RedisStore(empty_redis())) as store:
        store.create_many([make_record(str(number)) for number in range(COUNT)])

        found, trips = call(store, "list_for_user", "user-1", None, PAGE)

        assert (len(found), trips) == (COUNT, 2)


@pytest.mark.requirement("4")
@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.delete_many([(record(1).handle, None), (record(2).handle, None)]),
        lambda store: store.replace_many([(record(1, version=2, user_id=None), record(3))]),
    ],
)
def test_many_ends_need_a_replica_as_one_does(
    change: Callable[[RedisStore], object], new_redis: NewRedis
) -> None:
    """With ``wait_replicas`` and none there it is an error, and not a success."""
    server = new_redis()
    with closing(RedisStore(server.url)) as plain:
        plain.create_many([record(1), record(2)])

    with (
        closing(RedisStore(server.url, timeout=1.0, wait_replicas=1)) as store,
        pytest.raises(StoreError, match="reached 0 of 1 replicas"),
    ):
        change(store)
