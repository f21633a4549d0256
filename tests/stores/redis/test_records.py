"""What lies in Redis: records, lists of users, slots."""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import SessionEngine, StoreError
from fluidauth.keys import new_secret
from fluidauth.records import MAX_LIFETIME
from fluidauth.stores import SessionRecord
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.redis.routing import _slot_of
from fluidauth.stores.redis.scripts import decoded, encoded
from fluidauth.testing import make_record
from harness.servers.redis import (
    empty_redis,
    redis_url,
    shared_cluster,
)
from tests.stores.redis.support import both_sides, client_of, record
from tests.support import ON_THE_CLUSTER, Browser, Protocol


@given(
    st.builds(
        SessionRecord,
        st.just("0" * 64),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255),
        st.integers(0, 2**53),
        st.integers(0, 2**53),
        st.integers(1, 2**53),
        st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=6, max_size=6),
        st.binary(),
    )
)  # fmt: skip
def test_a_record_comes_back_from_its_bytes(given_record: SessionRecord) -> None:
    assert decoded(given_record.handle, encoded(given_record)) == given_record


@given(st.binary(max_size=100))
def test_bytes_that_are_no_record_are_refused(value: bytes) -> None:
    """An error of the store, or a record that no seal will fit; nothing else."""
    with suppress(StoreError):
        assert decoded("0" * 64, value).handle == "0" * 64


def test_a_key_that_holds_something_else_is_an_error() -> None:
    with both_sides(empty_redis()) as sides:
        sides[0]("create", record(1))
        client = client_of(redis_url())
        [key] = client.keys("fluidauth:{*")
        client.delete(key)
        client.rpush(key, "x")
        for call in sides:
            with pytest.raises(StoreError, match="WRONGTYPE"):
                call("get", record(1).handle)


def test_redis_removes_what_has_expired() -> None:
    """A minute after its expiry, by its own clock; a touch moves that on. Clocks may differ by as much."""
    with both_sides(empty_redis()) as sides:
        client, now = client_of(redis_url()), int(time.time())
        for number, call in enumerate(sides):
            call("create", record(number, expires_at=now + 100, user_id=None))
            [key] = client.keys("*")
            assert 150 < client.ttl(key) <= 160
            call("touch", record(number).handle, now + 200)
            assert 250 < client.ttl(key) <= 260
            call("update", record(number, 2, expires_at=now + 300, user_id=None))
            assert 350 < client.ttl(key) <= 360
            call("replace", record(number, 3, expires_at=now - 50, user_id=None), record(99, user_id=None))
            assert 0 < client.ttl(key) <= 10
            client.flushdb()
            call("create", record(number, expires_at=now - 61, user_id=None))
            assert client.keys("*") == []


def test_handles_of_a_user_that_are_gone_are_forgotten() -> None:
    """At the next login; what lives longer than its entry said is kept."""
    with both_sides(empty_redis()) as sides:
        client, now = client_of(redis_url()), int(time.time())
        for call in sides:
            for number, expires_at in ((2, now - 30), (3, now + 50)):
                call("create", record(number, user_id="zoë", expires_at=expires_at))
            gone, longer = bytes.fromhex(record(1).handle), bytes.fromhex(record(3).handle)
            client.zadd("fluidauth:u:zoë", {gone: now - 90, longer: now - 90})
            call("create", record(4, user_id="zoë", expires_at=now + 100))
            left = client.zrange("fluidauth:u:zoë", 0, -1, withscores=True)
            assert sorted((each[0].hex()[-1], each[1] - now) for each in left) == [
                ("2", -30),
                ("3", 50),
                ("4", 100),
            ]
            assert 0 < client.ttl("fluidauth:u:zoë") <= MAX_LIFETIME + 60
            client.flushdb()


def test_a_logout_leaves_nothing_of_a_user() -> None:
    with both_sides(empty_redis()) as sides:
        for call in sides:
            call("create", record(1))
            call("replace", record(1, 2, user_id=None), record(2, user_id="user-1"))
            assert call("delete", record(2).handle)
            client = client_of(redis_url())
            assert client.keys("fluidauth:u:*") == []
            client.flushdb()


def test_a_record_given_to_another_user_is_found_there() -> None:
    """No session escapes from whoever revokes its user."""
    with both_sides(empty_redis()) as sides:
        for call in sides:
            call("create", record(1))
            assert call("update", record(1, 2, user_id="new"))
            assert [each.version for each in call("list_for_user", "new")] == [2]
            assert call("list_for_user", "user-1") == []
            assert call("delete_for_user", "user-1") == 0
            assert call("delete_for_user", "new") == 1


@pytest.mark.check
@ON_THE_CLUSTER
def test_slots_are_those_of_redis() -> None:
    """Ours for each key is the one that a cluster says, braces or not."""
    node = shared_cluster().nodes[0].client
    for key in (b"a", b"fluidauth:{ab}\x00{}", b"{}x", b"a{b", b"}{", b"u:{{x}}", os.urandom(40)):
        assert node.execute_command("CLUSTER KEYSLOT", key) == _slot_of(key)


def test_both_records_of_a_renewal_share_a_slot(protocol: Protocol) -> None:
    """An engine on a cluster draws ids until they do; a store that is asked for anything else says so."""
    shared_cluster().clear()
    with closing(RedisStore(shared_cluster().url)) as store:
        browser = Browser(protocol, SessionEngine(new_secret(), store))
        for _ in range(3):
            browser.get(lambda session: session.login("zoë"))
            before = browser.get(lambda session: session.handle)
            browser.get(lambda session: session.regenerate())
            after = browser.get(lambda session: session.handle)
            assert after != before
            assert after[:2] == before[:2]
        with pytest.raises(StoreError, match="same 2 digits"):
            store.replace(record(1, 2), record(0, handle="f" * 64))


@pytest.mark.check
@ON_THE_CLUSTER
def test_a_walk_over_all_records_is_in_order_and_whole() -> None:
    """Page by page, also when others begin and end meanwhile, and over all servers of a cluster."""
    shared_cluster().clear()
    for url in (empty_redis(), shared_cluster().url):
        with both_sides(url) as sides:
            for number in range(700):
                sides[0]("create", make_record(str(number), user_id=None))
            for call in sides:
                seen: list[str] = []
                while page := call("scan", seen[-1] if seen else None, 64):
                    seen += [each.handle for each in page]
                    call("delete", page[0].handle)
                    call("create", make_record(page[0].handle, handle=page[0].handle, user_id=None))
                assert seen == sorted({make_record(str(number)).handle for number in range(700)})
                assert call("count_by_kid") == {"abcdef": 700}
