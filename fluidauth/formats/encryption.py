"""The envelope of one encrypted field: AES-256-GCM under a key of this session alone.

An envelope is base64 of a format byte, the kid (6 bytes), a nonce (12) and the
ciphertext with its tag. The additional data binds format, kid, handle and field
name. So an envelope that was moved to another field, session, namespace or key does not
open. The kid picks one key, and no other key is tried.
"""

from __future__ import annotations

import os
from binascii import a2b_base64, b2a_base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fluidauth.errors import FieldFormatError, FieldKeyMissing, FieldTampered
from fluidauth.keys import Key, Keyring

_FORMAT = b"\x01"
_NONCE_LENGTH = 12  # NIST SP 800-38D, section 8.2: 96 random bits
_HEAD_LENGTH = 7
_TAG_LENGTH = 16
_ONE, _SIX = (1).to_bytes(4, "big"), (6).to_bytes(4, "big")
_SHORTEST = _HEAD_LENGTH + _NONCE_LENGTH + 1 + _TAG_LENGTH


class FieldCipher:
    """Encrypts and decrypts the fields of the session *handle*.

    A key is derived for the session once for each kid that occurs.
    """

    __slots__ = ("_bound_handle", "_ciphers", "_handle", "_keyring")

    def __init__(self, keyring: Keyring, handle: str) -> None:
        self._keyring = keyring
        self._handle = handle
        self._bound_handle = len(handle).to_bytes(4, "big") + handle.encode("ascii")
        self._ciphers: dict[str, AESGCM] = {}

    def encrypt(self, field: str, text: str) -> str:
        """Return the envelope of *text* under the signing key, with a fresh nonce."""
        key = self._keyring.signing
        head = _FORMAT + key.kid.encode("ascii")
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = self._cipher(key).encrypt(nonce, text.encode("utf-8"), self._bound(head, field))
        return b2a_base64(head + nonce + sealed, newline=False).decode("ascii")

    def decrypt(self, field: str, envelope: object) -> str:
        """Return the text in *envelope*.

        Raise :class:`FieldFormatError`, :class:`FieldKeyMissing` or
        :class:`FieldTampered`, all with the same words.
        """
        raw = _unwrap(field, envelope)
        head, nonce = raw[:_HEAD_LENGTH], raw[_HEAD_LENGTH : _HEAD_LENGTH + _NONCE_LENGTH]
        key = self._keyring.find(head[1:].decode("latin-1"))
        if key is None:
            raise FieldKeyMissing(field)
        try:
            sealed = raw[_HEAD_LENGTH + _NONCE_LENGTH :]
            return self._cipher(key).decrypt(nonce, sealed, self._bound(head, field)).decode("utf-8")
        except (InvalidTag, UnicodeDecodeError):
            raise FieldTampered(field) from None

    def is_stale(self, envelope: str) -> bool:
        """Return whether *envelope* is under a key that the signing key must replace."""
        stale = self._keyring.stale
        # The head and two bytes more are twelve characters.
        return bool(stale) and a2b_base64(envelope[:12])[1:_HEAD_LENGTH].decode("latin-1") in stale

    def _cipher(self, key: Key) -> AESGCM:
        cipher = self._ciphers.get(key.kid)
        if cipher is None:
            cipher = self._ciphers[key.kid] = AESGCM(key.field_key(self._handle))
        return cipher

    def _bound(self, head: bytes, field: str) -> bytes:
        # Format, kid, handle and name, each behind its length.
        name = field.encode("utf-8")
        return b"".join(
            (_ONE, head[:1], _SIX, head[1:], self._bound_handle, len(name).to_bytes(4, "big"), name)
        )


def encrypted_by(envelope: object) -> str | None:
    """Return the id of the key that *envelope* says it is under; None if it is no envelope."""
    try:
        return _unwrap("", envelope)[1:_HEAD_LENGTH].decode("latin-1")
    except FieldFormatError:
        return None


def _unwrap(field: str, envelope: object) -> bytes:
    try:
        raw = a2b_base64(envelope, strict_mode=True)  # type: ignore[arg-type]  # any JSON value
    except (TypeError, ValueError):
        raise FieldFormatError(field) from None
    if len(raw) < _SHORTEST or raw[:1] != _FORMAT:
        raise FieldFormatError(field)
    return raw
