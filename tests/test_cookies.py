"""The cookie: which one is found in a header, and which ``Set-Cookie`` goes out."""

from __future__ import annotations

import copy
import pickle
import string
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import ConfigError, CookieOptions, Keyring, Lifetime, MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.events import Notice
from fluidauth.formats import tokens
from fluidauth.formats.cookies import find_values, http_date
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import Key
from fluidauth.records import SessionRecord
from fluidauth.rules.loading import admit, identify
from fluidauth.rules.policy import Policy
from fluidauth.rules.versions import first_version, new_body
from fluidauth.session.wish import Credential

from .measures import steps_of

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
NAME = "__Host-session"
TOKEN = tokens.sign(Key(SECRET), SESSION_ID)
SECOND_ID = SESSION_ID[::-1]
SECOND = tokens.sign(Key(SECRET), SECOND_ID)
FOREIGN = tokens.sign(Key("TEST-ONLY-9876543210-nmlkjihgfedcba"), SESSION_ID)
NOW = 1_700_000_000
DAY = 24 * 60 * 60
HOUR = 60 * 60


def policy_of(namespace: str = "fluidauth", **options: Any) -> Policy:
    sealer = Sealer(Keyring.from_secrets(SECRET), (), 4096)
    return Policy.of(sealer, CookieOptions(**options), Lifetime(DAY, HOUR), namespace)


POLICY = policy_of()


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


# -- finding ------------------------------------------------------------------------------


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
def test_what_does_not_bear_our_name_is_not_ours(header: str, protocol: str) -> None:
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
def test_a_bad_neighbour_costs_nobody_the_session(neighbour: str, protocol: str) -> None:
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
def test_several_cookies_of_our_name(values: list[str], ids: list[str], reasons: list[str]) -> None:
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


# -- two sessions in one request ---------------------------------------------------------------


def stored(policy: Policy, fields: dict[str, Any]) -> tuple[Credential, SessionRecord]:
    return first_version(policy, None, NOW, new_body(policy, fields, NOW), NOW)


def header_of(*credentials: Credential) -> str:
    key = Key(SECRET)
    return "; ".join(f"{NAME}={tokens.sign(key, c.session_id)}" for c in credentials)


def test_one_live_session_among_genuine_cookies_counts() -> None:
    """A cookie whose session is gone does not hide the one that lives."""
    (gone, _), (live, record) = stored(POLICY, {"a": 1}), stored(POLICY, {"b": 2})
    credentials, _ = identify(POLICY, header_of(gone, live))

    state, notices = admit(POLICY, credentials, [None, record], NOW)

    assert state.base == {"b": 2}
    assert notices == [Notice("cookie_rejected", "unknown_id", gone.handle)]


def test_two_live_sessions_make_a_request_anonymous() -> None:
    """One of them was planted, from a sibling host perhaps; nobody can say which."""
    (one, first), (two, second) = stored(POLICY, {"a": 1}), stored(POLICY, {"b": 2})
    credentials, _ = identify(POLICY, header_of(one, two))

    state, notices = admit(POLICY, credentials, [first, second], NOW)

    assert (state.record, state.base, state.credential) == (None, {}, None)
    assert notices == [Notice("ambiguous")]


@pytest.mark.requirement("25", "26")
def test_a_namespace_leads_to_another_handle() -> None:
    """The token of another application on the same store and secret opens nothing here."""
    here, _ = identify(POLICY, f"{NAME}={TOKEN}")
    there, _ = identify(policy_of(namespace="other"), f"{NAME}={TOKEN}")

    assert [here[0].session_id, there[0].session_id] == [SESSION_ID] * 2
    assert here[0].handle == "a2db133a0a71d6e360afea479c7e59b819b2ff850f6c1773de9b992a0e6e0a93"
    assert there[0].handle != here[0].handle


