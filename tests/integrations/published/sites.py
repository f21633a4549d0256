"""Applications as tutorials publish them, each with the documented line to change, and how one signs in.

A weak secret, plain http, the framework's own command. Those that no released archive has are in ``apps``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.integrations.live import live
from tests.integrations.served import Served
from tests.integrations.upstream import sources_of

from .guest import Form, Forms, Guest
from .polls import lay_out
from .provider import provider

APPS = Path(__file__).parent / "apps"
PASSWORDS = {"ada": "difference", "mallory": "engine"}
FLASK_LOGIN = '"_user_id"'  # by default


class Site:
    """An application that is published as :attr:`source`, one of ``apps``; others say how they come about."""

    source = ""
    command = ""
    line: tuple[tuple[str, str], ...] = ()
    """What the documentation says to change: text that stands once, and what comes in its place."""
    file = "app.py"
    """Where it says so."""
    user_key = FLASK_LOGIN
    """The field in which the application keeps who is signed in, or a function of all."""
    cookie = "session"
    user_id = "ada"
    """Under which Ada's sessions are found."""
    login = "/"
    home = "/"
    logout = "/logout"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self) -> None:
        """Write the application as it is published."""
        shutil.copy(APPS / f"{self.source}.py", self.folder / "app.py")

    def switch(self) -> None:
        """Change the documented line."""
        key = f"user_key={self.user_key}"
        self.change(self.file, *((before, after.replace("USER_KEY", key)) for before, after in self.line))

    def change(self, name: str, *changes: tuple[str, str]) -> None:
        path = self.folder / name
        text = path.read_text()
        for before, after in changes:
            assert text.count(before) == 1, (before, text)
            text = text.replace(before, after)
        path.write_text(text)

    @contextmanager
    def around(self) -> Iterator[dict[str, str]]:
        """What must run beside it; gives the environment that it needs for that."""
        yield {}

    def prepare(self, server: Served) -> None:
        """Run what the tutorial has run before the first start."""

    # -- what its guests do --------------------------------------------------------------

    def begin(self, guest: Guest) -> None:
        """Have a session before anybody signs in."""
        guest.get(self.login)

    def register(self, guest: Guest) -> None:
        """Have those of PASSWORDS known, where the application knows nobody yet."""

    def sign_in(self, guest: Guest, name: str = "ada") -> None:
        guest.submit(guest.get(self.login), username=name, password=PASSWORDS[name])

    def sign_out(self, guest: Guest) -> None:
        guest.get(self.logout)

    def user(self, guest: Guest) -> str | None:
        """Return who is signed in."""
        return found_in(guest.get(self.home), r"signed in as <b>(\w+)</b>")


def found_in(page: httpx.Response, name: str) -> str | None:
    """Return who is signed in, where *page* says it by what *name* matches."""
    found = re.search(name, page.text)
    return found[1] if found else None


class FlaskLogin(Site):
    source = "flask_login_app"
    command = "-m flask --app app run --port {port}"
    line = (
        (
            "from flask import",
            "from fluidauth.integrations.flask import FluidAuthSessionInterface\nfrom flask import",
        ),
        ("\nlogins = ", "\napp.session_interface = FluidAuthSessionInterface(app=app)\nlogins = "),
    )
    login = "/login"


class Flaskr(Site):
    """Flask's tutorial, from its archive."""

    command = "-m flask --app flaskr run --port {port}"
    line = (
        (
            "from flask import",
            "from fluidauth.integrations.flask import FluidAuthSessionInterface\nfrom flask import",
        ),
        (
            "\n    # ensure the instance folder exists\n",
            "\n    app.session_interface = FluidAuthSessionInterface(app=app, USER_KEY)\n",
        ),
    )
    file = "flaskr/__init__.py"
    user_key = '"user_id"'
    user_id = "1"
    login = "/auth/login"
    logout = "/auth/logout"

    def publish(self) -> None:
        tutorial = sources_of("flask") / "examples" / "tutorial"
        shutil.copytree(tutorial, self.folder, dirs_exist_ok=True)

    def prepare(self, server: Served) -> None:
        code, output = server.run("-m", "flask", "--app", "flaskr", "init-db")
        assert code == 0, output

    def register(self, guest: Guest) -> None:
        for name, password in PASSWORDS.items():
            guest.submit(guest.get("/auth/register"), username=name, password=password)

    def begin(self, guest: Guest) -> None:
        """No page of it begins a session but a login: somebody else's, who plants it."""
        self.sign_in(guest, "mallory")

    def user(self, guest: Guest) -> str | None:
        return found_in(guest.get(self.home), r"<li><span>(\w+)</span>")


class QuartBlog(Site):
    source = "quart_blog"
    user_key = '"user"'
    command = "-m quart --app app run --port {port}"
    line = (
        (
            "from quart import",
            "from fluidauth.integrations.quart import FluidAuthSessionInterface\nfrom quart import",
        ),
        (
            "\nposts: ",
            "\napp.session_interface = FluidAuthSessionInterface(app=app, USER_KEY)\nposts: ",
        ),
    )


