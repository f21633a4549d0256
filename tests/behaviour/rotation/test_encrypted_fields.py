"""Which fields are encrypted changes between two deployments."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Keyring, Session, SessionEngine
from fluidauth.errors import FieldKeyMissing
from fluidauth.formats.encryption import FieldCipher
from fluidauth.records import Body, Locked
from tests.stored import NEW, OLD, VALUES, carry_through, content_of, record_of
from tests.support import Browser, Protocol


@pytest.mark.parametrize("following", [("email",), "*"])
def test_a_plain_field_is_encrypted_at_its_next_write(protocol: Protocol, store: Any, following: Any) -> None:
    """Rows written before the deployment are read, and encrypted when they are next saved."""
    before = Browser(protocol, SessionEngine(OLD, store))
    before.request(lambda session: session.login("ada", {"email": "ada@example.com", "theme": "dark"}))
    after = Browser(protocol, SessionEngine(OLD, store, encrypted_fields=following))
    after.cookie = before.cookie

    read = after.get(dict)
    stored_before = content_of(record_of(after))
    after.request(lambda session: session.update(theme="light"))
    stored = content_of(record_of(after))

    assert read == {"email": "ada@example.com", "theme": "dark"}
    assert stored_before == [read, {}]
    assert "email" not in stored[0]
    assert set(stored[1]) == ({"email"} if following != "*" else {"email", "theme"})
    assert after.get(dict) == {"email": "ada@example.com", "theme": "light"}


def test_an_encrypted_field_becomes_plain_at_its_next_write(protocol: Protocol, store: Any) -> None:
    """And back: what is no longer named is stored in the clear when it is next saved."""
    before = Browser(protocol, SessionEngine(OLD, store, encrypted_fields="*"))
    before.request(lambda session: session.login("ada", dict(VALUES)))
    after = Browser(protocol, SessionEngine(OLD, store))
    after.cookie = before.cookie

    assert after.get(dict) == VALUES
    after.request(lambda session: session.update(theme="light"))

    assert content_of(record_of(after)) == [{**VALUES, "theme": "light"}, {}]


def test_a_field_whose_key_is_gone_is_quarantined(protocol: Protocol, full_store: Any) -> None:
    """Its access raises, the rest is read and written, and it is whole again when the key is back."""
    engine = SessionEngine(NEW, full_store, encrypted_fields=("email",))
    browser = Browser(protocol, engine)
    browser.request(lambda session: session.login("ada", {"theme": "dark"}))
    record = record_of(browser)
    envelope = FieldCipher(Keyring.from_secrets(OLD), record.handle).encrypt("email", '"ada@example.com"')
    body = engine.policy.sealer.unseal(record)
    assert isinstance(body, Body)
    following = record._replace(version=record.version + 1)
    locked = {"email": Locked(envelope, FieldKeyMissing("email"))}
    full_store.update(engine.policy.sealer.seal(following, body._replace(locked=locked)))

    def read_email(session: Session) -> Any:
        with pytest.raises(FieldKeyMissing, match="encrypted session field 'email' cannot be read"):
            session["email"]
        return dict(session)

    assert browser.get(read_email) == {"theme": "dark"}
    browser.request(lambda session: session.update(theme="light"))
    assert browser.get(read_email) == {"theme": "light"}
    carry_through(SessionEngine(NEW, full_store), full_store)
    back = Browser(protocol, SessionEngine([NEW, OLD], full_store, encrypted_fields=("email",)))
    back.cookie = browser.cookie
    assert back.get(dict) == {"theme": "light", "email": "ada@example.com"}
