"""Payloads: what was sealed comes back, and nothing else does."""

from __future__ import annotations

import base64
import json
import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import CookieOptions, Keyring, Lifetime, MemoryStore, PayloadError, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.errors import FieldError, FieldFormatError, FieldKeyMissing, FieldTampered, RecordTampered
from fluidauth.events import Notice
from fluidauth.formats.encryption import FieldCipher
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import Key, new_secret
from fluidauth.records import Body, SessionRecord, Tombstone, handle_of, handle_prefix, length_prefixed
from fluidauth.rules.loading import open_record
from fluidauth.rules.policy import Policy
from fluidauth.session.state import State
from fluidauth.session.wish import Credential

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


def content_of(record: SessionRecord) -> list[Any]:
    """Return the body of *record* as stored."""
    return json.loads(record.payload[7:-32])  # type: ignore[no-any-return]  # of any JSON


# -- what goes in comes out --------------------------------------------------------------------

TEXT = st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(fields=st.dictionaries(TEXT | st.sampled_from(["email", "phone"]), VALUES, max_size=5))
@pytest.mark.parametrize("sealer", [PLAIN, SECRETIVE, ALL], ids=["plain", "two encrypted", "all encrypted"])
def test_values_of_every_json_type_come_back(sealer: Sealer, fields: dict[str, Any]) -> None:
    """The same values of the same types, ``True`` and ``1`` and ``1.0`` and ``-0.0`` told apart."""
    sealed = sealer.seal(RECORD, body_of(fields))

    opened = open_fields(sealer, sealed)

    assert opened == fields
    assert {name: repr(value) for name, value in opened.items()} == {n: repr(v) for n, v in fields.items()}


@pytest.mark.parametrize(
    "body",
    [
        Body({}, NOW, None, False, None),
        Body({"a": 1}, NOW + 1, 60, True, NOW),
        Tombstone(OTHER_HANDLE, "login", NOW + 60),
        Tombstone(OTHER_HANDLE, "regenerate", NOW + 60),
    ],
)
@pytest.mark.parametrize("user_id", [None, "user-42", "Zoë", "\x00"])
def test_bodies_come_back(body: Body | Tombstone, user_id: str | None) -> None:
    """Deadline, idle seconds, persistence and auth_time of a session; successor and reason of a tombstone."""
    record = RECORD._replace(user_id=user_id)

    sealed = PLAIN.seal(record, body)

    assert PLAIN.unseal(sealed) == body
    assert sealed._replace(payload=b"") == record


def test_a_body_is_json_between_kid_and_mac() -> None:
    """Compact, in UTF-8: what a store keeps can be read by eye."""
    sealed = PLAIN.seal(RECORD, body_of({"n": "é", "l": (1, 2)}))

    assert sealed.payload[:7] == b"\x01" + KEY.kid.encode()
    assert sealed.payload[7:-32].decode() == ('[{"n":"é","l":[1,2]},1700086400,3600,true,1700000000]')


# -- tampering, without a key -------------------------------------------------------------------------


def bit_flips(column: str) -> Iterator[SessionRecord]:
    """Yield the sealed record with each single bit of *column* flipped."""
    sealed = SECRETIVE.seal(RECORD, body_of(FIELDS))
    value = getattr(sealed, column)
    if isinstance(value, int):
        for bit in range(64):
            changed: dict[str, Any] = {column: value ^ 1 << bit}
            yield sealed._replace(**changed)
        return
    for place in range(len(value)):
        for bit in range(8):
            if isinstance(value, bytes):
                flipped: Any = value[:place] + bytes([value[place] ^ 1 << bit]) + value[place + 1 :]
            else:
                flipped = value[:place] + chr(ord(value[place]) ^ 1 << bit) + value[place + 1 :]
            yield sealed._replace(**{column: flipped})


@pytest.mark.requirement("24", "26")
@pytest.mark.parametrize(
    ("column", "bits"),
    [("payload", None), ("handle", 512), ("user_id", 56), ("created_at", 64), ("version", 64)],
)
def test_no_bit_of_a_row_can_be_flipped(column: str, bits: int | None) -> None:
    """Each bit of the columns under the MAC matters, the auth_time among them."""
    reasons = [refusal(SECRETIVE, flipped) for flipped in bit_flips(column)]

    assert len(reasons) == bits or bits is None
    assert set(reasons) <= {"mac", "format", "unknown_key"}
    assert "mac" in reasons


