"""Which of a request's cookies may be ours: finding is total, exact and linear."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import CookieOptions, MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.formats import tokens
from fluidauth.formats.cookies import find_values
from fluidauth.keys import Key
from fluidauth.records import SessionRecord
from fluidauth.rules.loading import identify
from fluidauth.rules.policy import Policy
from tests.formats.cookies import NAME, POLICY, SECOND, SECOND_ID, SECRET, SESSION_ID, TOKEN
from tests.measures import steps_of

FOREIGN = tokens.sign(Key("TEST-ONLY-9876543210-nmlkjihgfedcba"), SESSION_ID)


def identified(source: Any, policy: Policy = POLICY) -> tuple[list[str], list[str | None]]:
    """Return the session ids that *source* presents, and the reasons of what was refused."""
    credentials, notices = identify(policy, source)
    assert {notice.name for notice in notices} <= {"cookie_rejected"}
    return [c.session_id for c in credentials], [notice.reason for notice in notices]


def asgi(header: str) -> list[tuple[bytes, bytes]]:
    """Return *header* as the header list of an ASGI scope, in bytes as a browser may send them."""
    raw = (
        header.encode("utf-8", "surrogatepass")
        if max(header, default="") > "\xff"
        else header.encode("latin-1")
    )
    return [(b"host", b"example.org"), (b"cookie", raw), (b"accept", b"*/*")]


@pytest.mark.requirement("44", "45")
@pytest.mark.parametrize(
    "header",
    [
        "",
        ";",
        "; ;",
        "=",
        "==",
        "a",
        NAME,
        f"{NAME}; {NAME}",
        f"={NAME}={TOKEN}",
        f"={TOKEN}",
        f"; ={NAME}={TOKEN}; =",
        f"a={NAME}={TOKEN}",
        f"a {NAME}={TOKEN}",
        f"a,{NAME}={TOKEN}",
        f"x{NAME}={TOKEN}",
        f"{NAME}x={TOKEN}",
        f"{NAME} x={TOKEN}",
        f"{NAME}\x00={TOKEN}",
        f'"{NAME}"={TOKEN}',
        f"{NAME}%20={TOKEN}",
        f"%5F_Host-session={TOKEN}",
        f"\u2000{NAME}={TOKEN}",
        f"\u2000{NAME}={TOKEN}".encode().decode("latin-1"),
        f"\xa0{NAME}={TOKEN}",
        f"\x85{NAME}={TOKEN}",
        f"\x0b{NAME}={TOKEN}",
        f"\x0c{NAME}={TOKEN}",
        f"\x1c{NAME}={TOKEN}",
        f"\x00{NAME}={TOKEN}",
        f"\r\n{NAME}={TOKEN}",
        f"\ufeff{NAME}={TOKEN}",
        f"{NAME}\xa0={TOKEN}",
        f"__host-session={TOKEN}",
        f"__HOST-SESSION={TOKEN}",
        f"__Host-Session={TOKEN}",
        f"__Ho\u017ft-session={TOKEN}",
        f"session={TOKEN}",
        "; ".join(f"name{i}={TOKEN}" for i in range(800)),
        ";" * 10_000,
    ],
    ids=lambda header: repr(header[:24]),
)
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_cookie_of_another_name_is_not_ours(header: str, protocol: str) -> None:
    """Only SP and HTAB are stripped, the case counts, nothing is decoded, no empty name stands for ours."""
    source = header if protocol == "wsgi" else asgi(header)

    found = identified(source)

    assert found == ([], [])


@pytest.mark.requirement("21", "45")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "malformed"),
        ("x", "malformed"),
        (TOKEN[:65], "malformed"),
        (TOKEN + "x", "malformed"),
        ("x" * 4096, "malformed"),
        (f'"{TOKEN}"', "malformed"),
        (f"'{TOKEN}'", "malformed"),
        (f"={TOKEN}", "malformed"),
        (f"{TOKEN},", "malformed"),
        (f"{TOKEN}, {TOKEN}", "malformed"),
        (f"{TOKEN}\xa0", "malformed"),
        (f"\x0b{TOKEN}", "malformed"),
        (f"{TOKEN}\r\n", "malformed"),
        (f"{TOKEN}\x00", "malformed"),
        (f"%31{TOKEN[1:]}", "malformed"),
        (f"\\061{TOKEN[1:]}", "malformed"),
        (f"{TOKEN[:-1]}\xe9", "malformed"),
        (f"{TOKEN[:-1]}\U0001f36a", "malformed"),
        (f"{TOKEN[:-1]}\ud800", "malformed"),
        (f"\uff11{TOKEN[1:]}", "malformed"),
        ("\x00" * 66, "malformed"),
        ("../" * 22, "malformed"),
        ("' OR 1=1 --".ljust(66), "malformed"),
        (f"2{TOKEN[1:]}", "malformed"),
        (f"{TOKEN[:-1]}!", "bad_mac"),
        (FOREIGN, "unknown_key"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_a_bad_value_is_no_session(value: str, reason: str, protocol: str) -> None:
    """It is refused with its reason, without an exception, unquoting or decoding."""
    header = f"{NAME}={value}"

    found = identified(header if protocol == "wsgi" else asgi(header))

    assert found == ([], [reason])


@pytest.mark.requirement("21")
@pytest.mark.parametrize("value", ["x", TOKEN[:-1] + "!", FOREIGN, "\ud800" * 66, "x" * 70_000])
def test_a_forged_cookie_costs_no_store_call(value: str) -> None:
    """The store is asked for genuine ids alone; the session is anonymous and sets no cookie."""

    class Untouchable(MemoryStore):
        def get(self, handle: str) -> SessionRecord | None:
            raise LookupError("the store was asked")

    engine = SessionEngine(SECRET, Untouchable(), cookie=CookieOptions(secure=False))
    visit = Visit(engine.requests, f"session={value}")
    session = Session(visit)

    assert dict(session) == {}
    assert session.user_id is None
    assert visit.plan(session) is None
    with pytest.raises(LookupError, match="the store was asked"):
        dict(Session(Visit(engine.requests, f"session={TOKEN}")))


@pytest.mark.requirement("44")
@pytest.mark.parametrize(
    "neighbour",
    [
        "bad[n]=1",
        'foo={"a":1}',
        "a=b=c",
        "a",
        "=x",
        "=",
        "",
        '"',
        'a="unclosed',
        "a=\x00",
        "a=\xff\x80",
        "\x80\xff=1",
        "a=\r\nSet-Cookie: b=c",
        "$Version=1",
        "expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "__host-session=x",
        "a=" + "\\" * 4096,
        "; " * 4096,
    ],
    ids=lambda neighbour: repr(neighbour[:24]),
)
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_malformed_cookie_of_another_name_hides_no_session(neighbour: str, protocol: str) -> None:
    """Cookies of others, before ours or behind it, are skipped one by one."""
    headers = [
        f"{neighbour}; {NAME}={TOKEN}",
        f"{NAME}={TOKEN}; {neighbour}",
        f"{neighbour};{NAME}={TOKEN};{neighbour}",
        f"{neighbour}; \t {NAME} \t=\t {TOKEN} \t ; {neighbour}",
    ]

    found = [identified(header if protocol == "wsgi" else asgi(header)) for header in headers]

    assert found == [([SESSION_ID], [])] * 4


@pytest.mark.requirement("45")
@pytest.mark.parametrize(
    ("values", "ids", "reasons"),
    [
        ([TOKEN, TOKEN], [SESSION_ID], []),
        ([TOKEN] * 50, [SESSION_ID], []),
        ([TOKEN, "junk"], [SESSION_ID], ["malformed"]),
        (["junk", TOKEN], [SESSION_ID], ["malformed"]),
        ([FOREIGN, TOKEN], [SESSION_ID], ["unknown_key"]),
        ([TOKEN, SECOND], [SESSION_ID, SECOND_ID], []),
        (["a", "b", "c", TOKEN], [SESSION_ID], ["malformed"] * 3),
        (["a", "b", "c", "d", TOKEN], [], ["too_many"]),
        ([TOKEN, "a", "b", "c", "d"], [], ["too_many"]),
        ([TOKEN, "a", "b", "c", "d", "e", "f"], [], ["too_many"]),
        (["", "a", "b", "c", "d"], [], ["too_many"]),
    ],
)
def test_several_cookies_of_our_name_are_told_apart(
    values: list[str], ids: list[str], reasons: list[str]
) -> None:
    """Equal ones count once, junk beside a genuine one is no harm, five different ones are an attack."""
    pairs = [f"{NAME}={value}" for value in values]

    together = identified("; ".join(pairs))
    split = identified([(b"cookie", pair.encode()) for pair in pairs])

    assert together == split == (ids, reasons)


@pytest.mark.requirement("45")
def test_every_cookie_header_is_read() -> None:
    """HTTP/2 may split the header; names of headers are compared without case, and exactly."""
    headers = [
        (b"cookie", b"a=b"),
        (b"x-cookie", f"{NAME}={SECOND}".encode()),
        (b"cookie2", f"{NAME}={SECOND}".encode()),
        (b"set-cookie", f"{NAME}={SECOND}".encode()),
        (b"Cookie", f"{NAME}={TOKEN}".encode()),
        (b"cookie", b"\xff"),
    ]

    found = identified(headers)

    assert found == ([SESSION_ID], [])


@pytest.mark.requirement("45")
@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (64 * 1024, ([SESSION_ID], [])),
        (64 * 1024 + 1, ([], ["too_long"])),
        (1 << 20, ([], ["too_long"])),
    ],
)
def test_a_header_may_have_64_kib(length: int, expected: Any) -> None:
    """Beyond that it is not searched, whether it came in one piece or in several."""
    header = f"{NAME}={TOKEN}; a=".ljust(length, "x")

    whole = identified(header)
    split = identified([(b"cookie", header[:90].encode()), (b"cookie", header[92:].encode())])

    assert whole == split == expected


@pytest.mark.requirement("44", "45")
@settings(max_examples=1500)
@given(
    st.one_of(
        st.text(st.characters()),
        st.text('=; \t"\\,$\r\n\0aé'),
        st.lists(st.sampled_from([NAME, TOKEN, SECOND, "=", ";", " ", "\t", '"', "\xa0", "x", "\0"])).map(
            "".join
        ),
    )
)
def test_finding_is_total_and_exact(header: str) -> None:
    """Any text gives a list, of pairs that a plain reading of RFC 6265bis finds too."""
    expected = []
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        if equals and name.strip(" \t") == NAME and (NAME, value.strip(" \t")) not in expected:
            expected.append((NAME, value.strip(" \t")))

    found = find_values(header, (NAME,))
    ids, _ = identified(header)

    assert found == expected[:5]
    assert set(ids) <= {SESSION_ID, SECOND_ID}
    assert len(ids) == (0 if len(expected) > 4 else sum(v in (TOKEN, SECOND) for _, v in expected))


@settings(max_examples=500)
@given(st.lists(st.tuples(st.sampled_from([b"cookie", b"Cookie", b"host", b""]), st.binary())))
def test_any_asgi_headers_give_a_list(headers: list[tuple[bytes, bytes]]) -> None:
    """No bytes in a scope's headers raise."""
    assert identified(headers) == ([], [])


@pytest.mark.requirement("44")
@pytest.mark.parametrize(
    "unit", [";", "=", " ", "x", "a=b; ", '"\\', "bad[n]=1; ", f"{NAME}=x; ", f"{NAME}=", "\t;", "é=é;"]
)
def test_finding_takes_linear_time(unit: str) -> None:
    """64 times the header takes at most 1.05 · 64 times the steps (compare CVE-2024-7592)."""

    def cost(length: int) -> int:
        header = (unit * length)[:length]
        steps_of(lambda: find_values(header, (NAME,)))  # Python 3.12 misses instructions the first time
        return steps_of(lambda: find_values(header, (NAME,)))

    short, long = cost(1024), cost(64 * 1024)

    assert short >= 1024
    assert long <= 1.05 * 64 * short
