"""What a login needs around it, in each framework: the same promises by the framework's own answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.http import StreamingHttpResponse

from fluidauth.integrations.django import session_of
from tests.integrations.django_site import handlers

from .sites import HOST, SITES, Site, site_of

OURS = {"Sec_Fetch_Site": "same-origin"}
EVIL = {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.test"}


@pytest.fixture(params=SITES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(name: str) -> Iterator[Site]:
    with ExitStack() as stack:
        yield site_of(name, stack, cross_origin="block", login_url="/login", status_path="/status")


def who(session: Any) -> tuple[str | None, str | None]:
    return session.user_id, session.actor and session.actor.user_id


@pytest.mark.requirement("74")
def test_another_origin_is_refused(site: Site) -> None:
    """Before the page, and before the framework's own defence; ours is served."""
    site.ask(site.login("1"))

    refused = site.ask(who, "POST", **EVIL)

    assert (refused.status, refused.value) == (403, None)
    assert site.ask(who, "POST", **OURS).value == ("1", None)
    assert site.ask(who, **EVIL).value == ("1", None)


@pytest.mark.requirement("74")
@pytest.mark.parametrize("name", ["flask", "quart"])
def test_the_page_of_a_refusal_may_ask_the_session(site: Site) -> None:
    """It is nobody's there, and nothing that the page does is kept."""
    app = site.client.application if hasattr(site.client, "application") else site.client.app

    def page(error: Exception) -> tuple[str, int]:
        session = site.ours.session  # type: ignore[attr-defined]  # of these two
        session["seen"] = 1
        return f"nobody: {session.user_id is None} {session.methods}", 403

    app.register_error_handler(403, page)
    site.ask(site.login("1"))

    for path in ("/", "/status"):
        refused = site.ask(who, "POST", path, **EVIL)
        assert (refused.status, refused.text) == (403, "nobody: True {}")
        assert "set-cookie" not in refused.headers
    assert site.ask(lambda session: (session.user_id, dict(session))).value == ("1", {})
    assert len(site.engine.requests.store.scan()) == 1


@pytest.mark.requirement("74")
@pytest.mark.parametrize("name", ["flask", "django"])
def test_a_handshake_over_wsgi(site: Site) -> None:
    """It is a GET that is upgraded, as Flask-Sock takes it. Another upgrade is a GET as any."""
    site.ask(site.login("1"))

    assert site.ask(who, Upgrade="WebSocket", Connection="Upgrade", **EVIL).status == 403
    assert site.ask(who, Upgrade="h2c", Connection="Upgrade", **EVIL).value == ("1", None)


@pytest.mark.requirement("74")
def test_the_host_decides_for_old_browsers(site: Site) -> None:
    """As the framework knows it."""
    site.ask(site.login("1"))

    assert site.ask(who, "POST", Origin=f"https://{HOST}").value == ("1", None)
    assert site.ask(who, "POST", Origin="https://other.test").status == 403


@pytest.mark.requirement("75")
def test_another_origin_signs_nobody_in(site: Site) -> None:
    """Though no cookie came, so that the request is served until then."""
    refused = site.ask(site.login("1"), "POST", **EVIL)

    assert refused.status == 403
    assert site.ask(who).value == (None, None)
    frame = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe", **EVIL}
    assert site.ask(site.login("1"), **frame).status == 403
    site.ask(site.login("1"), **{**frame, "Sec_Fetch_Dest": "document"})
    assert site.ask(who).value == ("1", None)


@pytest.mark.requirement("75")
def test_in_report_mode_it_signs_in(name: str) -> None:
    """Until the operator blocks it."""
    with ExitStack() as stack:
        site = site_of(name, stack)
        site.ask(site.login("1"), "POST", **EVIL)
        assert site.ask(who, "POST", **EVIL).value == ("1", None)


