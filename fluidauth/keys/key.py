"""Keys: what one secret may do, and for how long.

A secret is never used itself. HKDF-SHA256 (RFC 5869) extracts from it once, when it
is loaded, and expands one subkey for each purpose. Then the secret is dropped. The name
of a key is its ``kid``. It is derived, too, so a secret has the same kid wherever it is
read from. A token picks exactly one key, and no other key is ever tried.

Policy (NIST SP 800-57 part 1, section 7). The state of a key only moves forward:

=========== ======== ===== ======== ==================================================
state       verifies signs in ring  meaning
=========== ======== ===== ======== ==================================================
pending     yes      no    any      new: every process learns it before one signs with it
signing     yes      yes   one      signs cookies, seals rows, encrypts fields
verifying   yes      no    any      former: what is under it moves to the signing key by use
revoked     no       no    any      leaked or out of use: its secret is erased from the file
=========== ======== ===== ======== ==================================================

The order is pending → signing → verifying → revoked, and each state can go straight to
revoked. Any user who can write the keyring file may do all of this. Processes that serve
only read it.

Keep a key in service for at most a year. Keep a former key until no live session is under
it: ``fluidauth keys revoke --dry-run`` counts them. The latest time is when the longest
lifetime in use has passed since the last process signed with it.

An attacker with a leaked secret can sign cookies, but each still needs the random id of a
live session. With write access to the database the attacker can forge rows, too. With read
access to it the attacker can read encrypted fields. Revoke the key at once: that ends the
sessions whose cookie or row is under it. A leak of the keyring file is a leak of every
secret in it. A leak of the database alone gives neither usable ids nor encrypted fields, and
needs no rotation.
"""

from __future__ import annotations

import base64
from typing import NoReturn

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from fluidauth.errors import NoSigningKey
from fluidauth.records import length_prefixed
from fluidauth.secrecy import HoldsSecrets

_SALT = b"fluidauth/1/extract"
_LABEL = b"fluidauth/1/"
# The info of a session's field key, up to the handle, which is 64 characters after their length.
_SESSION_INFO = length_prefixed(_LABEL + b"session") + (64).to_bytes(4, "big")


class Key(HoldsSecrets):
    """The subkeys of one secret. It shows only its ``kid``, and cannot be copied or pickled."""

    __slots__ = (
        "_adoption_mac",
        "_client_mac",
        "_cookie_mac",
        "_field_root",
        "_form_mac",
        "_record_mac",
        "kid",
    )

    def __init__(self, secret: str | bytes) -> None:
        try:
            root = _extract(_as_bytes(secret))
        finally:
            del secret  # a traceback that prints locals must not show it
        self.kid: str = _kid(root)
        self._cookie_mac = hmac.HMAC(_expand(root, b"cookie-mac"), hashes.SHA256())
        self._client_mac = hmac.HMAC(_expand(root, b"client-mac"), hashes.SHA256())
        self._record_mac = hmac.HMAC(_expand(root, b"record-mac"), hashes.SHA256())
        self._form_mac = hmac.HMAC(_expand(root, b"csrf"), hashes.SHA256())
        self._adoption_mac = hmac.HMAC(_expand(root, b"adoption"), hashes.SHA256())
        self._field_root = hmac.HMAC(_expand(root, b"field-encryption"), hashes.SHA256())
        self._field_root.update(_SESSION_INFO)
        # A token up to its last dot is always 41 bytes: its length is part of the template.
        self._cookie_mac.update((41).to_bytes(4, "big"))

    def cookie_mac(self, text: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 of *text*, the 41 bytes before a token's MAC."""
        mac = self._cookie_mac.copy()
        mac.update(text)
        return mac.finalize()

    def client_mac(self, text: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 of *text*, which comes before the MAC of a client's token."""
        mac = self._client_mac.copy()
        mac.update(text)
        return mac.finalize()

    def record_mac(self, message: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 that seals a record."""
        mac = self._record_mac.copy()
        mac.update(message)
        return mac.finalize()

    def adoption_mac(self, message: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 of *message*, a cookie of a former system."""
        mac = self._adoption_mac.copy()
        mac.update(message)
        return mac.finalize()

    def form_mac(self, message: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 of *message*, the handle of a session, for its forms."""
        mac = self._form_mac.copy()
        mac.update(message)
        return mac.finalize()

    def field_key(self, handle: str) -> bytes:
        """Return the 32-byte AES key for the encrypted fields of one session.

        HKDF-Expand of one block is one HMAC, of the info and the byte 1 (RFC 5869, section
        2.3). From a template it takes 1.1 µs instead of 2.1.
        """
        mac = self._field_root.copy()
        mac.update(handle.encode("ascii") + b"\x01")
        return mac.finalize()

    def __repr__(self) -> str:
        return f"<Key {self.kid}>"


class NoKey(Key):
    """Stands for the signing key if there is none: it was revoked, and no other key signs yet."""

    __slots__ = ()

    def __init__(self) -> None:
        self.kid = "------"  # no kid has a dash

    def cookie_mac(self, text: bytes) -> NoReturn:
        self._refuse()

    def client_mac(self, text: bytes) -> NoReturn:
        self._refuse()

    def adoption_mac(self, message: bytes) -> NoReturn:
        self._refuse()

    def record_mac(self, message: bytes) -> NoReturn:
        self._refuse()

    def form_mac(self, message: bytes) -> NoReturn:
        self._refuse()

    def field_key(self, handle: str) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NoSigningKey("no key signs, because the signing key was revoked; promote another key")


def kid_of(secret: str | bytes) -> str:
    """Return the id of the key that *secret* makes, 6 characters."""
    try:
        return _kid(_extract(_as_bytes(secret)))
    finally:
        del secret  # as above


def _as_bytes(secret: str | bytes) -> bytes:
    # Files and shells add white space around text. Without it a secret has the same kid
    # wherever it is read from.
    return secret.strip().encode("utf-8") if isinstance(secret, str) else secret


def _extract(secret: bytes) -> bytes:
    mac = hmac.HMAC(_SALT, hashes.SHA256())  # RFC 5869, section 2.2
    mac.update(secret)
    return mac.finalize()


def _expand(root: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, _LABEL + purpose).derive(root)


def _kid(root: bytes) -> str:
    return base64.b32encode(_expand(root, b"kid"))[:6].decode("ascii").lower()
