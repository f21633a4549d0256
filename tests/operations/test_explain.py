"""Why a request is signed in or not, explained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fluidauth import CookieOptions, Session, SessionEngine, StoreError
from fluidauth.testing import FakeClock
from tests.stored import OLD
from tests.support import Browser, FlakyStore


@pytest.fixture(params=["blocking", "awaited"])
def explain(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``engine.explain`` and its twin."""

    def call(engine: SessionEngine, headers: Any, **options: Any) -> Any:
        if request.param == "blocking":
            return engine.explain(headers, **options)
        return asyncio.run(engine.aexplain(headers, **options))

    return call


def cookie_of(browser: Browser, cookie: str | None = None) -> dict[str, str]:
    return {"cookie": f"theme=dark; {browser.name}={cookie or browser.cookie}"}


def test_explain_describes_a_live_session(explain: Any, browser: Browser) -> None:
    """Each step is good, and the user and handle are named."""
    browser.request(lambda session: session.login("ada"))

    found = explain(browser.engine, cookie_of(browser))

    assert (found.opens, found.signed_in, found.reason, found.user_id) == (True, True, "live", "ada")
    assert found.handle == browser.get(lambda session: session.handle)
    assert [remark.subject for remark in found.remarks] == [
        "cookie",
        "form",
        "key",
        "signature",
        "record",
        "seal",
        "expiry",
    ]
    assert all(remark.good for remark in found.remarks)


def test_explain_takes_headers_in_every_shape(explain: Any, browser: Browser) -> None:
    """A mapping, pairs of text or bytes, a WSGI environ; split headers are joined."""
    browser.request(lambda session: session.login("ada"))
    text = f"{browser.name}={browser.cookie}"
    shapes: list[Any] = [
        {"Cookie": text},
        [("Cookie", text)],
        [(b"host", b"x"), (b"cookie", b"a=b"), (b"cookie", text.encode())],
        {"HTTP_COOKIE": text, "wsgi.input": object(), "REQUEST_METHOD": "GET"},
    ]

    assert [explain(browser.engine, headers).signed_in for headers in shapes] == [True] * 4


REASONS: dict[str, tuple[Callable[[Browser], Any], str, str]] = {
    "no cookie": (
        lambda b: {"cookie": "theme=dark"},
        "no_cookie",
        "none named __Host-session; it has theme",
    ),
    "nothing": (lambda b: {}, "no_cookie", "the request has none named __Host-session"),
    "cut": (lambda b: cookie_of(b, (b.cookie or "")[:-1]), "malformed", "has 65 characters, not 66"),
    "version": (lambda b: cookie_of(b, "2" + (b.cookie or "")[1:]), "malformed", "its version is not 1"),
    "dots": (
        lambda b: cookie_of(b, (b.cookie or "").replace(".", "-").replace("1-", "1.", 1)),
        "malformed",
        "is not of the form version.key.id.signature",
    ),
    "unknown key": (
        lambda b: cookie_of(b, "1.aaaaaa" + (b.cookie or "")[8:]),
        "unknown_key",
        "aaaaaa is unknown",
    ),
    "forged": (
        lambda b: cookie_of(b, (b.cookie or "")[:-4] + "AAAA"),
        "bad_mac",
        "is wrong: the cookie was changed on the way, or forged",
    ),
    "long": (lambda b: cookie_of(b, "x" * 70_000), "too_long", "more than 65536 characters"),
    "long, and others'": (lambda b: {"cookie": "x" * 70_000}, "no_cookie", "none named __Host-session"),
    "many": (
        lambda b: {"cookie": "; ".join(f"{b.name}={n}" for n in range(5))},
        "too_many",
        "5 of our name; at most 4 are read",
    ),
    "joined": (lambda b: {"cookie": f"a=b, {b.name}={b.cookie}"}, "no_cookie", "but one after a comma"),
}


@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.parametrize("offline", [False, True])
def test_explain_tells_why_a_cookie_is_refused(
    explain: Any, browser: Browser, kind: str, offline: bool
) -> None:
    """With the reason of the event that the request would log, and without the cookie itself."""
    browser.request(lambda session: session.login("ada"))
    headers, reason, words = REASONS[kind]

    found = explain(browser.engine, headers(browser), offline=offline)

    assert (found.opens, found.signed_in, found.reason) == (False, False, reason)
    assert words in found.remarks[-1].says
    assert (browser.cookie or "")[9:41] not in str(found)


