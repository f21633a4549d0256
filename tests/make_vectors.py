"""Write ``vectors.json``: what the formats of version 1 give for fixed inputs.

Computed from the description of the formats alone, without a line of fluidauth, so
that a format cannot change together with its test. Every secret here is public.

    python tests/make_vectors.py
"""

from __future__ import annotations

import hmac
import json
from base64 import b32encode, b64encode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NOTICE = "Test vectors: every secret here is public, and good for nothing else."
SECRETS = (
    "TEST-VECTOR-1-public-0123456789-abcdefghijkl",
    "fask1_TEST-VECTOR-2-public-0123456789-abcdefghijk",
    "TEST-VECTOR-3-public-Schlüssel-δοκιμή-0123456789",
)
PURPOSES = ("kid", "cookie-mac", "record-mac", "field-encryption", "client-mac")
SESSION_IDS = ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-")
NAMESPACES = ("fluidauth", "shop-2.test")
NONCE = bytes(range(12))
PLAIN = {
    "fields": {"cart": [1, 2.5, None, True, {"ä": '\u20ac\n"'}], "": -7},
    "deadline": 1_700_086_400,
    "idle": 3600,
    "persistent": True,
    "auth_time": 1_700_000_000,
}
ENCRYPTED = {
    "fields": {"email": "ada@example.org", "theme": "dark"},
    "deadline": 1_700_086_400,
    "idle": None,
    "persistent": False,
    "auth_time": None,
}
TOMBSTONE = {"successor": "ab" * 32, "reason": "regenerate", "deadline": 1_700_000_060}


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, sha256).digest()


def fields(*parts: bytes) -> bytes:
    return b"".join(pack(">I", len(part)) + part for part in parts)


def subkey(secret: str, purpose: str) -> bytes:
    root = mac(b"fluidauth/1/extract", secret.encode())  # RFC 5869: extract, then one block of expand
    return mac(root, b"fluidauth/1/" + purpose.encode() + b"\x01")


def kid(secret: str) -> bytes:
    return b32encode(subkey(secret, "kid"))[:6].lower()


def token(secret: str, session_id: str) -> str:
    head = b"1.%s.%s" % (kid(secret), session_id.encode())
    tag = mac(subkey(secret, "cookie-mac"), fields(head))[:18]
    return (head + b"." + urlsafe_b64encode(tag)).decode()


def client_token(secret: str, session_id: str) -> str:
    head = b"fact1_%s.%s" % (kid(secret), session_id.encode())
    tag = mac(subkey(secret, "client-mac"), head)[:18]
    return (head + b"." + urlsafe_b64encode(tag)).decode()


def handle(namespace: str, session_id: str) -> str:
    return sha256(fields(b"fluidauth/1/handle", namespace.encode(), session_id.encode())).hexdigest()


def field_key(secret: str, of_handle: str) -> bytes:
    info = fields(b"fluidauth/1/session", of_handle.encode())
    return mac(subkey(secret, "field-encryption"), info + b"\x01")


def envelope(secret: str, of_handle: str, name: str, text: str) -> str:
    bound = fields(b"\x01", kid(secret), of_handle.encode(), name.encode())
    sealed = AESGCM(field_key(secret, of_handle)).encrypt(NONCE, text.encode(), bound)
    return b64encode(b"\x01" + kid(secret) + NONCE + sealed).decode()


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def payload(secret: str, record: dict[str, Any], body: list[Any], form: bytes) -> str:
    text = form + kid(secret) + compact(body).encode()
    user_id = record["user_id"]
    user = b"\x00" if user_id is None else b"\x01" + user_id.encode()
    times = pack(">Q", record["created_at"]), pack(">Q", record["version"])
    tag = mac(subkey(secret, "record-mac"), fields(record["handle"].encode(), user, *times, text))
    return (text + tag).hex()


def sealed(name: str, user_id: str | None, version: int, body: dict[str, Any], hidden: str = "") -> Any:
    secret = SECRETS[0]
    record: dict[str, Any] = {
        "handle": handle("fluidauth", SESSION_IDS[0]),
        "user_id": user_id,
        "created_at": 1_700_000_000,
        "version": version,
    }
    stored = [value for key, value in body.items() if key != "client"]
    if hidden:
        plain = {key: value for key, value in body["fields"].items() if key != hidden}
        locked = envelope(secret, record["handle"], hidden, compact(body["fields"][hidden]))
        stored = [plain, *stored[1:], {hidden: locked}]
    return {
        "name": name,
        "secret": secret,
        **record,
        "encrypted_field": hidden,
        "nonce": NONCE.hex(),
        "body": body,
        "payload": payload(secret, record, stored, b"\x02" if body.get("client") else b"\x01"),
    }


def vectors() -> dict[str, Any]:
    a_handle = handle("fluidauth", SESSION_IDS[0])
    return {
        "notice": NOTICE,
        "keys": [
            {
                "secret": secret,
                "kid": kid(secret).decode(),
                "subkeys": {purpose: subkey(secret, purpose).hex() for purpose in PURPOSES},
                "record_mac": {"message": "00ff", "mac": mac(subkey(secret, "record-mac"), b"\0\xff").hex()},
                "field_key": {"handle": a_handle, "key": field_key(secret, a_handle).hex()},
            }
            for secret in SECRETS
        ],
        "tokens": [
            {"secret": secret, "session_id": session_id, "token": token(secret, session_id)}
            for secret in SECRETS
            for session_id in SESSION_IDS
        ],
        "client_tokens": [
            {"secret": secret, "session_id": session_id, "token": client_token(secret, session_id)}
            for secret in SECRETS
            for session_id in SESSION_IDS
        ],
        "handles": [
            {"namespace": namespace, "session_id": session_id, "handle": handle(namespace, session_id)}
            for namespace in NAMESPACES
            for session_id in SESSION_IDS
        ],
        "payloads": [
            sealed("plain", "user-42", 1, PLAIN),
            sealed("anonymous", None, 7, PLAIN),
            sealed("encrypted", "Zoë", 2, ENCRYPTED, hidden="email"),
            sealed("tombstone", None, 3, TOMBSTONE),
            sealed("a client's", "user-42", 1, {**PLAIN, "client": True}),
        ],
    }


def text() -> str:
    """Return the whole content of ``vectors.json``."""
    return json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("vectors.json").write_text(text(), encoding="utf-8")
