"""The token of a form: it shows that the page which holds it was made for this session.

``kid(6)`` ``.`` base64 of a mask(16) and of the masked MAC(16), 50 ASCII characters. The MAC is of the
session's handle, under a subkey of its own. The mask is new each time, so that compression of a page leaks
nothing of the MAC (BREACH, CVE-2013-3587).
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, urlsafe_b64encode

from fluidauth.keys import Keyring

_SIZE = 16  # bytes
_LENGTH = 50
_KID = 6


def make(keyring: Keyring, handle: str) -> str:
    """Return a token for the session *handle*, under the signing key."""
    key = keyring.signing
    mask = os.urandom(_SIZE)
    text = urlsafe_b64encode(mask + _masked(key.form_mac(handle.encode("ascii"))[:_SIZE], mask))
    return f"{key.kid}.{text.rstrip(b'=').decode('ascii')}"


def is_genuine(keyring: Keyring, handle: str, token: object) -> bool:
    """Return whether *token* is one for the session *handle*, under a key that verifies. Nothing raises."""
    if not isinstance(token, str) or len(token) != _LENGTH or not token.isascii() or token[_KID] != ".":
        return False
    key = keyring.find(token[:_KID])
    if key is None:
        return False
    try:
        raw = b64decode(token[_KID + 1 :] + "=", b"-_", validate=True)
    except ValueError:
        return False
    if len(raw) != 2 * _SIZE:
        return False
    given = _masked(raw[_SIZE:], raw[:_SIZE])
    return hmac.compare_digest(given, key.form_mac(handle.encode("ascii"))[:_SIZE])


def _masked(text: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(text, mask, strict=True))
