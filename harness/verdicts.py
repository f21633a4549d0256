"""What becomes of the requests that other origins have a real browser send to a guarded application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from playwright.sync_api import Page

from fluidauth.keys import new_secret

from .browser import Chromium
from .origins import FOREIGN, NAMES, OURS, Certificate, Site
from .servers.processes import Server
from .ways import WAYS, Way, go


class Case(NamedTuple):
    """A request to *path* of the application; *signs_in* if it comes without a cookie, to get one."""

    path: str
    way: Way
    signs_in: bool = False


CASES = {
    **{name: Case("act", way) for name, way in WAYS.items()},
    "login: form": Case("login", WAYS["form"], True),
    "login: form in a frame": Case("login", WAYS["form in a frame"], True),
    "login: fetch": Case("login", WAYS["fetch, no-cors"], True),
    "login callback: link": Case("callback", WAYS["link"], True),
    "login callback: frame": Case("callback", WAYS["frame"], True),
    "login callback: image": Case("callback", WAYS["image"], True),
}
# Who sends, and below which path, which says the SameSite of the cookie.
COLUMNS = {
    "ours": ("ours", "none"),
    "sibling": ("sibling", "none"),
    "foreign": ("foreign", "none"),
    "ours by http": ("ours by http", "none"),
    "foreign, Lax": ("foreign", "lax"),
}


class Verdict(NamedTuple):
    """Whether the cookie *came*, the *status* of the answer, and whether the application was *reached*."""

    came: bool
    status: int
    reached: bool


class Guarded:
    """The application under a real server. By files in *folder* it gets its page, and tells what came."""

    def __init__(self, server: str, folder: Path, certificate: Certificate) -> None:
        self._folder = folder
        self._server = Server(
            server,
            folder / "sessions.db",
            new_secret(),
            environ={
                "UVICORN_SSL_CERTFILE": str(certificate.file),
                "UVICORN_SSL_KEYFILE": str(certificate.key),
                "GUNICORN_CMD_ARGS": f"--certfile {certificate.file} --keyfile {certificate.key}",
            },
        )
        self.origin = f"https://{OURS}:{self._server.port}"
        self.start = self._server.start

    def stop(self) -> None:
        """End it at once: a browser keeps connections open, and servers wait for them."""
        self._server.kill()
        self._server.stop()

    def show(self, html: str) -> None:
        """Have the application's own page be *html*."""
        (self._folder / "page.html").write_text(html, "utf-8")

    def met(self, mark: str) -> bool:
        """Return whether the request with *mark* has been answered."""
        return mark in self.verdicts()

    def verdicts(self) -> dict[str, Verdict]:
        """Return what became of each request, by its mark."""
        notes = self._folder / "notes"
        lines = notes.read_text("utf-8").splitlines() if notes.exists() else []
        return {mark: Verdict(*told) for mark, *told in map(json.loads, lines)}


@contextmanager
def guarded(server: str, folder: Path, certificate: Certificate) -> Iterator[Guarded]:
    """Run the application under *server*, ``asgi`` or ``wsgi``."""
    application = Guarded(server, folder, certificate)
    try:
        application.start()
        yield application
    finally:
        application.stop()


class Attackers(NamedTuple):
    """The sites of others: by https under the names, and by http under ours."""

    secure: Site
    plain: Site

    def put(self, sender: str, html: str) -> str:
        """Have the page of *sender* be *html*; return its address."""
        site, host = (self.plain, OURS) if sender == "ours by http" else (self.secure, NAMES[sender])
        site.pages["/page"] = html
        return f"{site.origin(host)}/page"


def measure(
    chromium: Chromium, application: Guarded, attackers: Attackers, cases: dict[str, Case]
) -> dict[tuple[str, str], Verdict]:
    """Return what becomes of each of the *cases* from each of ``COLUMNS``."""
    for column in COLUMNS:
        chromium.drive(partial(_send_all, application, attackers, cases, column))
    told = application.verdicts()
    return {(name, column): told[_mark(name, column)] for column in COLUMNS for name in cases}


def _send_all(
    application: Guarded, attackers: Attackers, cases: dict[str, Case], column: str, page: Page
) -> None:
    """Have the browser send each request of *column*: first those without a cookie, then it signs in."""
    sender, kind = COLUMNS[column]
    base = f"{application.origin}/{kind}"
    signed_in = False
    for name, case in sorted(cases.items(), key=lambda each: not each[1].signs_in):
        if case.signs_in:
            page.context.clear_cookies()
        elif not signed_in:
            page.goto(f"{base}/enter")
            signed_in = True
        mark = _mark(name, column)
        target = f"{base}/{case.path}?mark={quote(mark)}"
        html = case.way.page(target, attackers.secure.origin(FOREIGN))
        if sender == "ours":
            application.show(html)
        address = f"{base}/page" if sender == "ours" else attackers.put(sender, html)
        go(page, address, partial(application.met, mark))


def _mark(name: str, column: str) -> str:
    return f"{name} from {column}"
