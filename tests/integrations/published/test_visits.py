"""Tutorials with the documented line changed, and one guest for them all: the first hour with fluidauth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fluidauth import new_secret
from tests.integrations.served import Served

from .guest import Guest
from .sites import FLASK_LOGIN, SITES, Site

KEPT = "fluidauth.db.development-secret"
CLI = "import sys; from fluidauth.cli import main; sys.exit(main())"


class Visit:
    """A published application on its own server, and who comes there, step by step.

    With a *secret*, that signs; without one the application is as it is published, in development mode.
    """

    def __init__(self, site: Site, secret: str | None, environ: dict[str, str], until: ExitStack) -> None:
        own = {"FLUIDAUTH_DEVELOPMENT": "1"} if secret is None else {"FLUIDAUTH_SECRET": secret}
        self.site = site
        self.server = Served(site.folder, site.command, **own, **environ)
        self.secret = secret
        self._until = until
        self.guest = self.browser()

    def browser(self, cookie: str | None = None) -> Guest:
        guest = Guest(self.server.url, self.site.cookie, cookie)
        self._until.callback(guest.http.close)
        return guest

    def user(self, cookie: str | None = None) -> str | None:
        """Return who is signed in, of the guest, or of another one with a copy of *cookie*."""
        return self.site.user(self.guest if cookie is None else self.browser(cookie))

    def sign_in(self) -> None:
        """The id from before opens nothing."""
        self.site.register(self.browser())
        self.site.begin(self.guest)
        planted = self.guest.cookie

        self.site.sign_in(self.guest)

        assert self.user() == "ada"
        for before in {planted, self.guest.sent or planted}:
            assert _id(self.guest.cookie) != _id(before)
            assert self.user(before) is None

    def come_back(self) -> None:
        """The server was started anew."""
        before = self.guest.cookie

        assert self.user() == "ada"
        assert self.guest.cookie == before

    def rotate(self) -> None:
        """A new secret signs, before the former one."""
        former = self.secret or (self.site.folder / KEPT).read_text().strip()
        self.secret = new_secret()
        self.server.environ.pop("FLUIDAUTH_SECRET", None)
        self.server.environ["FLUIDAUTH_SECRETS"] = f"{self.secret} {former}"

    def come_back_under_the_new_secret(self) -> None:
        """The same session, whose cookie is signed anew."""
        before = self.guest.cookie

        assert self.user() == "ada"
        assert self.guest.cookie != before
        assert _id(self.guest.cookie) == _id(before)

    def forget_the_former_secret(self) -> None:
        assert self.secret is not None
        self.server.environ["FLUIDAUTH_SECRETS"] = self.secret

    def sign_out(self) -> None:
        """By the application's own page; a copy of the cookie is dead."""
        copy = self.guest.cookie
        assert self.user(copy) == "ada"

        self.site.sign_out(self.guest)

        assert self.user() is None
        assert self.user(copy) is None

    def sign_out_everywhere(self) -> None:
        """By the command, while the server runs; who else is there stays."""
        browsers = [self.browser(), self.browser()]
        for each in browsers:
            self.site.sign_in(each)
        other = self.browser()
        self.site.sign_in(other, "mallory")
        assert [self.site.user(each) for each in (*browsers, other)] == ["ada", "ada", "mallory"]

        user_id = self.site.user_id
        code, output = self.server.run("-c", CLI, "sessions", "revoke-user", user_id)

        assert (code, output) == (0, f"2 sessions of {user_id!r} ended\n")
        assert [self.site.user(each) for each in (*browsers, other)] == [None, None, "mallory"]

    def whole(self) -> None:
        self.site.prepare(self.server)
        with self.server.serving():
            self.sign_in()
        with self.server.serving():
            self.come_back()
        self.rotate()
        with self.server.serving():
            self.come_back_under_the_new_secret()
        self.forget_the_former_secret()
        with self.server.serving():
            self.come_back()
            self.sign_out()
            self.sign_out_everywhere()


