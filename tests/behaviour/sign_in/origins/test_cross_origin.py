"""Requests that a page of another origin makes, by their headers. Real browsers are in ``tests/browser``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidauth import CookieOptions, MemoryStore, Session, SessionEngine
from fluidauth.errors import ConfigError
from fluidauth.events import SessionEvent
from fluidauth.formats.request_head import RequestHead
from fluidauth.integrations.starlette import StarletteCookie
from fluidauth.keys import new_secret
from fluidauth.rules.origins import OriginRules, foreign, foreign_login
from tests.handlers import current_user, fields, log_in, put
from tests.support import Browser, Protocol

from .conftest import EVIL, HOST, OURS, SIBLING

PASSES = [
    pytest.param({}, id="no browser"),
    pytest.param({"Sec-Fetch-Site": "same-origin"}, id="our page"),
    pytest.param({"Sec-Fetch-Site": "none"}, id="the user"),
    pytest.param({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, id="our page without a referrer"),
    pytest.param({"Origin": OURS}, id="our page in an old browser"),
    pytest.param({"Origin": "https://APP.shop.test"}, id="our page in capitals"),
    pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://partner.test"}, id="trusted"),
    pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://port.test:8443"}, id="trusted port"),
    pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://part_ner.test"}, id="an underscore"),
    pytest.param({"Origin": "https://default.test"}, id="trusted under its scheme's own port"),
    pytest.param({"Referer": f"{EVIL}/page"}, id="no word of a referrer counts"),
]
REFUSED = [
    pytest.param({"Sec-Fetch-Site": "cross-site"}, "cross-site", id="another site"),
    pytest.param({"Sec-Fetch-Site": "same-site", "Origin": SIBLING}, SIBLING, id="a sibling"),
    pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": OURS}, OURS, id="who says otherwise"),
    pytest.param({"Sec-Fetch-Site": "same-origin, cross-site"}, "same-origin, cross-site", id="two words"),
    pytest.param({"Sec-Fetch-Site": ""}, "", id="an empty word"),
    pytest.param({"Sec-Fetch-Site": "SAME-ORIGIN"}, "SAME-ORIGIN", id="no word that a browser says"),
    pytest.param({"Origin": EVIL}, EVIL, id="another site in an old browser"),
    pytest.param({"Origin": SIBLING}, SIBLING, id="a sibling in an old browser"),
    pytest.param({"Origin": "null"}, "null", id="a sandbox in an old browser"),
    pytest.param({"Origin": ""}, "", id="an empty origin"),
    pytest.param({"Origin": f"{OURS}:8443"}, f"{OURS}:8443", id="another port"),
    pytest.param({"Origin": "http://app.shop.test"}, "http://app.shop.test", id="plain http"),
    pytest.param({"Origin": f"{OURS}, {EVIL}"}, f"{OURS}, {EVIL}", id="two origins"),
    pytest.param({"Origin": f"{OURS}/path"}, f"{OURS}/path", id="an address"),
    pytest.param({"Origin": "https://app.shop.test.evil.test"}, None, id="a longer name"),
    pytest.param({"Origin": "https://user@app.shop.test"}, None, id="a name with a user"),
    pytest.param({"Origin": "file://app.shop.test"}, None, id="another scheme"),
    pytest.param({"Origin": "https://[::::]"}, None, id="no name"),
    pytest.param({"Origin": "https://partner.test.evil.test"}, None, id="longer than a trusted one"),
    pytest.param({"Origin": EVIL, "Referer": f"{OURS}/"}, EVIL, id="a referrer of ours"),
]


@pytest.mark.requirement("74")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "post"])
@pytest.mark.parametrize("headers", PASSES)
def test_what_passes(user: Browser, method: str, headers: dict[str, str]) -> None:
    """A page of ours, a trusted one, and what cannot be a browser."""
    response = user.request(put(a=1), method=method, sent={**HOST, **headers})

    assert (response.status, user.get(fields)["a"]) == (200, 1)


@pytest.mark.requirement("74")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "post"])
@pytest.mark.parametrize(("headers", "told"), REFUSED)
def test_what_is_refused(
    user: Browser, events: list[SessionEvent], method: str, headers: dict[str, str], told: str | None
) -> None:
    """With 403, and before the application is asked, whether it uses the session or not."""
    asked: list[Session] = []

    response = user.request(asked.append, method=method, sent={**HOST, **headers})

    assert (response.status, asked) == (403, [])
    assert response.all("set-cookie") == []
    (event,) = [event for event in events if event.name == "cross_origin"]
    assert event.reason == "request"
    assert event.origin == (headers["Origin"] if told is None else told)
    assert user.get(current_user) == "user-42"


@pytest.mark.requirement("74")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(("headers", "told"), REFUSED[:2])
def test_a_safe_method_is_not_looked_at(
    user: Browser, events: list[SessionEvent], method: str, headers: dict[str, str], told: str
) -> None:
    """Links from elsewhere work."""
    assert user.get(current_user, method=method, sent={**HOST, **headers}) == "user-42"
    assert "cross_origin" not in {event.name for event in events}


@pytest.mark.requirement("74")
def test_a_handshake_over_wsgi(engine: SessionEngine, events: list[SessionEvent]) -> None:
    """It is a GET that is upgraded: no page can send one but by opening a WebSocket."""
    user = Browser("wsgi", engine)
    user.request(log_in)
    upgrade = {**HOST, "Upgrade": "websocket", "Connection": "Upgrade"}

    assert user.request(current_user, sent={**upgrade, "Origin": EVIL}).status == 403
    assert user.get(current_user, sent={**upgrade, "Origin": OURS}) == "user-42"
    assert user.get(current_user, sent={**upgrade, "Upgrade": "h2c", "Origin": EVIL}) == "user-42"
    assert [event.reason for event in events if event.name == "cross_origin"] == ["socket"]


@pytest.mark.requirement("74")
@pytest.mark.parametrize(
    "cookie", ["", "other=1", "x__Host-session=1", "a=__Host-session=1", "__host-session=1"]
)
def test_without_our_cookie_it_is_served(browser: Browser, cookie: str) -> None:
    """An API with keys of its own is not ours to protect."""
    response = browser.request(
        current_user, cookie_header=cookie, method="POST", sent={**HOST, "Origin": EVIL}
    )

    assert response.status == 200


@pytest.mark.requirement("74")
@pytest.mark.parametrize("cookie", ["__Host-session=1", "a=1; __Host-session=forged", "__Host-session="])
def test_a_cookie_of_our_name_is_enough(browser: Browser, cookie: str) -> None:
    """Nobody asks first whether it is genuine: a browser sent it."""
    response = browser.request(
        current_user, cookie_header=cookie, method="POST", sent={**HOST, "Origin": EVIL}
    )

    assert response.status == 403


@pytest.mark.requirement("74")
@pytest.mark.parametrize("cookie", ["old-name=x", "session=eyJhIjoxfQ.aaa.bbb", "old-name=x; a=b"])
def test_cookies_of_before_count_as_well(protocol: Protocol, cookie: str) -> None:
    """Under a former name, or of a former system: they open sessions."""
    engine = SessionEngine(
        new_secret(),
        MemoryStore(),
        cookie=CookieOptions(former_names=("old-name",)),
        adopt=[StarletteCookie(new_secret())],
        cross_origin="block",
    )
    browser = Browser(protocol, engine)

    response = browser.request(
        current_user, cookie_header=cookie, method="POST", sent={**HOST, "Origin": EVIL}
    )

    assert response.status == 403


@pytest.mark.requirement("74")
def test_a_clients_token_is_no_cookie(user: Browser) -> None:
    """A page that knows the token is trusted with it. Another system's is not ours, so the cookie counts."""
    token, _ = user.engine.create_client_token("client")
    sent = {**HOST, "Origin": EVIL}

    assert (
        user.get(current_user, method="POST", sent={**sent, "Authorization": f"Bearer {token}"}) == "client"
    )
    for other in ("Bearer abc", "Basic abc", "bearer"):
        assert user.request(current_user, method="POST", sent={**sent, "Authorization": other}).status == 403


