"""Many sessions at once in PostgreSQL: how many statements that takes, and what goes on beside it."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest

from fluidauth.concurrency import drive
from fluidauth.errors import RecordExists
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.postgres.batches import steps_of
from harness.servers.postgres import empty_postgres
from tests.stores.counted import Trips
from tests.stores.postgres.support import PATIENCE, record

MANY = range(500)


def call(store: PostgresStore, verb: str, given: Any) -> tuple[Any, int]:
    """Return what comes of a call, and how many statements it took."""
    trips = Trips()
    steps = trips.of(steps_of(verb, store.namespace, given))
    return drive(steps, store.carry_out, (RecordExists,)), trips.count


def test_many_sessions_are_one_statement() -> None:
    """Whatever is done with them; a second one only looks for those that it was not done with."""
    with closing(PostgresStore(empty_postgres())) as store:
        records = [record(number) for number in MANY]
        successors = [record(1_000 + number) for number in MANY]
        graves = [record(number, version=3, user_id=None) for number in MANY]
        answers = [
            call(store, "create_many", records),
            call(store, "update_many", [record(number, version=2) for number in MANY]),
            call(store, "replace_many", list(zip(graves, successors, strict=True))),
            call(store, "get_many", [each.handle for each in successors]),
            call(store, "delete_many", [(each.handle, None) for each in graves + successors]),
        ]
        again = call(store, "update_many", [record(1, version=2)])

    assert [trips for _, trips in answers] == [1, 1, 1, 1, 1]
    assert [done for done, _ in answers] == [*[[True] * 500] * 3, successors, [True] * 1_000]
    assert again == ([False], 2)


def test_handle_that_is_taken_at_this_moment_costs_no_other_its_turn() -> None:
    """The statement sees it too late, and fails as a whole: then each goes by itself, both or neither."""
    url = empty_postgres()
    graves = [record(number, version=2, user_id=None) for number in range(3)]
    successors = [record(10 + number) for number in range(3)]
    answers: list[bool] = []
    with closing(PostgresStore(url, timeout=PATIENCE)) as store:
        store.create_many([record(number) for number in range(3)])
        with psycopg.connect(url) as other:
            other.execute(
                "INSERT INTO fluidauth.sessions SELECT namespace, %s, user_id, created_at, expires_at,"
                " version, kid, stamp, payload FROM fluidauth.sessions WHERE handle = %s",
                (bytes.fromhex(successors[1].handle), bytes.fromhex(graves[1].handle)),
            )
            pairs = list(zip(graves, successors, strict=True))
            thread = threading.Thread(target=lambda: answers.extend(store.replace_many(pairs)))
            thread.start()
            with psycopg.connect(url, autocommit=True) as observer:
                while not observer.execute(
                    "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                ).fetchall():
                    pass
            other.commit()
        thread.join(PATIENCE)

        assert answers == [True, False, True]
        assert store.get(graves[1].handle) == record(1)
        assert store.get_many([each.handle for each in (graves[0], graves[2])]) == [graves[0], graves[2]]


@pytest.mark.requirement("4")
def test_no_session_is_made_where_the_one_before_has_ended() -> None:
    """Among many others, too: that is what makes a claim good for one session once."""
    with closing(PostgresStore(empty_postgres())) as store:
        store.create_many([record(1), record(2)])
        store.delete(record(1).handle)

        done = store.replace_many(
            [(record(number, version=2, user_id=None), record(10 + number)) for number in (1, 2)]
        )

        assert done == [False, True]
        assert store.get(record(11).handle) is None
