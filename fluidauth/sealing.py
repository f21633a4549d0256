"""Turn the fields of a session into a payload and back: JSON, encrypted fields, MAC.

A payload is a format byte, the kid of the seal (6 bytes), a JSON body and a MAC (32
bytes). The MAC covers handle, user id, created_at, version and the body as stored:
a row that was invented, altered or copied is not a session. Outside it, on purpose,
are ``expires_at`` (a touch stays cheap, and the sealed deadline caps it) and the
``kid`` column.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

from .encryption import FieldCipher
from .errors import FieldError, PayloadError, RecordTampered
from .jsonvalues import decode, encode
from .keys import Keyring
from .records import SessionRecord, length_prefixed

_FORMAT = b"\x01"
_BODY_START = 7  # behind the format byte and the kid
_MAC_LENGTH = 32

RenewalReason = Literal["login", "regenerate"]


class Locked(NamedTuple):
    """An encrypted field as stored, and why it could not be read, if it could not."""

    envelope: str
    error: FieldError | None


class Body(NamedTuple):
    """What the payload of a live session says. Times are Unix seconds, lengths seconds."""

    fields: dict[str, Any]
    deadline: int
    idle: int | None
    persistent: bool
    auth_time: int | None
    locked: Mapping[str, Locked] = {}
    """Encrypted fields as read; an unchanged one keeps its envelope when sealed again."""


class Tombstone(NamedTuple):
    """What is left under an old id: the handle that took its place, until *deadline*."""

    successor: str
    reason: RenewalReason
    deadline: int


class Sealer:
    """Seals and unseals the payloads of one engine.

    *encrypted* holds field names, or is ``"*"`` for all; *max_bytes* bounds a payload.
    """

    __slots__ = ("_encrypted", "_max_bytes", "keyring")

    def __init__(self, keyring: Keyring, encrypted: Collection[str], max_bytes: int) -> None:
        self.keyring = keyring
        self._encrypted = encrypted
        self._max_bytes = max_bytes

    def seal(self, record: SessionRecord, body: Body | Tombstone) -> SessionRecord:
        """Return *record* with *body* as its payload, under the signing key.

        Raise :class:`PayloadError` if it comes out larger than ``max_bytes``.
        """
        key = self.keyring.signing
        content = self._content(record.handle, body) if isinstance(body, Body) else body._asdict()
        text = _FORMAT + key.kid.encode("ascii") + encode(content).encode("utf-8")
        size = len(text) + _MAC_LENGTH
        if size > self._max_bytes:
            raise PayloadError(
                f"the session's payload is {size} bytes, more than max_payload={self._max_bytes}; "
                "store large values elsewhere and keep their key in the session"
            )
        return record._replace(payload=text + key.record_mac(_mac_input(record, text)))

    def unseal(self, record: SessionRecord) -> Body | Tombstone:
        """Return what *record* says; raise :class:`RecordTampered` unless a known key sealed it."""
        payload = record.payload
        if not isinstance(payload, bytes) or payload[:1] != _FORMAT:
            raise RecordTampered("format")
        key = self.keyring.find(self.sealed_by(record))
        if key is None:
            raise RecordTampered("unknown_key")
        text = payload[:-_MAC_LENGTH]
        try:
            mac = key.record_mac(_mac_input(record, text))
        except (AttributeError, TypeError, ValueError, OverflowError):  # a column of a wrong type
            raise RecordTampered("format") from None
        if not hmac.compare_digest(mac, payload[-_MAC_LENGTH:]):
            raise RecordTampered("mac")
        try:
            content = decode(text[_BODY_START:].decode("utf-8"))
            if "successor" in content:
                return Tombstone(**content)
            return self._body(record.handle, content)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise RecordTampered("format") from None

    @staticmethod
    def sealed_by(record: SessionRecord) -> str:
        """Return the kid under which *record* is sealed."""
        return record.payload[1:_BODY_START].decode("latin-1")

    def _content(self, handle: str, body: Body) -> dict[str, Any]:
        content = body._asdict()
        del content["locked"]
        if not self._encrypted and not body.locked:
            return content
        cipher = FieldCipher(self.keyring, handle)
        encrypted = {name: locked.envelope for name, locked in body.locked.items() if locked.error}
        plain = {}
        for name, value in body.fields.items():
            if self._encrypted != "*" and name not in self._encrypted:
                plain[name] = value
                continue
            kept = body.locked.get(name)
            if kept and not kept.error and cipher.is_current(kept.envelope):
                encrypted[name] = kept.envelope
            else:
                encrypted[name] = cipher.encrypt(name, encode(value))
        # A map of their own: no value that an application stores can pass for ciphertext.
        return {**content, "fields": plain, "encrypted": encrypted}

    def _body(self, handle: str, content: dict[str, Any]) -> Body:
        locked: dict[str, Locked] = {}
        encrypted = content.pop("encrypted", None)
        body = Body(**content, locked=locked)
        if type(body.deadline) is not int or type(body.fields) is not dict:
            raise TypeError("not a session's body")
        if encrypted:
            cipher = FieldCipher(self.keyring, handle)
            for name, envelope in encrypted.items():
                try:
                    body.fields[name] = decode(cipher.decrypt(name, envelope))
                    locked[name] = Locked(envelope, None)
                except FieldError as error:
                    locked[name] = Locked(envelope, error)
        return body


def _mac_input(record: SessionRecord, text: bytes) -> bytes:
    user_id = record.user_id
    return length_prefixed(
        record.handle.encode("ascii"),
        b"\x00" if user_id is None else b"\x01" + user_id.encode("utf-8"),
        record.created_at.to_bytes(8, "big"),
        record.version.to_bytes(8, "big"),
        text,
    )
