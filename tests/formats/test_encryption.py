"""Encrypted fields: where an envelope opens, and what becomes of one that does not."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest

from fluidauth import CookieOptions, Keyring, MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.errors import FieldError, FieldFormatError, FieldKeyMissing, FieldTampered
from fluidauth.formats.encryption import FieldCipher
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import new_secret
from fluidauth.records import Body, SessionRecord, handle_of, handle_prefix
from fluidauth.session.lazydict import LazyDict
from fluidauth.session.state import State
from fluidauth.session.wish import Credential
from tests.formats.records import (
    ALL,
    FIELDS,
    HANDLE,
    KEY,
    KEYRING,
    LIMIT,
    NOW,
    OLD_KEY,
    OTHER_HANDLE,
    PLAIN,
    RECORD,
    RING,
    SECRET,
    SECRETIVE,
    SESSION_ID,
    body_of,
    crafted,
    live,
    open_fields,
    refusal,
)


def content_of(record: SessionRecord) -> list[Any]:
    """Return the body of *record* as stored."""
    return json.loads(record.payload[7:-32])  # type: ignore[no-any-return]  # of any JSON


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


# ``LazyDict.clear`` is what ``clear()`` does where nobody is signed in.
def put_and_delete(session: Session) -> None:
    session["email"] = "new"
    del session["email"]


@pytest.mark.requirement("40")
@pytest.mark.parametrize(
    "remove",
    [LazyDict.clear, put_and_delete, lambda session: session.__delitem__("email")],
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
def test_value_that_looks_like_ciphertext_is_kept(sealer: Sealer, value: Any) -> None:
    """It comes back verbatim, under any name, and no map holds what belongs into the other."""
    fields = {"note": value, "encrypted": value, "successor": value, "email": value, "locked": value}

    sealed = sealer.seal(RECORD, body_of(fields))

    plain, *_, encrypted = [*content_of(sealed), {}] if sealer is PLAIN else content_of(sealed)
    assert open_fields(sealer, sealed) == fields
    assert sorted([*plain, *encrypted]) == sorted(fields)
