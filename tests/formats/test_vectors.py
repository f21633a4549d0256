"""The formats of version 1, byte for byte, against vectors computed without this package."""

from __future__ import annotations

import hmac
import json
import os
import runpy
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fluidauth import Keyring
from fluidauth.formats import client_tokens, tokens
from fluidauth.formats.payloads import Sealer
from fluidauth.records import Body, SessionRecord, Tombstone, handle_of, handle_prefix
from harness import ROOT

FILE = ROOT / "tests" / "vectors.json"

VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def each(kind: str, label: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=lambda vector: vector[label])


def record_of(vector: dict[str, Any], payload: bytes = b"") -> SessionRecord:
    return SessionRecord(
        vector["handle"], vector["user_id"], vector["created_at"], 0, vector["version"], "", payload
    )


def body_of(vector: dict[str, Any]) -> Body | Tombstone:
    return Tombstone(**vector["body"]) if "successor" in vector["body"] else Body(**vector["body"])


def test_the_file_is_what_its_maker_writes() -> None:
    """``make_vectors.py`` regenerates ``vectors.json`` exactly."""
    maker = runpy.run_path(str(FILE.with_name("make_vectors.py")))

    written = maker["text"]()

    assert written == FILE.read_text(encoding="utf-8")


def test_the_maker_is_independent() -> None:
    """``make_vectors.py`` imports nothing of this package, or it would agree with any mistake."""
    source = FILE.with_name("make_vectors.py").read_text(encoding="utf-8")

    lines = [line for line in source.splitlines() if line.lstrip().startswith(("import ", "from "))]

    assert lines
    assert not [line for line in lines if "fluidauth" in line or line.startswith("from .")]


@pytest.mark.requirement("33")
@each("keys", "kid")
def test_subkeys_are_hkdf(vector: dict[str, Any]) -> None:
    """Subkeys are RFC 5869's, one label for each purpose, in the vectors and in a key."""
    secret = vector["secret"].encode()
    key = Keyring.from_secrets(secret).signing
    head = (41).to_bytes(4, "big")

    derived = {
        purpose: HKDF(SHA256(), 32, b"fluidauth/1/extract", b"fluidauth/1/" + purpose.encode()).derive(secret)
        for purpose in ("kid", "cookie-mac", "record-mac", "field-encryption", "client-mac")
    }

    assert {purpose: subkey.hex() for purpose, subkey in derived.items()} == vector["subkeys"]
    assert key.cookie_mac(b"t" * 41) == hmac.digest(derived["cookie-mac"], head + b"t" * 41, "sha256")
    assert key.client_mac(b"head") == hmac.digest(derived["client-mac"], b"head", "sha256")
    assert key.record_mac(b"row") == hmac.digest(derived["record-mac"], b"row", "sha256")


@pytest.mark.requirement("33")
@each("keys", "kid")
def test_key(vector: dict[str, Any]) -> None:
    """A key's id, record MAC and field key are those of the vectors."""
    key = Keyring.from_secrets(vector["secret"]).signing

    mac = key.record_mac(bytes.fromhex(vector["record_mac"]["message"]))
    field_key = key.field_key(vector["field_key"]["handle"])

    assert key.kid == vector["kid"]
    assert mac.hex() == vector["record_mac"]["mac"]
    assert field_key.hex() == vector["field_key"]["key"]


@pytest.mark.requirement("33")
@each("tokens", "token")
def test_token(vector: dict[str, Any]) -> None:
    """A session id is signed to the vectors' token, which verifies back to it."""
    keyring = Keyring.from_secrets(vector["secret"])

    token = tokens.sign(keyring.signing, vector["session_id"])

    assert token == vector["token"]
    assert tokens.verify(keyring, token) == (vector["session_id"], keyring.signing.kid)


@pytest.mark.requirement("33", "51")
@each("client_tokens", "token")
def test_client_token(vector: dict[str, Any]) -> None:
    """As for a cookie, by a key of its own."""
    keyring = Keyring.from_secrets(vector["secret"])

    token = client_tokens.sign(keyring.signing, vector["session_id"])

    assert token == vector["token"]
    assert client_tokens.verify(keyring, token) == (vector["session_id"], keyring.signing.kid)


@pytest.mark.requirement("25")
@each("handles", "handle")
def test_handle(vector: dict[str, Any]) -> None:
    """A session id leads to the vectors' handle in its namespace."""
    handle = handle_of(handle_prefix(vector["namespace"]), vector["session_id"])

    assert handle == vector["handle"]


@pytest.mark.requirement("26", "38", "39")
@each("payloads", "name")
def test_payload(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is sealed to the vectors' payload, which unseals to it."""
    monkeypatch.setattr(os, "urandom", lambda length: bytes.fromhex(vector["nonce"])[:length])
    encrypted = [name for name in [vector["encrypted_field"]] if name]
    sealer = Sealer(Keyring.from_secrets(vector["secret"]), encrypted, max_bytes=4096)

    sealed = sealer.seal(record_of(vector), body_of(vector))
    opened = sealer.unseal(record_of(vector, bytes.fromhex(vector["payload"])))

    assert sealed.payload.hex() == vector["payload"]
    assert {name: getattr(opened, name) for name in vector["body"]} == vector["body"]
    assert type(opened) is type(body_of(vector))