@pytest.mark.requirement("26")
@pytest.mark.parametrize("column", ["payload", "handle", "user_id", "created_at", "version"])
def test_a_flipped_row_is_told_to_the_operator(column: str) -> None:
    """It opens nothing, and ``record_tampered`` says so."""
    policy = Policy.of(SECRETIVE, CookieOptions(), Lifetime(86_400, 3600), "fluidauth")
    flipped = next(bit_flips(column))

    found = open_record(policy, flipped, flipped.handle, NOW)

    assert isinstance(found, Notice)
    assert (found.name, found.handle, found.user_id) == ("record_tampered", flipped.handle, None)


@pytest.mark.requirement("26")
@pytest.mark.parametrize(
    "columns",
    [
        {"handle": OTHER_HANDLE},
        {"handle": HANDLE.upper()},
        {"handle": handle_of(handle_prefix("other"), SESSION_ID)},
        {"user_id": "user-43"},
        {"user_id": None},
        {"user_id": ""},
        {"user_id": "user-42 "},
        {"created_at": NOW + 1},
        {"version": 2},
        {"version": 4},
        {"handle": HANDLE + "u", "user_id": "ser-42"},
        {"handle": HANDLE[:-1], "user_id": HANDLE[-1] + "user-42"},
    ],
    ids=str,
)
def test_a_row_cannot_be_copied_or_given_away(columns: dict[str, Any]) -> None:
    """Not to another id, user or namespace; an older version does not pass for a newer one."""
    sealed = PLAIN.seal(RECORD, body_of(FIELDS))

    assert refusal(PLAIN, sealed._replace(**columns)) == "mac"


@pytest.mark.requirement("26")
def test_no_user_differs_from_every_user() -> None:
    """An anonymous row does not become that of a user whose id looks like none."""
    anonymous = PLAIN.seal(RECORD._replace(user_id=None), body_of({}))

    reasons = {refusal(PLAIN, anonymous._replace(user_id=name)) for name in ("", "\x00", "None", "null")}

    assert reasons == {"mac"}


@pytest.mark.requirement("27")
def test_a_row_that_answers_another_question_is_refused() -> None:
    """Whoever's genuine row a desynchronised connection returns, it is not this session's."""
    policy = Policy.of(PLAIN, CookieOptions(), Lifetime(86_400, 3600), "fluidauth")
    theirs = PLAIN.seal(RECORD._replace(handle=OTHER_HANDLE), body_of(FIELDS))

    found = open_record(policy, theirs, HANDLE, NOW)

    assert found == Notice("record_tampered", "handle", HANDLE)


@pytest.mark.requirement("26")
@pytest.mark.parametrize("expires_at", [NOW + 86_399, NOW + 86_400, 2**62])
def test_an_extended_row_ends_at_its_sealed_deadline(expires_at: int) -> None:
    """``expires_at`` is outside the MAC, so that a touch is cheap, and can only be the earlier end."""
    policy = Policy.of(PLAIN, CookieOptions(), Lifetime(86_400, 3600), "fluidauth")
    record = PLAIN.seal(RECORD, body_of(FIELDS))._replace(expires_at=expires_at)

    before = open_record(policy, record, HANDLE, NOW + 86_398)
    after = open_record(policy, record, HANDLE, NOW + 86_400)

    assert isinstance(before, Body)
    assert after == Notice("session_expired", None, HANDLE, "user-42")


WRONG_TYPES: list[dict[str, Any]] = [
    {"handle": None},
    {"handle": b"\x00" * 32},
    {"handle": 7},
    {"handle": "é" * 64},
    {"user_id": 42},
    {"user_id": b"user-42"},
    {"user_id": "\ud800"},
    {"created_at": None},
    {"created_at": "1700000000"},
    {"created_at": 1.5},
    {"created_at": -1},
    {"created_at": 2**64},
    {"version": None},
    {"version": "3"},
    {"version": 3.0},
    {"version": -1},
    {"version": 2**64},
    {"payload": None},
    {"payload": "text"},
    {"payload": 7},
    {"payload": b""},
    {"payload": b"\x00"},
    {"payload": b"\x01"},
    {"payload": b"\x02" + b"x" * 100},
    {"payload": b"\x01" + KEY.kid.encode()},
    {"payload": b"\x01" + KEY.kid.encode() + b"\x00" * 31},
    {"payload": b"\x01" + KEY.kid.encode() + b"\x00" * 32},
    {"payload": b"\x01\xff\xff\xff\xff\xff\xff" + b"\x00" * 40},
    {"payload": pickle.dumps({"a": 1})},
    {"payload": b"\x01\x5a" * 5_000_000},
    {"expires_at": None},
    {"expires_at": "never"},
    {"kid": None},
    {"kid": 7},
]


