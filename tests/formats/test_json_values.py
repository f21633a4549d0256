"""JSON values: which are accepted, and that decoding undoes encoding."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict, UserDict
from datetime import UTC, datetime
from decimal import Decimal
from json import encoder
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import CookieOptions, MemoryStore, PayloadError, Session, SessionEngine
from fluidauth.formats.json_values import _encoder, check, check_key, decode, encode
from tests.measures import calls_of
from tests.support import state_of

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
ADVICE = "which is not a JSON value; store text, numbers, booleans, None, lists and dicts of them"
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: float


class Flattering(str):
    """Text that says of itself something else than it is."""

    def __str__(self) -> str:
        return "harmless"


def nested(levels: int, inner: Any = 1) -> Any:
    for _ in range(levels):
        inner = [inner]
    return inner


def cyclic() -> Any:
    loop: list[Any] = []
    loop.append({"again": loop})
    return loop


# -- what may be stored -------------------------------------------------------------------------


@settings(max_examples=300)
@given(VALUES)
def test_json_values_are_accepted_and_come_back(value: Any) -> None:
    """Every value of JSON's types passes the check and survives unchanged, type and sign included."""
    check(value, "session['k']")

    decoded = decode(encode(value))

    assert decoded == value
    assert repr(decoded) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        (2**64, "18446744073709551616"),
        ("", '""'),
        ('a"b\\c\n\x00\x7f', '"a\\"b\\\\c\\n\\u0000\x7f"'),
        ("Zoë 🍪\u2028", '"Zoë 🍪\u2028"'),
        ((1, (2,)), "[1,[2]]"),
        (Point(1, 2.5), "[1,2.5]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (Colour.RED, '"red"'),
        (Level.LOW, "1"),
        ({"": [], "a": {}}, '{"":[],"a":{}}'),
    ],
    ids=repr,
)
def test_encoding_is_compact_utf8(value: Any, text: str) -> None:
    """No spaces, no escapes that are not needed, the order kept; subclasses count as what they extend."""
    check(value, "session['k']")

    assert encode(value) == text


@settings(max_examples=200)
@given(VALUES)
def test_the_fast_encoder_writes_what_the_standard_one_does(value: Any) -> None:
    """The short cut to the C encoder is one in time alone."""
    assert encode(value) == json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def test_text_is_the_same_without_the_c_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an interpreter that has none, the standard library's Python code does the work."""
    value = {"a": [1, 2.5, None, True, "é\n"], "b": {}}
    monkeypatch.setattr(encoder, "c_make_encoder", None)

    slow = _encoder()

    assert slow(value) == encode(value) == '{"a":[1,2.5,null,true,"é\\n"],"b":{}}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        slow(float("nan"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        slow(b"x")


# -- what may not -----------------------------------------------------------------------------------


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"x", f"session['k'] is a bytes, {ADVICE}"),
        (bytearray(b"x"), f"session['k'] is a bytearray, {ADVICE}"),
        ({1}, f"session['k'] is a set, {ADVICE}"),
        (range(3), f"session['k'] is a range, {ADVICE}"),
        (1j, f"session['k'] is a complex, {ADVICE}"),
        (Decimal(1), f"session['k'] is a Decimal, {ADVICE}"),
        (datetime(2024, 1, 1, tzinfo=UTC), f"session['k'] is a datetime, {ADVICE}"),
        (UUID(int=0), f"session['k'] is a UUID, {ADVICE}"),
        (PurePosixPath("/"), f"session['k'] is a PurePosixPath, {ADVICE}"),
        (UserDict(), f"session['k'] is a UserDict, {ADVICE}"),
        (type("bool", (), {"__module__": "numpy"})(), f"session['k'] is a numpy.bool, {ADVICE}"),
        (object, f"session['k'] is a type, {ADVICE}"),
        ([0, {"a": {"b": [b"x"]}}], f"session['k'][1]['a']['b'][0] is a bytes, {ADVICE}"),
        ((1, {2}), f"session['k'][1] is a set, {ADVICE}"),
        (float("nan"), "session['k'] is nan, which JSON cannot express"),
        ([float("inf")], "session['k'][0] is inf, which JSON cannot express"),
        ({"a": float("-inf")}, "session['k']['a'] is -inf, which JSON cannot express"),
        ("\ud800", "session['k'] has a lone surrogate, which UTF-8 cannot hold"),
        (["a\udfffb"], "session['k'][0] has a lone surrogate, which UTF-8 cannot hold"),
        (Flattering("\ud800"), "session['k'] has a lone surrogate, which UTF-8 cannot hold"),
        ({1: "x"}, "session['k'] has the key 1; keys must be text, as in JSON"),
        ({"a": {None: 1}}, "session['k']['a'] has the key None; keys must be text, as in JSON"),
        ({True: 1}, "session['k'] has the key True; keys must be text, as in JSON"),
        ({b"a": 1}, "session['k'] has the key b'a'; keys must be text, as in JSON"),
        ({(1, 2): 1}, "session['k'] has the key (1, 2); keys must be text, as in JSON"),
        ({"\ud800": 1}, "a key of session['k'] has a lone surrogate, which UTF-8 cannot hold"),
        (nested(32), f"session['k']{'[0]' * 31} is nested more than 32 levels deep"),
        (nested(500), f"session['k']{'[0]' * 31} is nested more than 32 levels deep"),
        (nested(100_000), f"session['k']{'[0]' * 31} is nested more than 32 levels deep"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_value_that_is_not_json_is_refused(value: Any, message: str) -> None:
    """The error names the path of the value, and what is wrong with it."""
    with pytest.raises(PayloadError) as caught:
        check(value, "session['k']")

    assert str(caught.value) == message


@pytest.mark.requirement("43")
def test_a_cycle_ends_at_the_greatest_depth() -> None:
    """It is an error like any other depth, and no hang; the path in it is cut short."""
    with pytest.raises(PayloadError) as caught:
        check(cyclic(), "session['k']")

    assert str(caught.value).endswith(" is nested more than 32 levels deep")
    assert len(str(caught.value)) <= 240


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    "wrap", [lambda v: [v], lambda v: {"a": v}, lambda v: (v,)], ids=["list", "dict", "tuple"]
)
def test_the_greatest_depth(wrap: Any) -> None:
    """32 levels with the session itself, whatever they are made of."""
    value: Any = 1
    for _ in range(31):
        value = wrap(value)

    check(value, "session['k']")
    with pytest.raises(PayloadError, match="is nested more than 32 levels deep"):
        check(wrap(value), "session['k']")


