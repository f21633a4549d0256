"""Payloads: what is sealed comes back, and no other row opens."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import CookieOptions, Keyring, Lifetime, PayloadError
from fluidauth.events import Notice
from fluidauth.formats.payloads import Sealer
from fluidauth.records import Body, SessionRecord, Tombstone, handle_of, handle_prefix
from fluidauth.rules.loading import open_record
from fluidauth.rules.policy import Policy
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
    SECRETIVE,
    SESSION_ID,
    body_of,
    open_fields,
    refusal,
)

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
def test_row_without_a_user_is_no_row_of_any_user() -> None:
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
def test_value_that_was_not_checked_is_refused_at_the_seal(sealer: Sealer, value: Any) -> None:
    """With PayloadError, so that nothing is stored that could not be read."""
    with pytest.raises(PayloadError):
        sealer.seal(RECORD, body_of({"a": value}))
