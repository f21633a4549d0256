"""The one-time value: what a client holds, and what the session holds of it.

The value is 192 random bits. From it and the purpose HKDF-SHA256 (RFC 5869) makes three things: the id under
which the session knows it, and a key and nonce that encrypt its data (AES-256-GCM). So the store has nothing
from which to make the value, and cannot read the data. No key of ours is needed, so a rotation changes
nothing. Each key encrypts once.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fluidauth.records import length_prefixed

_LABEL = b"fluidauth/1/one-time"
_ID, _KEY, _NONCE = 16, 32, 12  # bytes
SHORTEST = 22  # characters: 128 bits in base64
LONGEST = 512


def new_value() -> str:
    """Return a new value, 32 characters."""
    return secrets.token_urlsafe(24)


def id_of(purpose: str, value: str) -> str:
    """Return the id under which the session knows *value*, 22 characters."""
    return urlsafe_b64encode(_derived(purpose, value)[:_ID])[:22].decode("ascii")


def seal(purpose: str, value: str, text: str) -> str:
    """Return *text*, encrypted so that *value* opens it, once."""
    made = _derived(purpose, value)
    sealed = AESGCM(made[_ID : _ID + _KEY]).encrypt(made[-_NONCE:], text.encode("utf-8"), None)
    return urlsafe_b64encode(sealed).decode("ascii")


def unseal(purpose: str, value: str, sealed: str) -> str | None:
    """Return the text in *sealed*; None if *value* does not open it."""
    made = _derived(purpose, value)
    try:
        opened = AESGCM(made[_ID : _ID + _KEY]).decrypt(made[-_NONCE:], b64decode(sealed, b"-_"), None)
    except (InvalidTag, ValueError):
        return None
    return opened.decode("utf-8")


def _derived(purpose: str, value: str) -> bytes:
    info = length_prefixed(_LABEL, purpose.encode("utf-8"))
    return HKDF(hashes.SHA256(), _ID + _KEY + _NONCE, None, info).derive(value.encode("utf-8"))
