"""Turn the fields of a session into a payload and back: JSON, encrypted fields, MAC.

A payload is a format byte, the kid of the seal (6 bytes), a JSON body and a MAC (32 bytes).
If a client's token opens the session, the format byte is another one. The body of a session
is an array, ``[fields, deadline, idle, persistent, auth_time]``. A map of encrypted fields
follows, if there are any, and then the engine's notes, if there are any. If all fields are encrypted, the
notes are as well. The body of a tombstone is ``[successor, reason, deadline]``. An
array takes 50 bytes less than an object, and is read in two thirds of the time.

The MAC covers handle, user id, created_at, version and the body as stored. So a row that was
invented, altered or copied is not a session. It does not cover the ``kid`` column, nor
``expires_at``: a touch stays cheap, and the sealed deadline limits it.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Collection
from typing import Any, Literal, get_args

from fluidauth.errors import FieldError, FieldKeyMissing, PayloadError, RecordTampered
from fluidauth.keys import Key, Keyring
from fluidauth.records import Body, Locked, RenewalReason, SessionRecord, Tombstone, is_handle

from .encryption import FieldCipher
from .json_values import decode, encode

_FORMAT = b"\x01"
_CLIENT_FORMAT = b"\x02"  # the same, of a session that a client's token opens
_BODY_START = 7  # after the format byte and the kid
_MAC_LENGTH = 32
_PLAIN_LENGTH = 5  # of a body without encrypted fields
_HANDLE_LENGTH = (64).to_bytes(4, "big")
_NUMBERS = struct.Struct(">IQIQI")

_REASONS = get_args(RenewalReason)
_NOTES = "\0notes"  # what encrypted notes are bound to, in the place of a field's name
_GRAVE_LENGTH = 3  # of a tombstone without a nonce
_GRAVE_START = b'["'  # where a session has its fields

Kind = Literal[
    "signed-in",
    "anonymous",
    "client",  # opened by a client's token
    "replaced",  # the tombstone of an id that was renewed
    "mark",  # when a user's sessions were ended, for logins that are under way
    "adoption",  # a note about a session of a former system, or about all of them
    "unknown",  # not of a form that is known here
]


class Sealer:
    """Seals and unseals the payloads of one engine.

    *encrypted* holds field names, or is ``"*"`` for all. *max_bytes* limits a payload.
    """

    __slots__ = ("_encrypted", "_max_bytes", "keyring")

    def __init__(self, keyring: Keyring, encrypted: Collection[str], max_bytes: int) -> None:
        self.keyring: Keyring = keyring
        self._encrypted = encrypted
        self._max_bytes = max_bytes

    def seal(self, record: SessionRecord, body: Body | Tombstone) -> SessionRecord:
        """Return *record* with *body* as its payload, under the signing key.

        Raise :class:`PayloadError` if it comes out larger than ``max_bytes``.
        """
        key = self.keyring.signing
        try:
            content = (
                self._content(record.handle, body, self._encrypted, self._encrypted == "*")
                if isinstance(body, Body)
                else list(body if body.nonce else body[:_GRAVE_LENGTH])
            )
            text = _format_of(body) + key.kid.encode("ascii") + encode(content).encode("utf-8")
        except UnicodeEncodeError as error:
            raise PayloadError("session fields have a lone surrogate, which UTF-8 cannot hold") from error
        size = len(text) + _MAC_LENGTH
        if size > self._max_bytes:
            raise PayloadError(
                f"the session's payload is {size} bytes, more than max_payload={self._max_bytes}; "
                "store large values elsewhere and keep their key in the session"
            )
        return _with_mac(key, record, text)

    def reseal(self, record: SessionRecord, opened: Body | Tombstone | None = None) -> SessionRecord:
        """Return the next version of *record*, with the same content under the signing key, of any size.

        Encrypted fields stay encrypted, and no others become it. If it was unsealed before,
        *opened* is the result. If not, raise :class:`RecordTampered` as :meth:`unseal` does.
        """
        body = self.unseal(record) if opened is None else opened
        text = record.payload[_BODY_START:-_MAC_LENGTH]
        if isinstance(body, Body) and (body.locked or _encrypts_notes(text)):
            content = self._content(record.handle, body, body.locked, _encrypts_notes(text))
            text = encode(content).encode("utf-8")
        key = self.keyring.signing
        following = record._replace(version=record.version + 1)
        return _with_mac(key, following, record.payload[:1] + key.kid.encode("ascii") + text)

    def unseal(self, record: SessionRecord) -> Body | Tombstone:
        """Return what *record* says; raise :class:`RecordTampered` unless a known key sealed it."""
        payload = record.payload
        if type(payload) is not bytes or ((form := payload[:1]) != _FORMAT and form != _CLIENT_FORMAT):
            raise RecordTampered("format")
        kid = payload[1:_BODY_START].decode("latin-1")
        key = self.keyring.find(kid)
        if key is None:
            raise RecordTampered("revoked_key" if kid in self.keyring.revoked else "unknown_key")
        text = payload[:-_MAC_LENGTH]
        try:
            mac = key.record_mac(_mac_input(record, text))
        except (AttributeError, TypeError, ValueError, struct.error):  # a column of a wrong type
            raise RecordTampered("format") from None
        if not hmac.compare_digest(mac, payload[-_MAC_LENGTH:]):
            raise RecordTampered("mac")
        return self.read(record)

    def read(self, record: SessionRecord) -> Body | Tombstone:
        """Do as :meth:`unseal`, for a record that was verified before."""
        payload = record.payload
        try:
            content = decode(str(payload[_BODY_START:-_MAC_LENGTH], "utf-8"))
            if type(content[0]) is dict:
                plain = len(content) == _PLAIN_LENGTH
                body = Body(*content) if plain else self._decrypted(record.handle, content)
                _, deadline, idle, persistent, auth_time, _, _, _ = body
                if (
                    type(deadline) is int
                    and type(persistent) is bool
                    and (idle is None or type(idle) is int)
                    and (auth_time is None or type(auth_time) is int)
                ):
                    return body if payload[:1] == _FORMAT else body._replace(client=True)
            elif (
                is_handle(content[0])
                and content[1] in _REASONS
                and type(content[2]) is int
                and all(type(each) is str for each in content[3:])
            ):
                return Tombstone(*content)
        except FieldKeyMissing:
            raise RecordTampered("unknown_key") from None
        except (FieldError, TypeError, ValueError, LookupError, AttributeError):
            pass  # sealed by a key of ours, but not of this form
        raise RecordTampered("format")

    def is_stale(self, record: SessionRecord) -> bool:
        """Return whether *record* is sealed under a key that the signing key must replace."""
        stale = self.keyring.stale
        return bool(stale) and sealed_by(record) in stale

    def _content(self, handle: str, body: Body, names: Collection[str], all_notes: bool) -> list[Any]:
        """Return *body* as it is stored, with the fields *names*, or all for ``"*"``, encrypted.

        Its notes are, too, if *all_notes* says so.
        """
        content = list(body[:_PLAIN_LENGTH])
        if not names and not body.locked:
            return [*content, {}, dict(body.notes)] if body.notes else content
        cipher = FieldCipher(self.keyring, handle)
        encrypted = {name: locked.envelope for name, locked in body.locked.items() if locked.error}
        plain = {}
        for name, value in body.fields.items():
            if names != "*" and name not in names:
                plain[name] = value
                continue
            kept = body.locked.get(name)
            if kept and not kept.error and not cipher.is_stale(kept.envelope):
                encrypted[name] = kept.envelope
            else:
                encrypted[name] = cipher.encrypt(name, encode(value))
        # They have their own map, so no value that an application stores can look like ciphertext.
        if not body.notes:
            return [plain, *content[1:], encrypted]
        notes = cipher.encrypt(_NOTES, encode(dict(body.notes))) if all_notes else dict(body.notes)
        return [plain, *content[1:], encrypted, notes]

    def _decrypted(self, handle: str, content: list[Any]) -> Body:
        fields, deadline, idle, persistent, auth_time, encrypted, *rest = content
        locked: dict[str, Locked] = {}
        cipher = FieldCipher(self.keyring, handle)
        for name, envelope in encrypted.items():
            try:
                fields[name] = decode(cipher.decrypt(name, envelope))
                locked[name] = Locked(envelope, None)
            except FieldError as error:
                locked[name] = Locked(envelope, error)
        if not rest:
            return Body(fields, deadline, idle, persistent, auth_time, locked)
        (notes,) = rest
        if isinstance(notes, str):
            notes = decode(cipher.decrypt(_NOTES, notes))
        if not notes or type(notes) is not dict:
            raise ValueError
        return Body(fields, deadline, idle, persistent, auth_time, locked, notes=notes)


def _encrypts_notes(text: bytes) -> bool:
    """Return whether the body *text* has notes that are encrypted."""
    return isinstance(decode(str(text, "utf-8"))[-1], str)


def is_client(record: SessionRecord) -> bool:
    """Return whether *record* says that a client's token opens it. Nothing is verified."""
    return record.payload[:1] == _CLIENT_FORMAT


