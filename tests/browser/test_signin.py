"""The examples of a real sign-in, in a real browser: each does what *Signing in* says, step by step."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Error, Page, expect

from harness.browser import Chromium, browsing
from harness.origins import FOREIGN, SIBLING, Certificate, Site

from .signin_site import DAY, SERVERS, SignInSite, hosting

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("sign-in")]
# Send the second step of a sign-in again; Django wants its own token in each form.
REDEEM = """([value, code]) => {
  const csrfmiddlewaretoken = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  const body = new URLSearchParams({ value, code, csrfmiddlewaretoken });
  return fetch("/code", { method: "POST", body }).then((answer) => answer.status);
}"""


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest,
    certificate: Certificate,
    secure: Site,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SignInSite]:
    """One after another. The sites of others close after the browser, which keeps connections to them."""
    with hosting(request.param, certificate, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def elsewhere(certificate: Certificate) -> Iterator[Chromium]:
    """The browser of another device."""
    with browsing(certificate.pin) as chromium:
        yield chromium


def give_password(page: Page, site: SignInSite, user: str, remember: bool = False) -> None:
    page.goto(f"{site.url}/login")
    page.get_by_label("Name").fill(user)
    page.get_by_label("Password").fill(site.passwords[user])
    page.get_by_label("Remember me").set_checked(remember)
    page.get_by_role("button", name="Sign in").click()


def give_code(page: Page, code: str) -> None:
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Go on").click()


def sign_in(page: Page, site: SignInSite, user: str, remember: bool = False) -> None:
    give_password(page, site, user, remember)
    if user != "carol":  # she has no second factor
        give_code(page, site.code(user))
    shows(page, f"Hello, {user}")


def shows(page: Page, heading: str) -> None:
    """Wait for the page with this *heading*."""
    expect(page.get_by_role("heading")).to_have_text(heading)


def session_cookie(page: Page) -> dict[str, object]:
    [cookie] = [each for each in page.context.cookies() if each["name"] == "__Host-session"]
    return dict(cookie)


def test_a_password_and_a_code_sign_in(site: SignInSite, chromium: Chromium) -> None:
    """Neither of them does so alone, and the value between the two works once."""

    def script(page: Page) -> None:
        page.goto(f"{site.url}/login")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("a wrong password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()

        give_password(page, site, "ada")
        shows(page, "Your code")
        page.goto(site.url)
        shows(page, "Sign in")

        give_password(page, site, "ada")
        give_code(page, "no code")
        expect(page.get_by_role("alert")).to_have_text("That is not the code.")
        used = page.locator("input[name=value]").input_value()
        give_code(page, site.code("ada"))
        shows(page, "Hello, ada")
        expect(page.get_by_text("You signed in by pwd otp")).to_be_visible()
        assert page.evaluate(REDEEM, [used, site.code("ada")]) == 400

    chromium.drive(script)


def test_remember_me_outlives_the_browser(site: SignInSite, chromium: Chromium) -> None:
    """Without it the cookie ends with the browser."""

    def script(page: Page) -> None:
        sign_in(page, site, "bob")
        assert session_cookie(page)["expires"] == -1
        page.get_by_role("button", name="Sign out", exact=True).click()
        shows(page, "Sign in")

        sign_in(page, site, "bob", remember=True)
        expires = float(str(session_cookie(page)["expires"]))
        assert 29 * DAY < expires - time.time() < 31 * DAY

    chromium.drive(script)


def test_an_open_page_does_not_keep_its_session(site: SignInSite, chromium: Chromium) -> None:
    """The countdown shows in time, a click stays, and the end leads to the sign-in."""

    def script(page: Page) -> None:
        page.clock.install()
        sign_in(page, site, "carol")
        countdown = page.get_by_role("alertdialog")

        site.advance(site.idle_timeout - 100)
        with page.expect_response(f"{site.url}/news") as news:
            page.clock.fast_forward(40_000)
        assert news.value.ok
        expect(countdown).to_contain_text(re.compile(r"Your session ends in [01]:\d\d\."))
        page.get_by_role("button", name="Stay signed in").click()
        expect(countdown).to_be_hidden()

        site.advance(site.idle_timeout - 100)  # that is the end, unless the click counted
        page.clock.fast_forward(40_000)
        expect(countdown).to_be_visible()
        with page.expect_response(f"{site.url}/news") as news:
            page.clock.fast_forward(40_000)
        assert news.value.ok
        site.advance(110)  # that is the end, unless what the page asked for by itself counted
        page.clock.fast_forward(40_000)
        shows(page, "Sign in")

    chromium.drive(script)


def test_a_page_that_needs_a_fresh_login_asks_and_leads_back(site: SignInSite, chromium: Chromium) -> None:
    """It asks for the second factor. A form that comes too late leads back to its page, and is not done."""

    def script(page: Page) -> None:
        sign_in(page, site, "ada")
        site.advance(400)
        page.get_by_role("link", name="Change the e-mail address").click()
        shows(page, "Is it you, ada?")
        give_code(page, "no code")
        expect(page.get_by_role("alert")).to_be_visible()
        give_code(page, site.code("ada"))
        expect(page).to_have_url(f"{site.url}/email")

        site.advance(400)
        change_email(page, "late@example.com")
        shows(page, "Is it you, ada?")
        give_code(page, site.code("ada"))
        expect(page).to_have_url(f"{site.url}/email")
        expect(page.get_by_label("E-mail")).to_have_value("ada@example.com")
        change_email(page, "ada@example.org")
        expect(page.get_by_role("status")).to_have_text("The e-mail address has changed.")
        expect(page.get_by_text("ada@example.org")).to_be_visible()
        page.reload()
        expect(page.get_by_role("status")).to_have_count(0)  # it is said once

        page.goto(f"{site.url}/login?next=https://evil.test/")
        give_code(page, site.code("ada"))
        expect(page).to_have_url(f"{site.url}/")

    chromium.drive(script)


def change_email(page: Page, address: str) -> None:
    page.get_by_label("E-mail").fill(address)
    page.get_by_role("button", name="Change").click()


def test_a_new_password_ends_the_other_sessions(
    site: SignInSite, chromium: Chromium, elsewhere: Chromium
) -> None:
    """The one that asked goes on, under another cookie."""
    new = "a password of many characters"

    def here(page: Page) -> None:
        sign_in(page, site, "carol")
        before = session_cookie(page)["value"]
        page.get_by_role("link", name="change the password").click()
        page.get_by_label("Old password").fill(site.passwords["carol"])
        page.get_by_label("New password").fill(new)
        page.get_by_label("The new one again").fill(new)
        page.get_by_role("button", name="Change").click()
        shows(page, "Hello, carol")
        expect(page.get_by_role("status")).to_contain_text("All other sessions have ended.")
        assert session_cookie(page)["value"] != before

    def there(page: Page) -> None:
        sign_in(page, site, "carol")
        expect(page.get_by_text("You signed in by pwd")).to_be_visible()
        chromium.drive(here)
        page.reload()
        shows(page, "Sign in")

    elsewhere.drive(there)
    site.passwords["carol"] = new


def test_sign_out_everywhere(site: SignInSite, chromium: Chromium, elsewhere: Chromium) -> None:
    """Here and on the other device. The browser forgets what it keeps of the site."""

    def here(page: Page) -> None:
        sign_in(page, site, "bob")
        with page.expect_response(f"{site.url}/logout-everywhere") as answer:
            page.get_by_role("button", name="Sign out everywhere").click()
        assert answer.value.header_value("clear-site-data") == '"cache", "storage"'
        shows(page, "Sign in")
        assert [each for each in page.context.cookies() if each["name"] == "__Host-session"] == []
        page.goto(site.url)
        shows(page, "Sign in")

    def there(page: Page) -> None:
        sign_in(page, site, "bob")
        chromium.drive(here)
        page.reload()
        shows(page, "Sign in")

    elsewhere.drive(there)


def test_an_administrator_acts_in_another_name(site: SignInSite, chromium: Chromium) -> None:
    """Each page says so. What needs the user is refused, and the own session comes back."""

    def script(page: Page) -> None:
        sign_in(page, site, "ada")
        page.get_by_label("Act in the name of").select_option("carol")
        page.get_by_label("Reason").fill("ticket 7")
        page.get_by_role("button", name="Act").click()
        shows(page, "Hello, carol")
        banner = re.compile(r"ada acts in the name of carol until \d\d:\d\d UTC: ticket 7")
        expect(page.locator(".actor")).to_contain_text(banner)
        for path in ("/password", "/email"):
            answer = page.goto(f"{site.url}{path}")
            assert answer is not None
            assert answer.status == 403
        page.goto(site.url)
        page.get_by_role("button", name="End").click()
        shows(page, "Hello, ada")
        expect(page.locator(".actor")).to_have_count(0)

    chromium.drive(script)


@pytest.mark.parametrize("host", [SIBLING, FOREIGN])
def test_a_form_of_another_site_does_nothing(
    host: str, site: SignInSite, chromium: Chromium, secure: Site
) -> None:
    """It signs nobody in, and changes nothing for those who are signed in."""

    def post(page: Page, path: str, **fields: str) -> int:
        """Open a page there that posts *fields* to *path*; return the status of the answer."""
        inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
        form = f'<form method="post" action="{site.url}{path}">{inputs}</form>'
        secure.pages["/form"] = f"<!doctype html>{form}<script>document.forms[0].submit()</script>"
        with page.expect_response(f"{site.url}{path}") as answer, suppress(Error):
            page.goto(f"{secure.origin(host)}/form")  # the page leaves before it has loaded
        page.wait_for_load_state()
        return answer.value.status

    def script(page: Page) -> None:
        assert post(page, "/login", username="carol", password=site.passwords["carol"]) == 403
        page.goto(site.url)
        shows(page, "Sign in")

        sign_in(page, site, "ada")
        shown = page.get_by_text("Your e-mail address is").inner_text()
        # Without a cookie, which a foreign site's form does not send, there is nothing to refuse but a login.
        refused = (403,) if host == SIBLING else (303, 302, 403)
        assert post(page, "/email", email="mallory@evil.test") in refused
        assert post(page, "/logout") in refused
        page.goto(site.url)
        assert page.get_by_text("Your e-mail address is").inner_text() == shown

    chromium.drive(script)