def _id(cookie: str) -> str:
    """Return the session id, of which the store knows a digest: the third part of a token."""
    return cookie.split(".")[2]


@contextmanager
def visit(
    name: str, folder: Path, secret: str | None, *, switched: bool = True, user_key: str | None = None
) -> Iterator[Visit]:
    """Publish the site *name* in *folder*, with the documented line unless *switched* is false."""
    site = SITES[name](folder)
    site.publish()
    site.user_key = user_key or site.user_key
    if switched:
        site.switch()
    with ExitStack() as stack:
        yield Visit(site, secret, stack.enter_context(site.around()), stack)


def each_site(quick: str, *checked: str) -> pytest.MarkDecorator:
    """Run a test for each site: for *quick* in `make test`, for those *checked* in `make check`."""
    tiers = dict.fromkeys(SITES, pytest.mark.matrix) | dict.fromkeys(checked, pytest.mark.check)
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=() if name == quick else tiers[name]) for name in SITES]
    )


def each_of(*names: str) -> pytest.MarkDecorator:
    """Run a test for one site in `make check`, and for all *names* in `make matrix`."""
    checked = ("FastAPI and Authlib",)
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.check if name in checked else pytest.mark.matrix)
            for name in names
        ],
    )


@pytest.mark.requirement("66", "69")
@each_site(
    "Flask-Login and Flask-WTF",
    *("FastAPI and Authlib", "Django's polls and admin", "Quart's blog", "Litestar's SessionAuth"),
    "starlette-admin, sessions within",
)
def test_as_it_is_published(name: str, tmp_path: Path) -> None:
    """With its weak secret, in development mode; the new secret is the first that anybody gives."""
    with visit(name, tmp_path, None) as found:
        found.whole()


@pytest.mark.requirement("37", "66")
@each_of(*SITES)
def test_with_a_secret(name: str, tmp_path: Path) -> None:
    """Sessions have one of their own, in the environment, and the application keeps its weak one."""
    with visit(name, tmp_path, new_secret()) as found:
        found.whole()


@pytest.mark.requirement("32")
@each_site("starlette-admin, sessions within", "Litestar's SessionAuth")
def test_the_weak_secret_stops_it(name: str, tmp_path: Path) -> None:
    """Without either; within a mounted application, of whose start nobody is told, each request."""
    with visit(name, tmp_path, "") as found:
        if name.endswith("within"):
            with found.server.serving():
                assert found.guest.http.get(found.site.login).status_code == 500
            output = found.server.output.read_text()
        else:
            code, output = found.server.run()
            assert code != 0

    assert "FLUIDAUTH_SECRET" in output
    assert "FLUIDAUTH_DEVELOPMENT=1" in output


@pytest.mark.check
@pytest.mark.parametrize("name", ["flaskr", "FastAPI and Authlib"])
def test_the_guest_notices_a_copy_that_still_opens(name: str, tmp_path: Path) -> None:
    """As with the sessions that these have before the line is changed: so passing means something."""
    with visit(name, tmp_path, None, switched=False) as found:
        found.site.prepare(found.server)
        with found.server.serving():
            found.site.register(found.guest)
            found.site.sign_in(found.guest)
            with pytest.raises(AssertionError):
                found.sign_out()


@each_of(*(name for name in SITES if SITES[name].user_key != FLASK_LOGIN))
def test_the_guest_notices_a_sign_in_of_which_nobody_knows(name: str, tmp_path: Path) -> None:
    """As where the line names no field: the id stays, unless a sign-out came between, and none is revoked."""
    with visit(name, tmp_path, None, user_key=FLASK_LOGIN) as found:
        found.site.prepare(found.server)
        with found.server.serving():
            if not name.endswith("within"):
                with pytest.raises(AssertionError):
                    found.sign_in()
            with pytest.raises(AssertionError, match=r"assert \(1, .0 "):
                found.sign_out_everywhere()