def sealed_by(record: SessionRecord) -> str:
    """Return the id of the key that *record* says it is sealed by. Nothing is verified."""
    return record.payload[1:_BODY_START].decode("latin-1")


def successor_of(record: SessionRecord) -> str | None:
    """Return the handle that replaced *record*, if the record names one. Nothing is verified.

    A logout must follow it under a revoked key, too. A forged one only ends more sessions, and
    an attacker who can write it could delete them as well.
    """
    grave = _grave(record)
    return grave[0] if grave else None


def is_adoption(record: SessionRecord) -> bool:
    """Return whether *record* is a note about sessions of a former system. Nothing is verified."""
    grave = _grave(record)
    return grave is not None and _KINDS.get(grave[1]) == "adoption"


def kind_of(record: SessionRecord) -> Kind:
    """Return what *record* says that it is. Nothing is verified."""
    if record.payload[:1] not in (_FORMAT, _CLIENT_FORMAT):
        return "unknown"
    if record.payload[_BODY_START:].startswith(_GRAVE_START) and (grave := _grave(record)):
        return _KINDS.get(grave[1], "replaced")
    if is_client(record):
        return "client"
    return "anonymous" if record.user_id is None else "signed-in"


_KINDS: dict[str, Kind] = {"adopt": "adoption", "since": "mark"}