@pytest.mark.requirement("26", "42")
@pytest.mark.parametrize("columns", WRONG_TYPES, ids=lambda columns: str(columns)[:40])
def test_columns_of_wrong_types_open_nothing(columns: dict[str, Any]) -> None:
    """A row that somebody with write access broke is refused, never an exception; kid is outside the MAC."""
    policy = Policy.of(PLAIN, CookieOptions(), Lifetime(86_400, 3600), "fluidauth")
    record = PLAIN.seal(RECORD, body_of(FIELDS))._replace(**columns)

    found = open_record(policy, record, record.handle, NOW)

    if "kid" in columns:
        assert isinstance(found, Body)
    else:
        assert isinstance(found, Notice)
        assert found.name == "record_tampered"


@pytest.mark.requirement("26")
@settings(max_examples=500)
@given(st.binary() | st.binary(min_size=32).map(lambda rest: b"\x01" + KEY.kid.encode() + rest))
def test_no_invented_payload_opens(payload: bytes) -> None:
    """Whatever bytes stand in the column, they are refused with a reason."""
    assert refusal(PLAIN, RECORD._replace(payload=payload)) in ("format", "unknown_key", "mac")


@pytest.mark.requirement("26", "33")
@pytest.mark.parametrize("length", [0, 1, 18, 31, 33])
def test_the_mac_has_its_whole_length(length: int) -> None:
    """A truncated or padded one does not pass, nor one of another key."""
    sealed = PLAIN.seal(RECORD, body_of(FIELDS))
    text, mac = sealed.payload[:-32], sealed.payload[-32:]

    reasons = [
        refusal(PLAIN, RECORD._replace(payload=text + (mac + b"\x00")[:length])),
        refusal(PLAIN, RECORD._replace(payload=text + OLD_KEY.record_mac(text))),
        refusal(PLAIN, RECORD._replace(payload=text + KEY.cookie_mac(text[:41]))),
    ]

    assert reasons == ["mac"] * 3


@pytest.mark.requirement("26", "29")
def test_a_row_is_opened_by_the_key_that_it_names() -> None:
    """An older key still opens its rows; a key that was taken away opens none."""
    before = Sealer(Keyring(OLD_KEY), (), LIMIT).seal(RECORD, body_of(FIELDS))
    renamed = before._replace(payload=before.payload.replace(OLD_KEY.kid.encode(), KEY.kid.encode(), 1))

    assert open_fields(PLAIN, before) == FIELDS
    assert refusal(PLAIN, renamed) == "mac"
    assert refusal(Sealer(KEYRING, (), LIMIT), before) == "unknown_key"


# -- tampering, with a key ------------------------------------------------------------------------------


def live(
    fields: str = "{}", deadline: str = "1700086400", idle: str = "null", auth: str = "null", more: str = ""
) -> str:
    """Return the text of a session's body."""
    return f"[{fields},{deadline},{idle},true,{auth}{more}]"


def grave(successor: str = f'"{OTHER_HANDLE}"', reason: str = '"login"', deadline: str = "1700000060") -> str:
    """Return the text of a tombstone."""
    return f"[{successor},{reason},{deadline}]"


def test_crafted_rows_open_if_they_are_right() -> None:
    """Proof that the rows below are refused for their bodies alone."""
    assert open_fields(PLAIN, crafted(live('{"a":1}').encode())) == {"a": 1}
    assert PLAIN.unseal(crafted(grave().encode())) == Tombstone(OTHER_HANDLE, "login", 1_700_000_060)