@pytest.mark.requirement("59")
def test_a_credential_shows_no_id() -> None:
    """It is a local of many frames; its repr is all that a reporter prints, and it is not pickled."""
    (credential,), _ = identify(POLICY, f"{NAME}={TOKEN}")

    assert repr(credential) == f"<Credential {NAME} kid={TOKEN[2:8]}>"
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(credential)


# -- former names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "cookies", "ids"),
    [
        (f"old={TOKEN}", ["old"], [SESSION_ID]),
        (f"{NAME}={TOKEN}", [NAME], [SESSION_ID]),
        (f"old={TOKEN}; {NAME}={TOKEN}", [NAME], [SESSION_ID]),
        (f"older={TOKEN}; old={TOKEN}", ["old"], [SESSION_ID]),
        (f"old={SECOND}; {NAME}={TOKEN}", [NAME, "old"], [SESSION_ID, SECOND_ID]),
        (f"Old={TOKEN}; olde={TOKEN}; ol={TOKEN}", [], []),
        (f"session={TOKEN}", [], []),
    ],
)
def test_former_names_are_read(header: str, cookies: list[str], ids: list[str]) -> None:
    """A renamed cookie logs nobody out; the name in use comes first and stands for the session."""
    credentials, notices = identify(policy_of(former_names=("old", "older")), header)

    assert [c.cookie for c in credentials] == cookies
    assert [c.session_id for c in credentials] == ids
    assert notices == []


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ("__Host-session",)),
        ("old", ("__Host-session", "old")),
        (["old", "older"], ("__Host-session", "old", "older")),
        (("__Host-session", "old"), ("__Host-session", "old")),
    ],
)
def test_names_in_the_order_they_are_looked_for(given: Any, names: tuple[str, ...]) -> None:
    """One former name may be given as text; the name in use is none of them."""
    assert CookieOptions(former_names=given).names == names


# -- options that browsers would refuse, or that would open a hole -------------------------------------

TOKEN_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
SAME_SITE = "must be 'lax', 'strict' or 'none'"
LIFETIME = "it must be from 1 second to 400 days (34560000)"


