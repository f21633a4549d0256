"""Each store, and each bridge, under the one contract."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from fluidauth import MemoryStore, SQLiteStore
from fluidauth.stores import AsyncSessionStore, SessionStore
from fluidauth.stores.bridge import AsyncBridge, SyncBridge
from fluidauth.stores.migrating import MigratingStore
from fluidauth.stores.postgres import PostgresStore
from fluidauth.stores.redis import RedisStore
from fluidauth.testing import AsyncStoreContract, StoreContract
from harness import ROOT
from harness.servers.postgres import behind_a_pooler, empty_postgres
from harness.servers.redis import empty_redis, shared_cluster
from tests.support import ON_THE_CLUSTER, AsyncBasicStore, BasicStore, BegunInOld


class TestMemoryStore(StoreContract):
    def make_store(self, namespace: str) -> SessionStore:
        return MemoryStore(namespace=namespace)


class TestAsyncMemoryStore(AsyncStoreContract):
    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return MemoryStore(namespace=namespace).async_twin()


class _OnDisk:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sessions.db"

    def old_store(self, namespace: str) -> SessionStore:
        return SQLiteStore(self.path, namespace=namespace, durability="normal")

    def other_store(self, namespace: str) -> SessionStore:
        return SQLiteStore(self.path.with_name("other.db"), namespace=namespace, durability="normal")


class TestSQLiteStore(_OnDisk, StoreContract):
    def make_store(self, namespace: str) -> SessionStore:
        return SQLiteStore(self.path, namespace=namespace)


class TestSQLiteStoreWithNormalDurability(_OnDisk, StoreContract):
    def make_store(self, namespace: str) -> SessionStore:
        return SQLiteStore(self.path, namespace=namespace, durability="normal")


class TestBridgedSQLiteStore(_OnDisk, AsyncStoreContract):
    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return AsyncBridge(SQLiteStore(self.path, namespace=namespace, durability="normal"))


class TestPostgresStore(StoreContract):
    def setup_method(self) -> None:
        self.url = empty_postgres()

    def make_store(self, namespace: str) -> SessionStore:
        return PostgresStore(self.url, namespace=namespace)


class TestPostgresStoreBehindAPooler(StoreContract):
    """Each transaction on another connection, which knows nothing of the one before."""

    def setup_method(self) -> None:
        self.url = behind_a_pooler(empty_postgres())

    def make_store(self, namespace: str) -> SessionStore:
        return PostgresStore(self.url, namespace=namespace, prepare=False)


class TestAsyncPostgresStoreBehindAPooler(AsyncStoreContract):
    def setup_method(self) -> None:
        self.url = behind_a_pooler(empty_postgres())

    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return PostgresStore(self.url, namespace=namespace, prepare=False).async_twin()


class TestAsyncPostgresStore(AsyncStoreContract):
    def setup_method(self) -> None:
        self.url = empty_postgres()

    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return PostgresStore(self.url, namespace=namespace).async_twin()


class TestRedisStore(StoreContract):
    def setup_method(self) -> None:
        self.url = empty_redis()

    def make_store(self, namespace: str) -> SessionStore:
        return RedisStore(self.url, namespace=namespace)


class TestRedisStoreWithTheDocumentedRights(StoreContract):
    """As a user who may do no more than ``docs/stores.md`` grants."""

    def setup_method(self) -> None:
        page = (ROOT / "docs" / "stores.md").read_text()
        line = page.partition("\nACL ")[2].partition("\n```")[0].replace("\n", " ")
        words = line.replace("~fluidauth:*", "~contract:* ~neighbour:*").split()
        url = empty_redis()
        with redis.Redis.from_url(url) as client:
            client.execute_command("ACL", *words)
        self.url = f"redis://sessions:PASSWORD@{url.partition('://')[2].rpartition('@')[2]}"

    def make_store(self, namespace: str) -> SessionStore:
        store = RedisStore(self.url, namespace=namespace)
        store.open()
        return store


class TestAsyncRedisStore(AsyncStoreContract):
    def setup_method(self) -> None:
        self.url = empty_redis()

    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return RedisStore(self.url, namespace=namespace).async_twin()


@pytest.mark.check
@ON_THE_CLUSTER
class TestRedisCluster(StoreContract):
    def setup_method(self) -> None:
        shared_cluster().clear()

    def make_store(self, namespace: str) -> SessionStore:
        return RedisStore(shared_cluster().url, namespace=namespace)


@pytest.mark.check
@ON_THE_CLUSTER
class TestAsyncRedisCluster(AsyncStoreContract):
    def setup_method(self) -> None:
        shared_cluster().clear()

    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return RedisStore(shared_cluster().url, namespace=namespace).async_twin()


class TestMigrationToRedis(_OnDisk, StoreContract):
    def setup_method(self) -> None:
        self.url = empty_redis()

    def make_store(self, namespace: str) -> SessionStore:
        return BegunInOld(self.old_store(namespace), RedisStore(self.url, namespace=namespace))


class TestAsyncMigrationToRedis(_OnDisk, AsyncStoreContract):
    def setup_method(self) -> None:
        self.url = empty_redis()

    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return BegunInOld(self.old_store(namespace), RedisStore(self.url, namespace=namespace)).async_twin()


@pytest.mark.check
@ON_THE_CLUSTER
class TestMigrationToACluster(_OnDisk, StoreContract):
    def setup_method(self) -> None:
        shared_cluster().clear()

    def make_store(self, namespace: str) -> SessionStore:
        return BegunInOld(self.old_store(namespace), RedisStore(shared_cluster().url, namespace=namespace))


class TestMigrationToPostgres(_OnDisk, StoreContract):
    def setup_method(self) -> None:
        self.url = empty_postgres()

    def make_store(self, namespace: str) -> SessionStore:
        return BegunInOld(self.old_store(namespace), PostgresStore(self.url, namespace=namespace))


class TestMigrationThatMovesNothingYet(_OnDisk, StoreContract):
    def make_store(self, namespace: str) -> SessionStore:
        return MigratingStore(self.old_store(namespace), self.other_store(namespace), moving=False)


class TestMigrationOfWhatIsNew(_OnDisk, AsyncStoreContract):
    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return MigratingStore(self.old_store(namespace), self.other_store(namespace)).async_twin()


class TestStoreOfFiveVerbs(StoreContract):
    def make_store(self, namespace: str) -> SessionStore:
        return BasicStore(namespace)


class TestBridgedStoreOfFiveVerbs(AsyncStoreContract):
    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return AsyncBridge(BasicStore(namespace))


class TestAsyncStoreOfFiveVerbs(AsyncStoreContract):
    def make_async_store(self, namespace: str) -> AsyncSessionStore:
        return AsyncBasicStore(namespace)


class TestAsyncStoreForSynchronousCode(StoreContract):
    def make_store(self, namespace: str) -> SessionStore:
        return SyncBridge(AsyncBasicStore(namespace))
