"""Records and keyrings for tests of the formats."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth import Keyring
from fluidauth.errors import RecordTampered
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import Key
from fluidauth.records import Body, SessionRecord, handle_of, handle_prefix, length_prefixed

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
OLD_SECRET = "TEST-ONLY-9876543210-nmlkjihgfedcba"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
HANDLE = handle_of(handle_prefix("fluidauth"), SESSION_ID)
OTHER_HANDLE = handle_of(handle_prefix("fluidauth"), SESSION_ID[::-1])
NOW = 1_700_000_000
LIMIT = 64 * 1024
KEYRING = Keyring.from_secrets(SECRET)
RING = Keyring.from_secrets([SECRET, OLD_SECRET])
KEY, OLD_KEY = RING.signing, Key(OLD_SECRET)
RECORD = SessionRecord(HANDLE, "user-42", NOW, NOW + 3600, 3, KEY.kid, b"")
PLAIN, SECRETIVE, ALL = (
    Sealer(RING, (), LIMIT),
    Sealer(RING, ("email", "phone"), LIMIT),
    Sealer(RING, "*", LIMIT),
)
FIELDS = {"theme": "dark", "email": "ada@example.org", "phone": "+44 1"}


def body_of(fields: dict[str, Any]) -> Body:
    return Body(fields, NOW + 86_400, 3600, True, NOW)


def open_fields(sealer: Sealer, record: SessionRecord) -> dict[str, Any]:
    body = sealer.unseal(record)
    assert isinstance(body, Body)
    return body.fields


def refusal(sealer: Sealer, record: SessionRecord) -> str:
    """Return the reason why *record* is refused; fail if it is not, or otherwise than it should."""
    with pytest.raises(RecordTampered) as caught:
        sealer.unseal(record)
    assert str(caught.value) == f"stored session refused: {caught.value.reason}"
    return caught.value.reason


def crafted(body: bytes, key: Key = KEY, record: SessionRecord = RECORD) -> SessionRecord:
    """Return *record* with any bytes as its body, under a genuine key."""
    assert record.user_id is not None
    text = b"\x01" + key.kid.encode() + body
    mac = key.record_mac(
        length_prefixed(
            record.handle.encode(),
            b"\x01" + record.user_id.encode(),
            record.created_at.to_bytes(8, "big"),
            record.version.to_bytes(8, "big"),
            text,
        )
    )
    return record._replace(payload=text + mac)


def live(
    fields: str = "{}", deadline: str = "1700086400", idle: str = "null", auth: str = "null", more: str = ""
) -> str:
    """Return the text of a session's body."""
    return f"[{fields},{deadline},{idle},true,{auth}{more}]"


def grave(successor: str = f'"{OTHER_HANDLE}"', reason: str = '"login"', deadline: str = "1700000060") -> str:
    """Return the text of a tombstone."""
    return f"[{successor},{reason},{deadline}]"