@pytest.mark.requirement("12", "14", "15", "46")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "__Host-sid", "domain": "example.com"},
            "cookie name '__Host-sid' forbids Domain, but domain='example.com' was given; "
            "drop the domain, or name the cookie '__Secure-sid'",
        ),
        (
            {"name": "__Host-sid", "path": "/app"},
            "cookie name '__Host-sid' demands path='/', but path='/app' was given; "
            "drop the path, or name the cookie '__Secure-sid'",
        ),
        (
            {"name": "__Host-sid", "secure": False},
            "cookie name '__Host-sid' demands Secure, but secure=False was given; "
            "name the cookie 'sid' for development, or keep secure=True",
        ),
        (
            {"name": "__Secure-sid", "secure": False},
            "cookie name '__Secure-sid' demands Secure, but secure=False was given; "
            "name the cookie 'sid' for development, or keep secure=True",
        ),
        (
            {"name": "sid", "domain": "example.com"},
            "cookie name 'sid' lets sibling hosts of domain='example.com' set it over plain http; "
            "name the cookie '__Secure-sid'",
        ),
        ({"name": "__host-sid"}, "cookie name '__host-sid' misspells the prefix '__Host-'"),
        ({"name": "__HOST-sid"}, "cookie name '__HOST-sid' misspells the prefix '__Host-'"),
        ({"name": "__secure-sid"}, "cookie name '__secure-sid' misspells the prefix '__Secure-'"),
        ({"former_names": ("__host-sid",)}, "cookie name '__host-sid' misspells the prefix '__Host-'"),
        (
            {"same_site": "none", "secure": False},
            "same_site='none' needs secure=True; browsers drop the cookie otherwise",
        ),
        (
            {"same_site": "None", "secure": False},
            "same_site='none' needs secure=True; browsers drop the cookie otherwise",
        ),
        (
            {"partitioned": True, "secure": False},
            "partitioned=True needs secure=True; browsers drop the cookie otherwise",
        ),
        ({"same_site": "relaxed"}, f"same_site='relaxed' {SAME_SITE}"),
        ({"same_site": ""}, f"same_site='' {SAME_SITE}"),
        ({"same_site": "lax; domain=example.com"}, f"same_site='lax; domain=example.com' {SAME_SITE}"),
        ({"same_site": "lax\n"}, f"same_site='lax\\n' {SAME_SITE}"),
        ({"same_site": None}, f"same_site=None {SAME_SITE}"),
        ({"same_site": False}, f"same_site=False {SAME_SITE}"),
        ({"max_age": 0}, f"max_age is 0 seconds; {LIFETIME}"),
        ({"max_age": -1}, f"max_age is -1 seconds; {LIFETIME}"),
        ({"max_age": 34_560_001}, f"max_age is 34560001 seconds; {LIFETIME}"),
        ({"max_age": timedelta(days=401)}, f"max_age is 34646400 seconds; {LIFETIME}"),
        ({"max_age": timedelta(milliseconds=999)}, f"max_age is 0 seconds; {LIFETIME}"),
        ({"max_age": 3600.0}, "max_age=3600.0 is neither whole seconds nor a timedelta"),
        ({"max_age": True}, "max_age=True is neither whole seconds nor a timedelta"),
        ({"max_age": "3600"}, "max_age='3600' is neither whole seconds nor a timedelta"),
        (
            {"expires": datetime(2030, 1, 1)},
            "cookie expires=datetime.datetime(2030, 1, 1, 0, 0) must be a datetime with a time zone",
        ),
        ({"expires": 0}, "cookie expires=0 must be a datetime with a time zone"),
        ({"name": "a b"}, "cookie name 'a b' may hold only the characters of an HTTP token"),
        (
            {"name": "sid\r\nX-Evil: 1"},
            r"cookie name 'sid\r\nX-Evil: 1' may hold only the characters of an HTTP token",
        ),
        ({"name": "sid\n"}, r"cookie name 'sid\n' may hold only the characters of an HTTP token"),
        ({"name": b"sid"}, "cookie name b'sid' may hold only the characters of an HTTP token"),
        ({"name": 7}, "cookie name 7 may hold only the characters of an HTTP token"),
        ({"former_names": ("a;b",)}, "cookie name 'a;b' may hold only the characters of an HTTP token"),
        ({"former_names": ("",)}, "cookie name '' may hold only the characters of an HTTP token"),
        ({"former_names": (7,)}, "cookie name 7 may hold only the characters of an HTTP token"),
        ({"name": "a" * 4031}, "cookie name and value together exceed 4096 bytes"),
        ({"former_names": ("a" * 4031,)}, "cookie name and value together exceed 4096 bytes"),
        ({"path": ""}, "cookie path='' must start with / and hold no ; or space"),
        ({"path": "app"}, "cookie path='app' must start with / and hold no ; or space"),
        (
            {"path": "/\r\nX-Evil: 1"},
            r"cookie path='/\r\nX-Evil: 1' must start with / and hold no ; or space",
        ),
        ({"path": "/app\n"}, r"cookie path='/app\n' must start with / and hold no ; or space"),
        ({"path": "/; Domain=evil"}, "cookie path='/; Domain=evil' must start with / and hold no ; or space"),
        ({"path": None}, "cookie path=None must start with / and hold no ; or space"),
        ({"path": b"/"}, "cookie path=b'/' must start with / and hold no ; or space"),
        ({"path": "/" + "a" * 1017}, "cookie attributes must stay under 1024 bytes"),
        ({"domain": ""}, "cookie domain='' is not a host name"),
        ({"domain": "."}, "cookie domain='.' is not a host name"),
        ({"domain": "a..b"}, "cookie domain='a..b' is not a host name"),
        ({"domain": "-a.com"}, "cookie domain='-a.com' is not a host name"),
        ({"domain": "a-.com"}, "cookie domain='a-.com' is not a host name"),
        ({"domain": "example.com:443"}, "cookie domain='example.com:443' is not a host name"),
        ({"domain": "example.com\n"}, r"cookie domain='example.com\n' is not a host name"),
        ({"domain": "exämple.com"}, "cookie domain='exämple.com' is not a host name"),
        (
            {"domain": "example.com; Path=/; SameSite=None"},  # starlette #3224
            "cookie domain='example.com; Path=/; SameSite=None' is not a host name",
        ),
        ({"domain": b"example.com"}, "cookie domain=b'example.com' is not a host name"),
        ({"domain": ".".join(["a" * 63] * 16)}, "cookie attributes must stay under 1024 bytes"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    """The error is raised at the start and says what to do."""
    with pytest.raises(ConfigError) as caught:
        CookieOptions(**options)

    assert str(caught.value) == message


@pytest.mark.requirement("12")
@pytest.mark.parametrize("former_names", [None, 5, True])
def test_former_names_of_a_wrong_type_are_refused(former_names: Any) -> None:
    """As every other setting that is wrong."""
    with pytest.raises(ConfigError):
        CookieOptions(former_names=former_names)


@pytest.mark.requirement("11", "12", "15", "16")
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "__Host-session"),
        ({"partitioned": True}, "__Host-session"),
        ({"same_site": "none"}, "__Host-session"),
        ({"path": "/app"}, "__Secure-session"),
        ({"domain": "example.com"}, "__Secure-session"),
        ({"domain": "example.com", "path": "/app"}, "__Secure-session"),
        ({"secure": False}, "session"),
        ({"secure": False, "path": "/app"}, "session"),
        ({"secure": False, "domain": "example.com"}, "session"),
        ({"name": "sid"}, "sid"),
        ({"name": "__Secure-sid"}, "__Secure-sid"),
        ({"name": "__Secure-sid", "domain": "example.com"}, "__Secure-sid"),
    ],
    ids=str,
)
def test_the_name_is_the_safest_that_the_options_allow(options: dict[str, Any], name: str) -> None:
    """``__Host-`` unless a domain, a path or development over plain http forbids it."""
    assert CookieOptions(**options).name == name


