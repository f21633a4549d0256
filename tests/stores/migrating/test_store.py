"""A migration as a store: its URL, its settings, requests on it."""

from __future__ import annotations

import pytest

from fluidauth import ConfigError, MemoryStore, SessionEngine, SQLiteStore
from fluidauth.keys import new_secret
from fluidauth.maintenance.move import move_all
from fluidauth.stores.migrating import MigratingStore
from fluidauth.stores.redis import RedisStore
from fluidauth.stores.urls import store_from_url
from tests.support import Browser, FlakyStore, Protocol


@pytest.mark.parametrize(("sign", "moving"), [("->", True), ("+", False)])
def test_a_url_names_both_stores(sign: str, moving: bool) -> None:
    """As one text, for a variable of the environment; no password is shown."""
    store = store_from_url(f"sqlite:///a.db?namespace=shop {sign} redis://u:hunter2@host/3?namespace=shop")

    assert isinstance(store, MigratingStore)
    assert isinstance(store.old, SQLiteStore) and isinstance(store.new, RedisStore)
    assert (store.namespace, store.moving) == ("shop", moving)
    assert f"{store.old!r} {sign} " in repr(store)
    assert "hunter2" not in repr(store)


def test_a_migration_needs_two_stores_of_one_namespace() -> None:
    """Handles depend on the namespace: under another one nothing would ever be found."""
    store = MemoryStore()

    with pytest.raises(ConfigError, match="two stores"):
        MigratingStore(store, store)
    with pytest.raises(ConfigError, match="need the same namespace"):
        MigratingStore(store, MemoryStore(namespace="other"))


def test_a_session_moves_at_its_first_use(protocol: Protocol) -> None:
    """Who was signed in stays so, and his changes go to the new store, also when it is alone again."""
    old, new, secret = MemoryStore(), MemoryStore(), new_secret()
    before = Browser(protocol, SessionEngine(secret, old))
    before.request(lambda session: session.login("ada"))
    during = Browser(protocol, SessionEngine(secret, MigratingStore(old, new))).with_cookie(before.cookie)

    assert during.request(lambda session: session.user_id).value == "ada"
    moved = old.scan() == [] and len(new.scan()) == 1
    during.request(lambda session: session.update(cart=3))

    after = Browser(protocol, SessionEngine(secret, new)).with_cookie(during.cookie)
    assert moved
    assert after.request(lambda session: (session.user_id, session["cart"])).value == ("ada", 3)


def test_outage_of_the_new_store_ends_no_session(protocol: Protocol) -> None:
    """A request fails as with any store, the session is whole when it is back; what lies about is moved."""
    old, new, secret = MemoryStore(), FlakyStore(), new_secret()
    both = MigratingStore(old, new)
    browser = Browser(protocol, SessionEngine(secret, old))
    browser.request(lambda session: session.login("ada"))
    engine = SessionEngine(secret, both)

    for call in ("get", "create", "replace", "delete"):
        new.broken = {call}
        tab = Browser(protocol, engine).with_cookie(browser.cookie)
        assert tab.request(lambda session: session.user_id).status == 503
    new.broken = set()

    tab = Browser(protocol, engine).with_cookie(browser.cookie)
    assert tab.request(lambda session: session.user_id).value == "ada"
    *_, totals = move_all(both, 0)
    assert (totals.done, totals.skipped) == (0, 1)
    assert (len(old.scan()), len(new.scan())) == (0, 1)
