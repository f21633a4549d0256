"""The page of ``make demo SERVE=1``: both servers at one address, and what each part has.

The page passes the browser's requests on with the cookie as it came, and passes the servers' ``Set-Cookie``
back. So it can show the browser's own cookie, which no script can read. It shows a cookie in full, so it is
for this machine only: it listens on loopback, and refuses other hosts and other sites' requests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from demo_scene import NAME, Browser, Scene

HERE = Path(__file__).parent
FILES = {
    "/": ("demo_page.html", "text/html; charset=utf-8"),
    "/demo_page.css": ("demo_page.css", "text/css"),
    "/demo_page.js": ("demo_page.js", "text/javascript"),
}
POLICY = "; ".join(
    ("default-src 'none'", "style-src 'self'", "script-src 'self'", "connect-src 'self'", "img-src data:")
)
HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
# What the servers are asked for, and what has happened then.
ASKED = {
    "login": "{here} signed ada in, under a new session id. {there} finds the same session.",
    "note": "{here} stored the field. {there} reads it already.",
    "count": "{here} added one. Additions at both servers add up.",
    "logout": "{here} signed the browser out. {there} does not know the session any more.",
}


def page() -> Page:
    return Page(Scene(os.environ["DEMO_ASGI"], os.environ["DEMO_WSGI"]))


class Page:
    """The application: the page's files, and what its buttons call."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.actions: dict[str, Callable[[Browser], str]] = {
            "/rotate": scene.rotate,
            "/write-at-once": scene.write_at_once,
            "/sign-out-everywhere": scene.sign_out_everywhere,
            "/steal-cookie": scene.steal_cookie,
            "/look-again": scene.look_again,
            "/steal-database": scene.steal_database,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refused = refusal(environ)
        if refused:
            start_response("403 Forbidden", [*HEADERS, ("Content-Type", "text/plain")])
            return [f"{refused}\n".encode()]
        browser = Browser(self.scene.http, token_of(environ))
        found = self.answer(environ, browser)
        status, kind, body = found or ("404 Not Found", "text/plain", b"no such page\n")
        cookies = [("Set-Cookie", browser.set_cookie)] if browser.set_cookie else []
        start_response(status, [*HEADERS, *cookies, ("Content-Type", kind)])
        return [body]

    def answer(self, environ: WSGIEnvironment, browser: Browser) -> tuple[str, str, bytes] | None:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "GET" and path in FILES:
            name, kind = FILES[path]
            return "200 OK", kind, (HERE / name).read_bytes()
        if method == "GET" and path == "/pulse":
            content: object = {"pulse": self.scene.pulse(browser)}
        elif method == "GET" and path == "/state":
            content = {"says": "", "state": self.scene.state(browser)}
        elif method == "POST":
            act = self.actions.get(path)
            says = act(browser) if act else self.hand_on(path, environ["QUERY_STRING"], browser)
            if not says:
                return None
            thief = self.scene.thief
            was_in = thief is not None and thief.is_in
            state = self.scene.state(browser)
            if was_in and thief and not thief.is_in:
                says += " The thief’s copy of the cookie opens nothing now."
            content = {"says": says, "state": state}
        else:
            return None
        return "200 OK", "application/json", json.dumps(content).encode()

    def hand_on(self, path: str, query: str, browser: Browser) -> str:
        """Ask a server for what the path names, as ``/asgi/login`` does; say what happened, if it did."""
        server, _, what = path[1:].partition("/")
        url = self.scene.servers.get(server)
        if url is None or what not in ASKED:
            return ""
        browser.ask("POST", f"{url}/{what}?{query}")
        here, there = ("uvicorn", "waitress") if server == "asgi" else ("waitress", "uvicorn")
        return ASKED[what].format(here=here, there=there)


def refusal(environ: WSGIEnvironment) -> str | None:
    """Say why a request is not served; None if it is one of this page's own."""
    host, port = environ.get("HTTP_HOST", ""), environ["SERVER_PORT"]
    if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        return "This page is for this machine only. Open it as http://localhost, with its port."
    if environ["REQUEST_METHOD"] != "GET" and environ.get("HTTP_ORIGIN") != f"http://{host}":
        return "Only this page's own buttons are served."
    # A link or a typed address may lead to the page, and to nothing else of it.
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    if environ["PATH_INFO"] != "/" and site not in ("same-origin", "none"):
        return "Another site asked for this."
    return None


def token_of(environ: WSGIEnvironment) -> str:
    pairs = (pair.strip().partition("=") for pair in environ.get("HTTP_COOKIE", "").split(";"))
    return next((value for name, _, value in pairs if name == NAME), "")