@pytest.mark.requirement("46")
@pytest.mark.parametrize(
    ("build", "allowed"),
    [
        (lambda c: CookieOptions(name=f"s{c}d"), TOKEN_CHARACTERS),
        (lambda c: CookieOptions(former_names=(f"s{c}d",)), TOKEN_CHARACTERS),
        (
            lambda c: CookieOptions(path=f"/s{c}d"),
            TOKEN_CHARACTERS + '"(),/:<=>?@[\\]{}',
        ),
        (lambda c: CookieOptions(domain=f"s{c}d.org"), string.ascii_letters + string.digits + "-."),
        (lambda c: CookieOptions(same_site=f"la{c}"), "xX"),
    ],
    ids=["name", "former name", "path", "domain", "same_site"],
)
def test_each_character_is_allowed_or_refused(build: Any, allowed: str) -> None:
    """No control, separator or non-ASCII character gets into a header."""
    accepted = ""
    for character in [*map(chr, range(0x300)), *"\u2028\u2029\u212a\uff0f\ud800\U0001f36a"]:
        try:
            options = build(character)
        except ConfigError:
            continue
        accepted += character
        assert options.issue(TOKEN, NOW + 60, NOW, True).isascii()

    assert sorted(accepted) == sorted(allowed)


# -- Set-Cookie -------------------------------------------------------------------------------------------


class Parsed(NamedTuple):
    """A ``Set-Cookie`` value as section 5.6 of RFC 6265bis reads it."""

    name: str
    value: str
    attributes: dict[str, str]