@pytest.mark.requirement("76")
def test_the_status_is_served(site: Site) -> None:
    """At its path, which no route has; asking prolongs nothing, and a POST does."""
    site.ask(site.login("1"))
    site.clock.advance(500)

    for _ in range(2):
        answer = site.ask(bool, path="/status")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert json.loads(answer.text)["signed_in"] is True
        assert json.loads(answer.text)["expires_in"] == 100
    assert json.loads(site.ask(bool, "POST", "/status").text)["expires_in"] == 600
    assert site.ask(bool, "POST", "/status", **EVIL).status == 403
    assert "Session-Activity" in site.ask(bool, path="/status.js").text
    site.clock.advance(600)
    assert json.loads(site.ask(bool, path="/status").text)["signed_in"] is False


@pytest.mark.requirement("76")
@pytest.mark.parametrize("quiet", ["by header", "by call"])
def test_polling_does_not_prolong(site: Site, quiet: str) -> None:
    """Whether the page says so or the view."""

    def poll(session: Any) -> Any:
        if quiet == "by call":
            session.counts_as_activity = False
        return who(session)

    sent = {"Session_Activity": "none"} if quiet == "by header" else {}
    site.ask(site.login("1"))
    for _ in range(3):
        site.clock.advance(199)
        assert site.ask(poll, **sent).value == ("1", None)
    site.clock.advance(3)
    assert site.ask(poll, **sent).value == (None, None)