@pytest.mark.requirement("26", "42", "43")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"null",
        b"7",
        b"true",
        b'"text"',
        b"[]",
        b"{}",
        b'{"successor":"x","reason":"login","deadline":5}',
        b'{"a":1,"b":2,"c":3}',
        b"[{}]",
        b"[[],1700086400,null,true,null]",
        pickle.dumps([{}, 1_700_086_400, None, True, None]),
        b"\x80\x04\x95",
        live('{"a":"\xff"}').encode("latin-1"),
        live('{"a":"\ud800"}').encode("utf-8", "surrogatepass"),
        live('{"a":NaN}').encode(),
        live('{"a":Infinity}').encode(),
        live('{"a":-Infinity}').encode(),
        live('{"a":' + "[" * 100_000 + "]" * 100_000 + "}").encode(),
        b"[" * 100_000,
        b'[{"a":' * 100_000,
        live('{"a":' + "7" * 5000 + "}").encode(),
        live("null").encode(),
        live('"text"').encode(),
        live().encode() + b"x",
        live().encode() + b"\x00",
        live(deadline="null").encode(),
        live(deadline='"never"').encode(),
        live(deadline="1e30").encode(),
        live(deadline="true").encode(),
        live(more=',["email"]').encode(),
        live(more=',"email"').encode(),
        live(more=",null").encode(),
        live(more=",{},{}").encode(),
        grave(successor="7").encode(),
        grave(successor="null").encode(),
        grave(reason="7").encode(),
        grave(deadline='"x"').encode(),
        grave(deadline="null").encode(),
        f'["{OTHER_HANDLE}","login"]'.encode(),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_a_crafted_body_is_refused(body: bytes) -> None:
    """Not even the holder of a key makes a row raise anything but RecordTampered, or run code."""
    assert refusal(PLAIN, crafted(body)) == "format"


@pytest.mark.requirement("26")
@pytest.mark.parametrize(
    "body",
    [
        live(idle='"x"'),
        live(idle="1.5"),
        live(auth='"x"'),
        live().replace("true", '"x"'),
        grave(reason='"other"'),
        grave(successor='"x"'),
    ],
)
def test_a_crafted_body_of_wrong_types_is_refused(body: str) -> None:
    """What would raise later, when the session is saved or followed, is refused when it is read."""
    policy = Policy.of(PLAIN, CookieOptions(), Lifetime(86_400, 3600), "fluidauth")

    found = open_record(policy, crafted(body.encode()), HANDLE, NOW)

    assert found == Notice("record_tampered", "format", HANDLE)


# -- encrypted fields -------------------------------------------------------------------------------------


def with_envelopes(**envelopes: Any) -> SessionRecord:
    """Return a genuine row with *envelopes* in the map of encrypted fields."""
    return crafted(live('{"theme":"dark"}', more="," + json.dumps(envelopes)).encode())


def envelope_of(
    field: str = "email", text: str = '"ada@example.org"', handle: str = HANDLE, ring: Keyring = RING
) -> str:
    return FieldCipher(ring, handle).encrypt(field, text)


def altered(place: int, byte: int | None = None) -> str:
    raw = bytearray(base64.b64decode(envelope_of()))
    raw[place] = raw[place] ^ 1 if byte is None else byte
    return base64.b64encode(raw).decode()


def renamed(kid: str, ring: Keyring = RING) -> str:
    raw = base64.b64decode(envelope_of(ring=ring))
    return base64.b64encode(raw[:1] + kid.encode() + raw[7:]).decode()


def cut(start: int, end: int | None) -> str:
    return base64.b64encode(base64.b64decode(envelope_of())[start:end]).decode()


