"""What responses tell caches, beside what the application says."""

from __future__ import annotations

from typing import Any

import pytest

from fluidauth.events import SessionEvent
from tests.handlers import fields, write
from tests.support import Browser, Headers

ACCESSES: list[Any] = [
    lambda s: s.get("a"),
    lambda s: "a" in s,
    lambda s: list(s),
    lambda s: list(reversed(s)),
    len,
    bool,
    repr,
    str,
    lambda s: s.keys(),
    lambda s: s.values(),
    lambda s: s.items(),
    lambda s: s == {},
    lambda s: s != {},
    lambda s: s | {},
    lambda s: {} | s,
    lambda s: s.copy(),
    lambda s: s.pop("a", None),
    lambda s: s.setdefault("a", 1),
    lambda s: s.update(a=1),
    lambda s: s.clear(),
    lambda s: s.user_id,
    lambda s: s.is_authenticated,
    lambda s: s.is_new,
    lambda s: s.auth_time,
    lambda s: s.handle,
    lambda s: s.created_at,
    lambda s: s.expires_at,
    lambda s: s.mark_accessed(),
    lambda s: s.mark_modified(),
    lambda s: s.logout(),
    lambda s: s.login("user-42"),
    lambda s: s.regenerate(),
    lambda s: s.add("n"),
    lambda s: s.append("log", 1),
]


@pytest.mark.requirement("17")
@pytest.mark.parametrize("access", ACCESSES)
def test_every_access_varies_by_cookie(browser: Browser, access: Any) -> None:
    """A response that used the session in any way is not cached for other visitors."""
    response = browser.request(access)

    assert response.all("vary") == ["Cookie"]


@pytest.mark.requirement("17")
def test_the_cookie_stands_in_the_first_vary_there_is(browser: Browser) -> None:
    """Layers outside that know one line alone, as Starlette's CORS did, would drop another."""
    own = [("Vary", "accept-encoding"), ("x-a", "1"), ("vary", "accept-language")]

    response = browser.request(fields, headers=own)

    assert response.headers == [("Vary", "accept-encoding, Cookie"), *own[1:]]


@pytest.mark.requirement("17")
@pytest.mark.parametrize("vary", ["*", "Cookie", "accept, COOKIE"])
def test_vary_is_not_repeated(browser: Browser, vary: str) -> None:
    """An application's own Vary that says as much is left as it is."""
    response = browser.request(fields, headers=[("Vary", vary)])

    assert response.all("vary") == [vary]


@pytest.mark.requirement("18")
@pytest.mark.parametrize(
    ("own", "expected", "overridden"),
    [
        ([], ["no-store"], False),
        ([("Cache-Control", "no-store")], ["no-store"], False),
        ([("cache-control", "private, max-age=60")], ["private, max-age=60"], False),
        ([("cache-control", "max-age=60")], ["max-age=60", "no-store"], False),
        ([("Cache-Control", "public, max-age=60")], ["no-store"], True),
        ([("cache-control", "s-maxage=60")], ["no-store"], True),
    ],
)
def test_a_response_with_a_cookie_is_not_stored(
    browser: Browser, events: list[SessionEvent], own: Headers, expected: list[str], overridden: bool
) -> None:
    """Whatever the application said, no cache keeps a response that carries a session."""
    response = browser.request(write, headers=own)

    assert len(response.set_cookies) == 1
    assert response.all("cache-control") == expected
    assert ("cache_overridden" in [event.name for event in events]) is overridden


@pytest.mark.requirement("47")
@pytest.mark.parametrize("handler", [write, fields])
def test_a_cookie_of_our_name_that_another_sets_is_told_of(
    browser: Browser, events: list[SessionEvent], handler: Any
) -> None:
    """Once; it goes out as it is, and ours, if one is due, after it."""
    name = browser.name
    for value in (f"{name}x=1", f"x={name}=1", f"{name}=1; Path=/", f"{name}=2"):
        response = browser.request(handler, headers=[("Set-Cookie", value)])
        assert response.all("set-cookie")[0] == value

    assert [event.reason for event in events if event.name == "cookie_conflict"] == [name]


@pytest.mark.requirement("18")
def test_a_response_without_a_cookie_keeps_its_cache_control(browser: Browser) -> None:
    """Reading a session does not forbid caching for the one visitor."""
    browser.request(write)

    response = browser.request(fields, headers=[("cache-control", "public")])

    assert response.all("cache-control") == ["public"]


@pytest.mark.requirement("47")
def test_the_applications_headers_survive(browser: Browser) -> None:
    """Other cookies and repeated headers stay, in their order, before ours."""
    own = [("set-cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"), ("x-a", "1"), ("x-a", "2")]

    response = browser.request(write, headers=own)

    assert response.headers[:4] == own
    assert len(response.set_cookies) == 3