@pytest.mark.requirement("43")
@pytest.mark.parametrize("key", [1, None, True, b"k", ("k",), 1.5])
def test_keys_of_a_session_are_text(key: Any) -> None:
    """As in JSON, which would turn 1 into "1" without a word."""
    with pytest.raises(PayloadError) as caught:
        check_key(key, "session")

    assert str(caught.value) == f"session has the key {key!r}; keys must be text, as in JSON"


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), object(), b"x", {1, 2}, 10**5000, cyclic(), nested(100_000)],
    ids=["nan", "inf", "object", "bytes", "set", "digits", "cycle", "depth"],
)
def test_encoding_what_was_not_checked_is_a_payload_error(value: Any) -> None:
    """Such as what another thread put into a list meanwhile."""
    with pytest.raises(PayloadError, match=r"^session fields cannot be stored as JSON: "):
        encode({"k": value})


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nul",
        "NaN",
        "[Infinity]",
        '{"a":-Infinity}',
        "'a'",
        "{a:1}",
        "[1,]",
        '{"a":1,}',
        "[1] [2]",
        "[1]x",
        '"\n"',
        "01",
        "1.",
        "+1",
        "0x1",
        "7" * 5000,
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000,
        "\ufeff1",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_decoding_is_strict(text: str) -> None:
    """Everything else is a ValueError: no NaN, no recursion error, no second value."""
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@settings(max_examples=500)
@given(st.text(st.characters()) | st.text('[]{}",:0123456789eE+-.truefalsn\\ud8'))
def test_decoding_is_total(text: str) -> None:
    """Any text gives a JSON value or a ValueError."""
    try:
        value = decode(text)
    except ValueError:
        return

    assert isinstance(value, str | int | float | bool | list | dict | None)


# -- through a session ---------------------------------------------------------------------------------


@pytest.mark.requirement("43")
def test_a_change_inside_a_value_is_checked_at_the_save() -> None:
    """With the same words and the same path as at an assignment; nothing is saved."""
    engine = SessionEngine(SECRET, MemoryStore(), cookie=CookieOptions(secure=False))
    _, session = engine.create_session("user-42", {"cart": {"items": [1]}})
    assert session.handle is not None

    with pytest.raises(PayloadError) as caught, engine.edit(session.handle) as edited:
        edited["cart"]["items"].append({2})

    assert str(caught.value) == f"session['cart']['items'][1] is a set, {ADVICE}"
    stored = engine.get_session(session.handle)
    assert stored == {"cart": {"items": [1]}}


@pytest.mark.requirement("43")
def test_an_integer_of_too_many_digits_is_refused_with_its_path() -> None:
    """Python neither prints nor reads more than 4300 digits."""
    check(10**4299, "session['k']")

    with pytest.raises(PayloadError, match=r"^session\['k'\]"):
        check(10**5000, "session['k']")


# -- what it costs ---------------------------------------------------------------------------------


class Named(str):
    """A key that counts how often it is written out."""

    written = 0

    def __repr__(self) -> str:
        type(self).written += 1
        return super().__repr__()


@pytest.mark.requirement("43")
def test_path_of_a_value_is_computed_only_when_it_is_refused() -> None:
    """A long key above a long list costs nothing until something in it is wrong (CWE-407)."""
    value: dict[str, Any] = {Named("k" * 10_000): [[1]] * 1_000}
    check(value, "data")
    unneeded = Named.written

    value[next(iter(value))][-1].append({2})
    with pytest.raises(PayloadError) as caught:
        check(value, "data")

    assert unneeded == 0
    assert Named.written == 1
    assert len(str(caught.value)) < 500
    assert str(caught.value).endswith(f"[0][1] is a set, {ADVICE}")  # each of the thousand is the same list


@pytest.mark.requirement("43")
def test_appending_looks_at_the_new_item_alone() -> None:
    """A thousand items cost ten times what a hundred do."""

    def calls(count: int) -> int:
        engine = SessionEngine(SECRET, MemoryStore(), cookie=CookieOptions(secure=False))
        _, session = engine.create_session("user-42")

        def append_all(session: Session) -> None:
            for number in range(count):
                session.append("log", number)

        with engine.edit(session.handle or "") as edited:
            return calls_of(lambda: append_all(edited))

    assert calls(1_000) <= 10.5 * calls(100)


@pytest.mark.requirement("43")
def test_handing_out_a_field_copies_no_notes_of_others() -> None:
    """Reading each of many lists is linear: what is noted of one is noted in place."""
    engine = SessionEngine(SECRET, MemoryStore(), cookie=CookieOptions(secure=False))
    _, session = engine.create_session("user-42", {"a": [1], "b": [2], "c": [3]})

    with engine.edit(session.handle or "") as edited:
        _ = edited["a"]
        notes = state_of(edited).texts
        _ = edited["b"], list(edited.items())

        assert state_of(edited).texts is notes
    assert set(notes) == {"a", "b", "c"}
