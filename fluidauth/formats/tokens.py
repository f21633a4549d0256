"""The token: a session id that we signed, 66 ASCII characters.

``1.`` kid(6) ``.`` id(32) ``.`` mac(24). To check the MAC, we encode our own and compare
text. Nothing that a client sent is ever decoded, so a token has one spelling. The kid
picks one key, and no other key is tried.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from binascii import b2a_base64
from typing import Literal

from fluidauth.keys import Key, Keyring

from .cookies import TOKEN_LENGTH

Refusal = Literal["malformed", "unknown_key", "revoked_key", "bad_mac"]

_ID_BYTES = 24  # 192 bits; OWASP ASVS 5.0, 7.2.3 asks for 128
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
MAC_BYTES = 18  # divisible by three: base64 without padding, and so without second spellings


def new_session_id() -> str:
    """Return a new session id: 192 random bits as 32 base64url characters. A secret."""
    return urlsafe_b64encode(secrets.token_bytes(_ID_BYTES)).decode("ascii")


def derived_session_id(key: Key, message: bytes) -> str:
    """Return the session id for *message*, a secret of a former system."""
    return urlsafe_b64encode(key.adoption_mac(message)[:_ID_BYTES]).decode("ascii")


def sign(key: Key, session_id: str) -> str:
    """Return the token for *session_id*. The same key gives the same token every time."""
    head = f"1.{key.kid}.{session_id}"
    return f"{head}.{_mac(key, head.encode('ascii')).decode('ascii')}"


def verify(keyring: Keyring, token: str) -> tuple[str, str] | Refusal:
    """Return ``(session_id, kid)`` if *token* is genuine, or else why it is not.

    No text makes it raise. It takes one dict look-up and at most one HMAC, whatever the number of keys.
    For an unknown kid the keyring may look at its file, at most once a second.
    """
    if (
        len(token) != TOKEN_LENGTH
        or not token.isascii()
        or token[:2] != "1."
        or token[8] != "."
        or token[41] != "."
    ):
        return "malformed"
    kid = token[2:8]
    key = keyring.find(kid)
    if key is None:
        return "revoked_key" if kid in keyring.revoked else "unknown_key"
    given = token.encode("ascii")
    if not hmac.compare_digest(_mac(key, given[:41]), given[42:]):
        return "bad_mac"
    return token[9:41], kid


def _mac(key: Key, head: bytes) -> bytes:
    # As urlsafe_b64encode, without its two more calls.
    return b2a_base64(key.cookie_mac(head)[:MAC_BYTES], newline=False).translate(_URL_SAFE)