def parse(line: str) -> Parsed:
    pair, *parts = line.split(";")
    name, equals, value = pair.partition("=")
    assert equals
    assert line.isascii()
    assert line.isprintable()
    attributes: dict[str, str] = {}
    for part in parts:
        attribute, _, text = part.strip(" \t").partition("=")
        assert attribute.lower() not in attributes
        assert len(text) <= 1024
        attributes[attribute.lower()] = text
    assert len(name) + len(value) <= 4096
    return Parsed(name, value, attributes)


class Jar:
    """A browser's cookies: what it refuses, what it replaces and what it deletes."""

    def __init__(self, heeds_max_age: bool = True) -> None:
        self.cookies: dict[tuple[str, str, str, bool], str] = {}
        self._heeds_max_age = heeds_max_age

    def take(self, line: str) -> None:
        name, value, attributes = parse(line)
        if name.startswith(("__Host-", "__Secure-")) or "partitioned" in attributes:
            assert "secure" in attributes
        if name.startswith("__Host-"):
            assert attributes["path"] == "/"
            assert "domain" not in attributes
        if attributes["samesite"] == "none":
            assert "secure" in attributes
        domain = attributes.get("domain", "").removeprefix(".")
        identity = (name, domain, attributes["path"], "partitioned" in attributes)
        if "max-age" in attributes and self._heeds_max_age:
            dead = int(attributes["max-age"]) <= 0
        else:
            dead = attributes.get("expires") == "Thu, 01 Jan 1970 00:00:00 GMT"
        self.cookies.pop(identity, None)
        if not dead:
            self.cookies[identity] = value


@pytest.mark.requirement("10", "11")
@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        ({}, "path=/; Max-Age=3600; httponly; samesite=lax; secure"),
        ({"same_site": "STRICT"}, "path=/; Max-Age=3600; httponly; samesite=strict; secure"),
        ({"same_site": "none"}, "path=/; Max-Age=3600; httponly; samesite=none; secure"),
        ({"http_only": False}, "path=/; Max-Age=3600; samesite=lax; secure"),
        ({"partitioned": True}, "path=/; Max-Age=3600; httponly; samesite=lax; secure; partitioned"),
        ({"max_age": 60}, "path=/; Max-Age=60; httponly; samesite=lax; secure"),
        ({"max_age": timedelta(minutes=2)}, "path=/; Max-Age=120; httponly; samesite=lax; secure"),
        ({"max_age": 7200}, "path=/; Max-Age=3600; httponly; samesite=lax; secure"),
        (
            {"expires": datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)},
            "path=/; Max-Age=60; expires=Tue, 14 Nov 2023 22:14:20 GMT; httponly; samesite=lax; secure",
        ),
        (
            {"expires": datetime(2030, 1, 1, tzinfo=UTC)},
            "path=/; Max-Age=3600; expires=Tue, 14 Nov 2023 23:13:20 GMT; httponly; samesite=lax; secure",
        ),
        (
            {"expires": datetime(1999, 1, 1, tzinfo=UTC)},
            "path=/; Max-Age=1; expires=Tue, 14 Nov 2023 22:13:21 GMT; httponly; samesite=lax; secure",
        ),
    ],
    ids=str,
)
def test_a_cookie_is_issued_with_all_that_protects_it(options: dict[str, Any], attributes: str) -> None:
    """``__Host-``, Secure, HttpOnly, SameSite and a Max-Age within the session's life."""
    line = CookieOptions(**options).issue(TOKEN, NOW + 3600, NOW, True)

    assert line == f"__Host-session={TOKEN}; {attributes}"


@pytest.mark.requirement("12", "16")
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"secure": False}, f"session={TOKEN}; path=/; Max-Age=60; httponly; samesite=lax"),
        (
            {"path": "/app"},
            f"__Secure-session={TOKEN}; path=/app; Max-Age=60; httponly; samesite=lax; secure",
        ),
        (
            {"domain": "example.com"},
            f"__Secure-session={TOKEN}; path=/; Max-Age=60; httponly; samesite=lax; secure; "
            "domain=example.com",
        ),
    ],
    ids=str,
)
def test_a_cookie_without_the_host_prefix(options: dict[str, Any], line: str) -> None:
    """Where ``__Host-`` cannot be, the next best is."""
    assert CookieOptions(**options).issue(TOKEN, NOW + 60, NOW, True) == line