@pytest.mark.requirement("74")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/saml/acs", 200),
        ("/saml/acs/", 403),
        ("/saml", 403),
        ("/hooks/a/b", 200),
        ("/hooks/", 200),
        ("/hooks", 403),
        ("/hooks/../admin", 403),
        ("/hooks/..", 403),
        ("/hooks/..a", 200),
    ],
)
def test_a_route_can_be_exempt(user: Browser, path: str, status: int) -> None:
    """By its path alone, or all below one."""
    assert (
        user.request(current_user, method="POST", path=path, sent={**HOST, "Origin": EVIL}).status == status
    )


@pytest.mark.requirement("74")
@pytest.mark.parametrize(
    ("mode", "status", "reports"), [("block", 403, 1), ("report", 200, 1), ("off", 200, 0)]
)
def test_the_modes(protocol: Protocol, mode: Any, status: int, reports: int) -> None:
    """What would be refused is reported until the operator blocks it, and counted."""
    events: list[SessionEvent] = []
    engine = SessionEngine(new_secret(), MemoryStore(), cross_origin=mode, on_event=events.append)
    user = Browser(protocol, engine)
    user.request(log_in)

    response = user.request(put(a=1), method="POST", sent={**HOST, "Origin": EVIL})
    user.request(put(a=1), method="POST", sent={**HOST, "Origin": SIBLING})

    told = [(event.reason, event.origin, event.count) for event in events if event.name == "cross_origin"]
    assert response.status == status
    assert told == [("request", EVIL, 1), ("request", SIBLING, 2)][: 2 * reports]