@pytest.mark.requirement("77")
def test_a_step_up(site: Site) -> None:
    """A page leads to the page of sign-in, a script is told what is wanted, a confirmation opens it."""
    site.ask(site.login("1", methods=("pwd",)))

    def need(session: Any) -> str:
        session.require(within=300, method="otp")
        return "done"

    page = site.ask(need, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")
    assert (page.status, page.headers["location"]) == (303, "/login?next=%2F")
    script = site.ask(need, Sec_Fetch_Mode="cors")
    assert script.status == 401
    assert script.headers["www-authenticate"].endswith('max_age="300", acr_values="otp"')
    site.ask(lambda session: session.confirm(("otp",)))
    assert site.ask(need).value == "done"
    assert sorted(site.ask(lambda session: session.methods).value) == ["otp", "pwd"]


@pytest.mark.requirement("77")
@pytest.mark.requirement("78")
@pytest.mark.parametrize("before", [None, "1", "2"], ids=["nobody", "the same user", "another user"])
def test_a_login_that_says_more(site: Site, before: str | None) -> None:
    """How it was done, and that all others end, counts whoever was signed in."""
    site.engine.create_session("1")
    if before is not None:
        site.ask(site.login(before))
    login = site.login("1", methods=("pwd",))

    site.ask(lambda session: [login(session), session.keep_only_this()])

    assert site.ask(who).value == ("1", None)
    assert [*site.ask(lambda session: session.methods).value] == ["pwd"]
    assert len(site.engine.list_sessions("1")) == 1


@pytest.mark.requirement("78")
def test_only_this_session_stays(site: Site, name: str) -> None:
    """All others of the user end."""
    other, handle = site.engine.create_session("1")
    del other
    site.ask(site.login("1"))

    site.ask(lambda session: session.keep_only_this())

    assert site.ask(who).value == ("1", None)
    assert site.engine.get_session(handle.handle or "") is None
    assert len(site.engine.list_sessions("1")) == 1


@pytest.mark.requirement("79")
def test_acting_for_another(site: Site) -> None:
    """And the way back; meanwhile nothing of the actor is there, and the user's own pages are closed."""
    site.ask(site.login("1"))
    site.ask(lambda session: session.__setitem__("cart", 1))

    site.ask(lambda session: session.impersonate("2", "ticket 7"))

    assert site.ask(who).value == ("2", "1")
    assert site.ask(lambda session: session.require_real_user()).status == 403
    assert site.ask(lambda session: session.require(within=300)).status == 403
    site.ask(lambda session: session.__setitem__("seen", 1))
    site.ask(lambda session: session.end_impersonation())
    assert site.ask(who).value == ("1", None)
    site.ask(lambda session: session.impersonate("2", "ticket 7"))
    site.clock.advance(300)
    site.ask(who)
    site.clock.advance(590)
    site.ask(who)
    site.clock.advance(590)
    site.ask(who)
    site.clock.advance(590)
    assert site.ask(who).value == ("1", None)
    assert site.ask(who).value == ("1", None)
    assert site.engine.list_sessions("2") == []


@pytest.mark.requirement("79")
@pytest.mark.parametrize("over", [False, True], ids=["while it lasts", "its time is over"])
def test_a_logout_in_anothers_name(site: Site, over: bool) -> None:
    """Nothing is left of it, nor of the own session."""
    site.ask(site.login("1"))
    site.ask(lambda session: session.impersonate("2", "ticket 7"))
    if over:
        for _ in range(4):
            site.ask(who)
            site.clock.advance(450)

    site.ask(site.logout)

    assert site.ask(who).value == (None, None)
    assert site.engine.list_sessions("1") == site.engine.list_sessions("2") == []


@pytest.mark.requirement("79")
@pytest.mark.parametrize("user_id", ["2", "3"], ids=["by the user", "by another one"])
def test_another_login_in_anothers_name(site: Site, user_id: str) -> None:
    """The one who acted is signed out, and the one who came has authenticated."""
    site.ask(site.login("1"))
    site.ask(lambda session: session.impersonate("2", "ticket 7"))

    site.ask(site.login(user_id, methods=("pwd",)))

    assert site.ask(who).value == (user_id, None)
    assert [*site.ask(lambda session: session.methods).value] == ["pwd"]
    assert [len(site.engine.list_sessions(each)) for each in "123"].count(1) == 1


@pytest.mark.requirement("79")
def test_the_cookie_of_django_ends_with_the_browser() -> None:
    """Also in another's name, if the own one does."""
    with ExitStack() as stack:
        site = site_of("django", stack)
        site.ask(site.login("1"))
        site.ask(lambda session: session.request.session.set_expiry(0))

        site.ask(lambda session: session.impersonate("2", "ticket 7"))
        assert site.client.cookies["sessionid"]["max-age"] == ""
        site.ask(lambda session: session.end_impersonation())
        assert site.client.cookies["sessionid"]["max-age"] == ""


@pytest.mark.requirement("80")
def test_one_time_values(site: Site, name: str) -> None:
    """Issued in one request, redeemed in another, once."""
    value = site.ask(lambda session: session.issue("state", {"next": "/"})).value

    assert site.ask(lambda session: session.redeem("state", value)).value == {"next": "/"}
    again = site.ask(lambda session: session.redeem("state", value))
    assert (again.status, again.value) == (400, None)
    stranger = site.ask(lambda session: session.redeem("other", value))
    assert stranger.status == 400


@pytest.mark.requirement("82")
def test_a_logout_clears_the_site(site: Site) -> None:
    """Only that response."""
    assert "clear-site-data" not in site.ask(site.login("1")).headers

    assert site.ask(site.logout).headers["clear-site-data"] == '"cache", "storage"'
    assert "clear-site-data" not in site.ask(who).headers


@pytest.mark.requirement("75")
def test_django_signs_nobody_in_by_its_field() -> None:
    """A package that writes it into a session that begins is refused as well."""
    with ExitStack() as stack:
        site = site_of("django", stack, cross_origin="block")

        def write(session: Any) -> None:
            session["_auth_user_id"] = "1"

        assert site.ask(write, "POST", **EVIL).status == 403
        assert site.ask(who).value == (None, None)
        site.ask(write, "POST", **OURS)
        assert site.ask(who).value == ("1", None)


@pytest.mark.requirement("79")
def test_the_way_back_in_a_stream_of_django() -> None:
    """It needs a head, so it is left to the next request."""
    with ExitStack() as stack:
        site = site_of("django", stack, idle_timeout=None)
        site.ask(site.login("1"))
        site.ask(lambda session: session.impersonate("2", "ticket 7"))
        site.clock.advance(1800)

        def late(request: Any) -> Any:
            return StreamingHttpResponse(str(session_of(request).user_id) for _ in "a")

        handlers.append(late)
        streamed = b"".join(site.client.get("/").streaming_content)
        handlers.pop()

        assert streamed == b"1"
        assert site.ask(who).value == ("1", None)