@pytest.mark.parametrize(
    "options", [{}, {"max_age": 60}, {"expires": datetime(2030, 1, 1, tzinfo=UTC)}], ids=str
)
def test_a_cookie_that_is_not_persistent_ends_with_the_browser(options: dict[str, Any]) -> None:
    """Neither Max-Age nor Expires, whatever else was asked for."""
    line = CookieOptions(**options).issue(TOKEN, NOW + 3600, NOW, False)

    assert line == f"__Host-session={TOKEN}; path=/; httponly; samesite=lax; secure"


@pytest.mark.requirement("10", "14")
@pytest.mark.parametrize(
    ("remaining", "max_age"),
    [
        (-(2**40), 1),
        (-1, 1),
        (0, 1),
        (1, 1),
        (2, 2),
        (34_560_000, 34_560_000),
        (34_560_001, 34_560_000),
        (2**60, 34_560_000),
    ],
)
@pytest.mark.parametrize(
    "options", [{}, {"expires": datetime.max.replace(tzinfo=UTC)}], ids=["max-age", "expires"]
)
def test_max_age_has_bounds(options: dict[str, Any], remaining: int, max_age: int) -> None:
    """At least a second and at most 400 days, which is all that browsers grant."""
    line = CookieOptions(**options).issue(TOKEN, NOW + remaining, NOW, True)

    assert parse(line).attributes["max-age"] == str(max_age)
    assert parse(line).attributes.get("expires") in (None, formatdate(NOW + max_age, usegmt=True))


