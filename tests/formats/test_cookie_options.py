"""Options of the cookie that browsers would refuse, or that would open a hole."""

from __future__ import annotations

import string
from datetime import datetime, timedelta
from typing import Any

import pytest

from fluidauth import ConfigError, CookieOptions
from tests.formats.cookies import NOW, TOKEN

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