class FastAPIOAuth(Site):
    source = "fastapi_oauth"
    command = "-m uvicorn --host 127.0.0.1 --port {port} app:app"
    line = (
        ("from starlette.middleware.sessions import", "from fluidauth.integrations.starlette import"),
        (
            'secret_key="some-random-string")',
            'secret_key="some-random-string", USER_KEY)',
        ),
    )
    user_key = 'lambda fields: fields.get("user", {}).get("sub")'
    user_id = "user-of-ada"
    login = "/login"

    @contextmanager
    def around(self) -> Iterator[dict[str, str]]:
        with live(provider(PASSWORDS)) as url:
            yield {"PROVIDER": url}


class StarlettePanel(Site):
    source = "starlette_panel"
    command = "-m uvicorn --host 127.0.0.1 --port {port} app:app"
    line = (
        ("from starlette.middleware.sessions import", "from fluidauth.integrations.starlette import"),
        ('secret_key="1234567890")]', 'secret_key="1234567890", USER_KEY)]'),
    )
    user_key = '"username"'
    login = "/admin/login"
    home = "/admin/"

    def begin(self, guest: Guest) -> None:
        guest.get("/")

    def sign_out(self, guest: Guest) -> None:
        guest.submit(guest.get(self.home), "/logout")

    def user(self, guest: Guest) -> str | None:
        return found_in(guest.get(self.home), r"<div>(\w+)</div>")


class StarlettePanelWithin(StarlettePanel):
    """The same, with sessions in the panel's own middleware; its server starts with any secret."""

    def publish(self) -> None:
        super().publish()
        middleware = 'middleware=[Middleware(SessionMiddleware, secret_key="1234567890")]'
        self.change(
            "app.py",
            (f'Route("/", home)],\n    {middleware},', "],"),
            (
                "secret_key=SECRET)",
                f"secret_key=SECRET, {middleware.replace('middleware', 'middlewares', 1)})",
            ),
        )

    def begin(self, guest: Guest) -> None:
        """No page of it begins a session but a login: somebody else's, who plants it."""
        self.sign_in(guest, "mallory")

    def sign_in(self, guest: Guest, name: str = "ada") -> None:
        if self.user(guest) is not None:
            self.sign_out(guest)
        super().sign_in(guest, name)


class LitestarMembers(Site):
    source = "litestar_members"
    user_key = '"user_id"'
    command = "-m litestar --app app:app run --port {port}"
    line = (
        (
            "from litestar.middleware.session.server_side import ServerSideSessionConfig",
            "from fluidauth.integrations.litestar import FluidAuthSessionConfig",
        ),
        ("=ServerSideSessionConfig()", "=FluidAuthSessionConfig(USER_KEY)"),
    )
    home = "/me"

    def sign_out(self, guest: Guest) -> None:
        guest.submit(guest.get(self.home), "/logout")


class DjangoPolls(Site):
    """Django's tutorial, of the blocks of code in its archive, with the admin."""

    command = "manage.py runserver --noreload {port}"
    cookie = "sessionid"
    file = "mysite/settings.py"
    user_id = "1"
    login = "/admin/login/"
    home = "/admin/"
    line = (
        (
            "django.contrib.sessions.middleware.SessionMiddleware",
            "fluidauth.integrations.django.middleware.SessionMiddleware",
        ),
        ("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "fluidauth.integrations.django",'),
        ("\nROOT_URLCONF", '\nSESSION_ENGINE = "fluidauth.integrations.django"\nROOT_URLCONF'),
    )

    def publish(self) -> None:
        lay_out(self.folder)

    def prepare(self, server: Served) -> None:
        for command in ("check --fail-level WARNING", "migrate --verbosity 0"):
            code, output = server.run("manage.py", *command.split())
            assert code == 0, output
        for name, password in PASSWORDS.items():
            server.environ["DJANGO_SUPERUSER_PASSWORD"] = password
            options = ("--noinput", "--username", name, "--email", f"{name}@example.com")
            code, output = server.run("manage.py", "createsuperuser", *options)
            assert code == 0, output

    def begin(self, guest: Guest) -> None:
        """No page of it begins a session but a login: somebody else's, who plants it."""
        self.sign_in(guest, "mallory")

    def sign_in(self, guest: Guest, name: str = "ada") -> None:
        page = guest.get(self.login)
        if page.url.path == self.login:
            guest.submit(page, username=name, password=PASSWORDS[name])
        else:  # who is signed in is shown no form; one from before may have stood open
            [token] = {form.fields["csrfmiddlewaretoken"] for form in Forms(page.text).found if form.fields}
            form = Form("POST", self.login, {"csrfmiddlewaretoken": token})
            guest.send(page, form, username=name, password=PASSWORDS[name])

    def sign_out(self, guest: Guest) -> None:
        guest.submit(guest.get(self.home), "/logout")

    def user(self, guest: Guest) -> str | None:
        return found_in(guest.get(self.home), r"<strong>(\w+)</strong>")


SITES: dict[str, type[Site]] = {
    "flaskr": Flaskr,
    "Flask-Login and Flask-WTF": FlaskLogin,
    "Django's polls and admin": DjangoPolls,
    "FastAPI and Authlib": FastAPIOAuth,
    "starlette-admin": StarlettePanel,
    "starlette-admin, sessions within": StarlettePanelWithin,
    "Quart's blog": QuartBlog,
    "Litestar's SessionAuth": LitestarMembers,
}
