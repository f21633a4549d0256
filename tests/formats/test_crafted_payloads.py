"""Payloads that somebody crafted who has the key: what is not right in them is refused."""

from __future__ import annotations

import pickle

import pytest

from fluidauth import CookieOptions, Lifetime
from fluidauth.events import Notice
from fluidauth.records import Tombstone
from fluidauth.rules.loading import open_record
from fluidauth.rules.policy import Policy
from tests.formats.records import HANDLE, NOW, OTHER_HANDLE, PLAIN, crafted, grave, live, open_fields, refusal


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