GENUINE = base64.b64decode(envelope_of())
BAD_ENVELOPES: list[tuple[str, Any, type[FieldError]]] = [
    ("another field", envelope_of(field="phone"), FieldTampered),
    ("another field's prefix", envelope_of(field="emai"), FieldTampered),
    ("another session", envelope_of(handle=OTHER_HANDLE), FieldTampered),
    ("another namespace", envelope_of(handle=handle_of(handle_prefix("b"), SESSION_ID)), FieldTampered),
    ("another key's kid", renamed(OLD_KEY.kid), FieldTampered),
    ("another key, our kid", renamed(KEY.kid, Keyring(OLD_KEY)), FieldTampered),
    ("unknown kid", renamed("aaaaaa"), FieldKeyMissing),
    ("kid in capitals", renamed(KEY.kid.upper()), FieldKeyMissing),
    ("kid not ASCII", altered(3, 0xFF), FieldKeyMissing),
    ("format 0", altered(0, 0), FieldFormatError),
    ("format 2", altered(0, 2), FieldFormatError),
    ("nonce", altered(7), FieldTampered),
    ("ciphertext", altered(19), FieldTampered),
    ("tag", altered(-1), FieldTampered),
    ("tag zeroed", base64.b64encode(GENUINE[:-16] + b"\0" * 16).decode(), FieldTampered),
    ("nonce cut", base64.b64encode(GENUINE[:7] + GENUINE[8:]).decode(), FieldTampered),
    ("cut at the end", cut(0, -1), FieldTampered),
    ("35 bytes", cut(0, 35), FieldFormatError),
    ("36 bytes", cut(0, 36), FieldTampered),
    ("head alone", cut(0, 7), FieldFormatError),
    ("empty", "", FieldFormatError),
    ("no base64", "!" * 60, FieldFormatError),
    ("no ASCII", "é" * 60, FieldFormatError),
    ("surrogate", "\ud800", FieldFormatError),
    ("padding lost", envelope_of().rstrip("="), FieldFormatError),
    ("line break within", envelope_of()[:40] + "\n" + envelope_of()[40:], FieldFormatError),
    ("plain text", "ada@example.org", FieldFormatError),
    ("number", 7, FieldFormatError),
    ("null", None, FieldFormatError),
    ("list", [envelope_of()], FieldFormatError),
    ("object", {"$enc": envelope_of()}, FieldFormatError),
    ("true", True, FieldFormatError),
]


@pytest.mark.requirement("39", "40")
@pytest.mark.parametrize(
    ("envelope", "kind"), [case[1:] for case in BAD_ENVELOPES], ids=[case[0] for case in BAD_ENVELOPES]
)
def test_an_envelope_opens_only_where_it_was_sealed(envelope: Any, kind: type[FieldError]) -> None:
    """Moved, altered or cut it gives a typed error of uniform text, and never a value."""
    body = SECRETIVE.unseal(with_envelopes(email=envelope, phone=envelope_of("phone", '"+44 1"')))

    assert isinstance(body, Body)
    assert body.fields == {"theme": "dark", "phone": "+44 1"}
    error = body.locked["email"].error
    assert type(error) is kind
    assert str(error) == "encrypted session field 'email' cannot be read"
    assert error.field == "email"
    assert error.__cause__ is None


@pytest.mark.requirement("39", "40")
def test_each_bit_of_an_envelope_matters() -> None:
    """One flip anywhere gives a FieldError."""
    cipher, opened = FieldCipher(RING, HANDLE), 0
    for place in range(len(GENUINE)):
        for bit in range(8):
            flipped = bytearray(GENUINE)
            flipped[place] ^= 1 << bit
            with pytest.raises(FieldError):
                cipher.decrypt("email", base64.b64encode(flipped).decode())
            opened += 1

    assert opened == 8 * len(GENUINE) == 8 * (7 + 12 + 17 + 16)


@pytest.mark.requirement("40")
@pytest.mark.parametrize("text", ["not json", "", "NaN", "[" * 100_000, "1 2"], ids=lambda text: text[:10])
def test_plaintext_that_is_not_json_makes_no_value(text: str) -> None:
    """Only the holder of a key can make one; the row is refused as a whole."""
    assert refusal(SECRETIVE, with_envelopes(email=envelope_of(text=text + " "))) == "format"


def opened_as(sealer: Sealer, record: SessionRecord) -> Session:
    """Return the session in a row, as a request would be given it."""
    body = sealer.unseal(record)
    assert isinstance(body, Body)
    visit = Visit(SessionEngine(new_secret(), MemoryStore(), clock=lambda: NOW).requests)
    visit.found = State(Credential("", "", KEY.kid, HANDLE), record, body)
    return Session(visit)


