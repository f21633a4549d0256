"""PostgreSQL behind a pooler that lends a connection for one transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from fluidauth import SessionEngine
from fluidauth.keys import new_secret
from fluidauth.stores.postgres import PostgresStore
from harness.servers.postgres import (
    behind_a_pooler,
    pooler,
    postgres_url,
)
from tests.stores.postgres.support import record


def test_writers_behind_a_pooler_lose_nothing() -> None:
    """Fifty threads on three connections, which are lent for one transaction at a time."""
    lent = pooler().lent
    url = behind_a_pooler(postgres_url())
    with closing(PostgresStore(url, pool_size=20, prepare=False)) as store:
        engine = SessionEngine(new_secret(), store)
        handle = str(engine.create_session("ada")[1].handle)

        def write(number: int) -> None:
            with engine.edit(handle) as session:
                session[f"key-{number}"] = number
                session.add("writes")

        with ThreadPoolExecutor(50) as threads:
            list(threads.map(write, range(50)))
        session = engine.get_session(handle)

    assert session is not None
    assert dict(session) == {**{f"key-{number}": number for number in range(50)}, "writes": 50}
    assert pooler().lent > lent


def test_a_pooler_without_prepared_statements_is_told_with_the_remedy() -> None:
    """Not as what PostgreSQL says of it."""
    store = PostgresStore(behind_a_pooler(postgres_url()), pool_size=8)
    with closing(store), ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(store.get, record(number).handle) for number in range(200)]
        told = {str(error) for error in (call.exception() for call in calls) if error is not None}

    assert told and all("prepare=no" in sentence for sentence in told), told
