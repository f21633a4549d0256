"""The line that sets the cookie or deletes it, as a browser understands it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import ConfigError, CookieOptions
from fluidauth.formats.cookies import http_date
from tests.formats.cookies import NOW, TOKEN


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