@pytest.mark.requirement("40")
@pytest.mark.parametrize(
    "access",
    [
        lambda session: session["email"],
        lambda session: session.get("email"),
        lambda session: session.get("email", "default"),
        lambda session: session.setdefault("email", "default"),
        lambda session: session.pop("email"),
        lambda session: session.pop("email", None),
    ],
    ids=["[]", "get", "get with default", "setdefault", "pop", "pop with default"],
)
def test_a_field_without_its_key_raises_and_the_rest_works(access: Any) -> None:
    """Never None, a default or ciphertext; the other fields are read and written as ever."""
    record = with_envelopes(email=renamed("aaaaaa"))
    session = opened_as(SECRETIVE, record)

    with pytest.raises(FieldKeyMissing) as caught:
        access(session)

    assert str(caught.value) == "encrypted session field 'email' cannot be read"
    assert session["theme"] == "dark"
    assert session.get("none") is None
    assert dict(session) == {"theme": "dark"}
    assert "email" not in session
    session["theme"] = "light"
    assert session["theme"] == "light"


@pytest.mark.requirement("40")
def test_an_unreadable_field_survives_until_its_key_is_back() -> None:
    """Saves carry its envelope along; a value put in its place replaces it."""
    old_ring = Keyring(OLD_KEY)
    record = with_envelopes(email=envelope_of(ring=old_ring))
    without = Sealer(KEYRING, ("email",), LIMIT)
    body = without.unseal(record)
    assert isinstance(body, Body)

    saved = without.seal(record, body._replace(fields={"theme": "light"}))
    replaced = without.seal(record, body._replace(fields={"email": "new"}, locked={}))

    assert content_of(saved)[5] == content_of(record)[5]
    assert open_fields(SECRETIVE, saved) == {"theme": "light", "email": "ada@example.org"}
    assert open_fields(SECRETIVE, replaced) == {"email": "new"}


def put_and_delete(session: Session) -> None:
    session["email"] = "new"
    del session["email"]


@pytest.mark.requirement("40")
@pytest.mark.parametrize(
    "remove",
    [Session.clear, put_and_delete, lambda session: session.__delitem__("email")],
    ids=["clear", "put and del", "del"],
)
def test_an_unreadable_field_can_be_removed(remove: Any) -> None:
    """What the application removed does not come back with its key."""
    cookie = CookieOptions(secure=False)
    engine = SessionEngine(
        SECRET, MemoryStore(), encrypted_fields=["email"], cookie=cookie, clock=lambda: NOW
    )
    engine.requests.store.create(with_envelopes(email=envelope_of(ring=Keyring(OLD_KEY))))

    with engine.edit(HANDLE) as session:
        remove(session)

    stored = engine.requests.store.get(HANDLE)
    assert stored is not None
    assert "email" not in open_fields(SECRETIVE, stored)


def test_an_unchanged_field_keeps_its_envelope_until_the_key_changes() -> None:
    """No nonce is spent on what did not change; a rotation encrypts anew."""
    before = Sealer(Keyring(OLD_KEY), ("email", "phone"), LIMIT)
    first = before.seal(RECORD, body_of(FIELDS))
    body = before.unseal(first)
    assert isinstance(body, Body)

    again = before.seal(RECORD, body._replace(locked={k: v for k, v in body.locked.items() if k != "phone"}))
    rotated = SECRETIVE.seal(RECORD, body)

    envelopes = [content_of(record)[5] for record in (first, again, rotated)]
    assert envelopes[0]["email"] == envelopes[1]["email"]
    assert envelopes[0]["phone"] != envelopes[1]["phone"]
    assert {base64.b64decode(e)[1:7].decode() for e in envelopes[2].values()} == {KEY.kid}
    assert open_fields(Sealer(KEYRING, (), LIMIT), rotated) == FIELDS


@pytest.mark.requirement("38")
def test_ciphertext_hides_values_and_plain_fields_stay_plain() -> None:
    """Encrypted fields are in a map of their own; ``"*"`` leaves none in the clear."""
    some = SECRETIVE.seal(RECORD, body_of(FIELDS)).payload
    everything = ALL.seal(RECORD, body_of(FIELDS)).payload

    assert b"dark" in some
    assert not [word for word in (b"ada@", b"+44") if word in some]
    assert not [word for word in (b"ada@", b"+44", b"dark") if word in everything]


@pytest.mark.requirement("38")
def test_nonces_do_not_repeat() -> None:
    """A hundred thousand envelopes of one session and one text, all different."""
    cipher = FieldCipher(KEYRING, HANDLE)

    nonces = {base64.b64decode(cipher.encrypt("email", '"x"'))[7:19] for _ in range(100_000)}

    assert len(nonces) == 100_000


