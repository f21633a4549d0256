"""The page of ``make demo SERVE=1``: both servers at one address, and what each part has.

The page passes the browser's requests on with the cookie as it came, and passes the servers' ``Set-Cookie``
back. So it can show the browser's own cookie, which no script can read. It shows a cookie in full, so it is
for this machine only: it listens on loopback, and refuses other hosts and other sites' requests.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
from demo_scene import MARK, NAME, Browser, Scene

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
VALUE = re.compile(r"[\w.-]{1,200}", re.ASCII)  # what a cookie of ours may be
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
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [f"{refused}\n".encode()]
        browser = Browser(self.scene.http, value_of(environ, NAME), value_of(environ, MARK))
        try:
            found = self.answer(environ, browser)
        except httpx.HTTPStatusError as error:
            found = ("502 Bad Gateway", "text/plain", f"{self.failure(error.response)}\n".encode())
        status, kind, body = found or ("404 Not Found", "text/plain", b"no such page\n")
        cookies = [("Set-Cookie", set_cookie) for set_cookie in browser.set_cookies.values()]
        size = ("Content-Length", str(len(body)))
        start_response(status, [*HEADERS, *cookies, ("Content-Type", kind), size])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def failure(self, response: httpx.Response) -> str:
        """Say which server failed, and how; without the query, which is the visitor's."""
        is_asgi = str(response.url).startswith(f"{self.scene.servers['asgi']}/")
        server = "uvicorn" if is_asgi else "waitress"
        return f"{server} responded with {response.status_code} {response.reason_phrase}."

    def answer(self, environ: WSGIEnvironment, browser: Browser) -> tuple[str, str, bytes] | None:
        method, path = method_of(environ), environ["PATH_INFO"]
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
            thief = self.scene.thief_of(browser)
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
    if method_of(environ) != "GET" and environ.get("HTTP_ORIGIN") != f"http://{host}":
        return "Only this page's own buttons are served."
    # A link or a typed address may lead to the page, and to nothing else of it.
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    if environ["PATH_INFO"] != "/" and site not in ("same-origin", "none"):
        return "Another site asked for this."
    return None


def method_of(environ: WSGIEnvironment) -> str:
    method: str = environ["REQUEST_METHOD"]
    return "GET" if method == "HEAD" else method


def value_of(environ: WSGIEnvironment, cookie: str) -> str:
    """Return the value of *cookie*; nothing if it is none that the demo has set."""
    pairs = (pair.strip().partition("=") for pair in environ.get("HTTP_COOKIE", "").split(";"))
    value = next((value for name, _, value in pairs if name == cookie), "")
    return value if VALUE.fullmatch(value) else ""