@pytest.mark.requirement("74")
def test_it_reports_by_default(protocol: Protocol) -> None:
    """Until 1.0: an application that is updated refuses nothing that it served."""
    assert SessionEngine(new_secret(), MemoryStore()).policy.origins.mode == "report"


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "secure", "passes"),
    [
        pytest.param("http", "app.test", "https://app.test", True, True, id="TLS ended before us"),
        pytest.param("https", "app.test:443", "https://app.test", True, True, id="the scheme's own port"),
        pytest.param("http", "localhost:8000", "http://localhost:8000", True, True, id="this machine"),
        pytest.param("http", "[::1]:8000", "http://[::1]:8000", True, True, id="this machine by number"),
        pytest.param("http", "app.test", "http://app.test", False, True, id="plain http on purpose"),
        pytest.param("http", "app.test", "http://app.test", True, False, id="plain http beside Secure"),
        pytest.param("https", "localhost", "http://localhost", False, False, id="plain http to TLS"),
        pytest.param(
            "http", "10.0.0.7:8000", "https://app.test", True, False, id="a proxy that changes Host"
        ),
        pytest.param("http", "", "https://app.test", True, False, id="no host"),
        pytest.param("http", "my_app:8000", "http://my_app:8000", False, True, id="a name of an intranet"),
    ],
)
@pytest.mark.requirement("74")
def test_which_host_counts(scheme: str, host: str, origin: str, secure: bool, passes: bool) -> None:
    """For browsers that say only from which origin they come."""
    head = RequestHead({"wsgi.url_scheme": scheme, "HTTP_HOST": host, "HTTP_ORIGIN": origin})

    assert (foreign(head, OriginRules(), secure) is None) is passes


# -- any headers ---------------------------------------------------------------------------

WORDS = st.one_of(
    st.none(),
    st.sampled_from(["same-origin", "same-site", "cross-site", "none", "", OURS, SIBLING, EVIL, "null"]),
    st.text(max_size=30),
)


@given(WORDS, WORDS, WORDS, WORDS, WORDS, st.sampled_from(["GET", "POST"]), st.booleans())
@pytest.mark.requirement("74")
def test_any_headers_have_a_verdict(
    site: Any, origin: Any, host: Any, mode: Any, dest: Any, method: str, secure: bool
) -> None:
    """Nothing raises, WSGI and ASGI agree, and only our own words let a request pass that names an origin."""
    sent = {
        name: value
        for name, value in {
            "sec-fetch-site": site,
            "origin": origin,
            "host": host,
            "sec-fetch-mode": mode,
            "sec-fetch-dest": dest,
        }.items()
        if value is not None
    }
    environ = RequestHead(
        {
            "REQUEST_METHOD": method,
            "wsgi.url_scheme": "https",
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sent.items()},
        }
    )
    scope = RequestHead(
        {
            "type": "http",
            "method": method,
            "scheme": "https",
            "path": "",
            "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in sent.items()],
        }
    )
    verdict = foreign(environ, OriginRules(), secure)

    assert (verdict is None) == (foreign(scope, OriginRules(), secure) is None)
    if verdict is None:
        assert site in ("same-origin", "none") or (site is None and (origin is None or host in origin))
    strict = foreign_login(environ, OriginRules(), secure, False)
    assert strict is None or foreign_login(environ, OriginRules(), secure, True) is None
    assert (strict is None) == (verdict is None)


@pytest.mark.parametrize(
    "settings",
    [
        {"cross_origin": "warn"},
        {"cross_origin": True},
        {"trusted_origins": "https://a.test"},
        {"trusted_origins": ("a.test",)},
        {"trusted_origins": ("https://a.test/",)},
        {"trusted_origins": ("https://*.test",)},
        {"trusted_origins": ("null",)},
        {"trusted_origins": (7,)},
        {"trusted_origins": 7},
        {"cross_origin_exempt": "/a"},
        {"cross_origin_exempt": ("a",)},
        {"cross_origin_exempt": ("/a*",)},
        {"cross_origin_exempt": ("/*/a",)},
        {"cross_origin_exempt": (7,)},
        {"clear_site_data": "cache"},
        {"clear_site_data": ('c"ache',)},
        {"counts_as_activity": 7},
    ],
)
def test_wrong_settings(settings: Any) -> None:
    """They stop the start, with the value and what it must be."""
    with pytest.raises(ConfigError, match=next(iter(settings))):
        SessionEngine(new_secret(), MemoryStore(), **settings)


@pytest.mark.requirement("82")
@pytest.mark.parametrize("kinds", [(), ("cache", "storage"), ("*",)])
def test_a_logout_clears_the_site(protocol: Protocol, kinds: Any) -> None:
    """Only that response says so, and only if the operator wants it."""
    engine = SessionEngine(new_secret(), MemoryStore(), clear_site_data=kinds)
    browser = Browser(protocol, engine)
    said = [browser.request(handler).all("clear-site-data") for handler in (log_in, put(a=1), Session.logout)]

    assert said == [[], [], [", ".join(f'"{kind}"' for kind in kinds)] if kinds else []]


def test_the_cookie_decides_about_plain_http(protocol: Protocol) -> None:
    """An application without TLS trusts its own pages."""
    cookie = CookieOptions(secure=False)
    engine = SessionEngine(new_secret(), MemoryStore(), cookie=cookie, cross_origin="block")
    browser = Browser(protocol, engine)
    browser.request(log_in, scheme="http")

    sent = {"Host": "intranet:8000", "Origin": "http://intranet:8000"}
    assert browser.request(put(a=1), method="POST", scheme="http", sent=sent).status == 200