def test_explain_tells_what_became_of_a_session(explain: Any, browser: Browser, clock: FakeClock) -> None:
    """Logged out, renewed, expired, planted twice, tampered with."""
    engine, store = browser.engine, browser.engine.requests.store
    browser.request(lambda session: session.login("ada"))
    former = browser.cookie
    browser.request(Session.regenerate)
    successor = browser.get(lambda session: session.handle)
    other = browser.with_cookie(None)
    other.request(lambda session: session.login("eve"))
    two = {"cookie": f"{browser.name}={browser.cookie}; {browser.name}={other.cookie}"}

    renewed = explain(engine, cookie_of(browser, former))
    planted = explain(engine, two)
    clock.advance(3600)
    expired = explain(engine, cookie_of(browser))
    clock.advance(-3600)
    ended = other.cookie
    other.request(Session.logout)
    logged_out = explain(engine, cookie_of(browser, ended))
    record = store.get(successor)
    assert record is not None
    store.update(record._replace(version=record.version + 1))
    tampered = explain(engine, cookie_of(browser))

    assert (renewed.opens, renewed.reason) == (False, "replaced")
    assert renewed.remarks[-1].says == f"replaced by regenerate; goes on as {successor}"
    assert (planted.opens, planted.reason) == (False, "ambiguous")
    assert (expired.opens, expired.reason) == (False, "session_expired")
    assert (tampered.opens, tampered.reason) == (False, "record_tampered")
    assert (logged_out.opens, logged_out.reason) == (False, "unknown_id")


def test_explain_does_not_echo_a_token_in_the_place_of_a_name(explain: Any, browser: Browser) -> None:
    """Whatever stands before an equals sign is no name to show, if it could be an id."""
    browser.request(lambda session: session.login("ada"))
    token = browser.cookie or ""

    found = [explain(browser.engine, {"cookie": odd}) for odd in (f"{token}=", f"{token[9:41]}=x; a=b")]

    assert [about.reason for about in found] == ["no_cookie"] * 2
    assert not [about for about in found if token[9:41] in str(about)]
    assert found[1].remarks[0].says.endswith("; it has a")


def test_explain_offline_asks_no_store(explain: Any) -> None:
    """Whether the token is genuine can be said through an outage."""
    store = FlakyStore()
    engine = SessionEngine(OLD, store, cookie=CookieOptions(secure=False))
    token, session = engine.create_session("ada")
    store.broken.add("get")

    found = explain(engine, {"cookie": f"session={token}"}, offline=True)

    assert (found.opens, found.reason, found.handle, found.signed_in) == (
        None,
        "genuine",
        session.handle,
        False,
    )
    with pytest.raises(StoreError):
        explain(engine, {"cookie": f"session={token}"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "shop.example", "Sec-Fetch-Site": "same-site", "Origin": "https://blog.shop.example"},
        [(b"host", b"proxy:8000"), (b"origin", b"https://blog.shop.example")],
        {"HTTP_HOST": "shop.example", "HTTP_ORIGIN": "https://blog.shop.example", "wsgi.input": object()},
    ],
    ids=["headers", "behind a proxy", "environ"],
)
def test_explain_says_that_another_origin_sends(explain: Any, browser: Browser, headers: Any) -> None:
    """With the Host that it is compared with, which a proxy may have replaced."""
    found = explain(browser.engine, headers)

    [remark] = [each for each in found.remarks if each.subject == "origin"]
    assert not remark.good
    assert "'https://blog.shop.example' is neither ours nor trusted" in remark.says
    assert f"we see the Host '{'proxy:8000' if isinstance(headers, list) else 'shop.example'}'" in remark.says


def test_explain_says_nothing_of_our_own_pages(explain: Any, browser: Browser) -> None:
    for headers in (
        {"Host": "shop.example", "Origin": "https://shop.example"},
        {"Host": "proxy:8000", "Origin": "https://shop.example", "Sec-Fetch-Site": "same-origin"},
        {"Host": "shop.example"},
    ):
        assert [each for each in explain(browser.engine, headers).remarks if each.subject == "origin"] == []