@pytest.mark.requirement("10", "14")
@settings(max_examples=300)
@given(
    remaining=st.integers(-(10**12), 10**12),
    max_age=st.none() | st.integers(1, 34_560_000),
    expires=st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_max_age_is_never_beyond_what_was_asked(
    remaining: int, max_age: int | None, expires: datetime | None
) -> None:
    """The shortest of deadline, max_age, expires and 400 days, or one second."""
    line = CookieOptions(max_age=max_age, expires=expires).issue(TOKEN, NOW + remaining, NOW, True)

    limits = [remaining, 34_560_000]
    limits += [] if max_age is None else [max_age]
    limits += [] if expires is None else [int(expires.timestamp()) - NOW]
    assert parse(line).attributes["max-age"] == str(max(1, min(limits)))


@pytest.mark.requirement("14")
def test_the_longest_name_and_path_that_browsers_take() -> None:
    """4096 bytes for name and value, 1024 for an attribute."""
    options = CookieOptions(name="a" * 4030, path="/" + "p" * 1016)

    name, value, attributes = parse(options.issue(TOKEN, NOW + 60, NOW, True))

    assert (len(name) + len(value), len(attributes["path"])) == (4096, 1017)


MATRIX: list[dict[str, Any]] = [
    {},
    {"partitioned": True},
    {"same_site": "none", "partitioned": True, "http_only": False},
    {"same_site": "strict", "max_age": 60, "expires": datetime(2030, 1, 1, tzinfo=UTC)},
    {"domain": "example.com"},
    {"domain": ".example.com", "path": "/app"},
    {"domain": "Example.COM", "partitioned": True},
    {"path": "/app"},
    {"secure": False},
    {"secure": False, "path": "/app", "domain": "localhost"},
    {"name": "sid"},
    {"name": "__Secure-sid", "path": "/a/b/c"},
    {"persistent": False},
]


@pytest.mark.requirement("11", "13", "46")
@pytest.mark.parametrize("heeds_max_age", [True, False])
@pytest.mark.parametrize("options", MATRIX, ids=str)
def test_a_browser_takes_the_cookie_and_deletes_it(options: dict[str, Any], heeds_max_age: bool) -> None:
    """The deletion names the very cookie that was set; by Max-Age, or by Expires where that is unknown."""
    cookie, jar = CookieOptions(**options), Jar(heeds_max_age)

    jar.take(cookie.issue(TOKEN, NOW + 60, NOW, cookie.persistent))
    taken = list(jar.cookies.values())
    jar.take(cookie.expire(cookie.name))

    assert taken == [TOKEN]
    assert jar.cookies == {}


@pytest.mark.requirement("13")
@pytest.mark.parametrize(
    ("options", "name", "line"),
    [
        (
            {},
            "__Host-session",
            "__Host-session=; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "httponly; samesite=lax; secure",
        ),
        (
            {"partitioned": True, "same_site": "strict"},
            "__Host-session",
            "__Host-session=; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "httponly; samesite=strict; secure; partitioned",
        ),
        (
            {"domain": "example.com", "path": "/app"},
            "__Secure-session",
            "__Secure-session=; path=/app; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "httponly; samesite=lax; secure; domain=example.com",
        ),
        (
            {"domain": "example.com", "path": "/app", "former_names": ("__Host-session",)},
            "__Host-session",
            "__Host-session=; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "httponly; samesite=lax; secure",
        ),
        (
            {"secure": False, "former_names": ("__Host-session",)},
            "__Host-session",
            "__Host-session=; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "httponly; samesite=lax; secure",
        ),
        (
            {"former_names": ("session",)},
            "session",
            "session=; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "httponly; samesite=lax; secure",
        ),
    ],
    ids=str,
)
def test_a_deletion_has_the_attributes_of_what_it_deletes(
    options: dict[str, Any], name: str, line: str
) -> None:
    """Also for a former name, whose prefix may demand other ones than the name in use."""
    assert CookieOptions(**options).expire(name) == line


INJECTED = st.sampled_from([""] * 15 + ["; domain=evil.org", "\r\nx-evil: 1", "\n", "\0", "é", " ", ";", "="])


@pytest.mark.requirement("46")
@settings(max_examples=1500)
@given(
    name=st.tuples(st.sampled_from(["__Secure-sid", "__Host-", "sid", ""]), INJECTED).map("".join),
    path=st.tuples(st.sampled_from(["/", "/app", "/a=b,c"]), INJECTED).map("".join),
    domain=st.none() | st.tuples(st.sampled_from(["example.org", ".a-b.c", "x"]), INJECTED).map("".join),
    same_site=st.tuples(st.sampled_from(["lax", "Strict", "none"]), INJECTED).map("".join),
    secure=st.integers(0, 3).map(bool),
    partitioned=st.booleans(),
)
def test_no_option_injects_anything(
    name: str, path: str, domain: str | None, same_site: str, secure: bool, partitioned: bool
) -> None:
    """Options are refused, or come back from the header as they were given and nothing beside them."""
    try:
        cookie = CookieOptions(
            name=name, path=path, domain=domain, same_site=same_site, secure=secure, partitioned=partitioned
        )
    except ConfigError:
        return

    issued = parse(cookie.issue(TOKEN, NOW + 60, NOW, True))

    expected = {"path": path, "max-age": "60", "httponly": "", "samesite": same_site.lower()}
    expected |= {"secure": ""} if secure else {}
    expected |= {"domain": domain} if domain is not None else {}
    expected |= {"partitioned": ""} if partitioned else {}
    assert issued == Parsed(cookie.name, TOKEN, expected)


@settings(max_examples=300)
@given(st.integers(0, 253_402_300_799))
def test_dates_are_those_of_http(moment: int) -> None:
    """IMF-fixdate in English, whatever the locale, up to the year 9999."""
    assert http_date(moment) == formatdate(moment, usegmt=True)


def test_a_date_from_the_rfc() -> None:
    """The example of RFC 9110, section 5.6.7."""
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