def _grave(record: SessionRecord) -> list[Any] | None:
    """Return the content of *record* as a tombstone; None if it is none."""
    try:
        content = decode(str(record.payload[_BODY_START:-_MAC_LENGTH], "utf-8"))
        return content if is_handle(content[0]) and len(content) > 1 else None
    except (TypeError, ValueError, LookupError):
        return None


def plain_fields(record: SessionRecord) -> dict[str, Any]:
    """Return the fields of *record* that are not encrypted; it was unsealed before."""
    fields: dict[str, Any] = decode(str(record.payload[_BODY_START:-_MAC_LENGTH], "utf-8"))[0]
    return fields


def _format_of(body: Body | Tombstone) -> bytes:
    return _CLIENT_FORMAT if isinstance(body, Body) and body.client else _FORMAT


def _with_mac(key: Key, record: SessionRecord, text: bytes) -> SessionRecord:
    return SessionRecord._make((*record[:-1], text + key.record_mac(_mac_input(record, text))))


def _mac_input(record: SessionRecord, text: bytes) -> bytes:
    handle, user_id, created_at, _, version, _, _ = record
    user = b"\x00" if user_id is None else b"\x01" + user_id.encode("utf-8")
    # Five fields, each behind its length; the numbers are eight bytes each.
    return b"".join(
        (
            _HANDLE_LENGTH,
            handle.encode("ascii"),
            len(user).to_bytes(4, "big"),
            user,
            _NUMBERS.pack(8, created_at, 8, version, len(text)),
            text,
        )
    )