@pytest.mark.requirement("38")
def test_nonces_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve bytes of ``os.urandom``, once for each field."""
    asked = []

    def urandom(length: int) -> bytes:
        asked.append(length)
        return b"\x07" * length

    monkeypatch.setattr(os, "urandom", urandom)

    envelope = base64.b64decode(FieldCipher(KEYRING, HANDLE).encrypt("email", '"x"'))

    assert asked == [12]
    assert envelope[7:19] == b"\x07" * 12


@pytest.mark.requirement("38")
def test_the_key_of_a_field_is_derived_for_its_session() -> None:
    """With nonce and text alike, two sessions or two secrets have nothing in common."""
    keys = [key.field_key(handle) for key in (KEY, OLD_KEY) for handle in (HANDLE, OTHER_HANDLE)]

    assert len(set(keys)) == 4
    assert {len(key) for key in keys} == {32}


@pytest.mark.requirement("41")
@pytest.mark.parametrize("sealer", [PLAIN, SECRETIVE, ALL], ids=["plain", "two encrypted", "all encrypted"])
@pytest.mark.parametrize(
    "value",
    [
        {"$enc": "x"},
        {"encrypted": {"email": envelope_of()}},
        {"successor": OTHER_HANDLE, "reason": "login", "deadline": NOW},
        envelope_of(),
        envelope_of(field="note"),
        "\x01" + KEY.kid + "x" * 40,
        "AQ==",
        [{}, NOW, None, True, None, {"email": envelope_of()}],
        [OTHER_HANDLE, "login", NOW],
    ],
    ids=[
        "tag",
        "map of ciphertext",
        "tombstone",
        "envelope",
        "own envelope",
        "head",
        "base64",
        "body",
        "grave",
    ],
)
def test_data_that_looks_like_ciphertext_is_data(sealer: Sealer, value: Any) -> None:
    """It comes back verbatim, under any name, and no map holds what belongs into the other."""
    fields = {"note": value, "encrypted": value, "successor": value, "email": value, "locked": value}

    sealed = sealer.seal(RECORD, body_of(fields))

    plain, *_, encrypted = [*content_of(sealed), {}] if sealer is PLAIN else content_of(sealed)
    assert open_fields(sealer, sealed) == fields
    assert sorted([*plain, *encrypted]) == sorted(fields)


# -- limits -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("43")
@pytest.mark.parametrize("sealer", [PLAIN, Sealer(RING, (), 700)], ids=["64 KiB", "700"])
def test_a_payload_has_a_limit(sealer: Sealer) -> None:
    """The whole payload counts, seal and all; one byte more is refused when it is sealed."""
    limit = 700 if sealer is not PLAIN else 65_536
    frame = len(sealer.seal(RECORD, body_of({"a": ""})).payload)

    fitting = sealer.seal(RECORD, body_of({"a": "x" * (limit - frame)}))
    with pytest.raises(PayloadError) as caught:
        sealer.seal(RECORD, body_of({"a": "x" * (limit - frame + 1)}))

    assert len(fitting.payload) == limit
    assert open_fields(sealer, fitting)["a"] == "x" * (limit - frame)
    assert str(caught.value) == (
        f"the session's payload is {limit + 1} bytes, more than max_payload={limit}; "
        "store large values elsewhere and keep their key in the session"
    )


@pytest.mark.requirement("43")
def test_the_limit_counts_bytes() -> None:
    """Of UTF-8, not characters."""
    PLAIN.seal(RECORD, body_of({"a": "x" * 40_000}))

    with pytest.raises(
        PayloadError, match="the session's payload is 80081 bytes, more than max_payload=65536"
    ):
        PLAIN.seal(RECORD, body_of({"a": "é" * 40_000}))


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    "value", [float("nan"), 10**5000, object(), "\ud800"], ids=["nan", "digits", "object", "surrogate"]
)
@pytest.mark.parametrize("sealer", [PLAIN, ALL], ids=["plain", "encrypted"])
def test_what_slipped_past_the_check_is_refused_at_the_seal(sealer: Sealer, value: Any) -> None:
    """With PayloadError, so that nothing is stored that could not be read."""
    with pytest.raises(PayloadError):
        sealer.seal(RECORD, body_of({"a": value}))
