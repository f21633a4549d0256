"""What the page of the demo shows and does: a browser, two servers, their database and keyring, a thief.

Everything is asked of the servers, or read from the files that they use. No key is shown.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
from demo_apps import INTERVAL, engine_for

from fluidauth import SQLiteStore, new_secret
from fluidauth.keys import file as keyfile

NAME = "session"  # of the cookie, in development mode
MARK = "robbed"  # the name of the cookie by which the robbed browser is known
PATIENCE = 30  # seconds: a machine may be busy with something else
WRITES = 50
SHOWN = 40  # lines of the log
PAGE = "this page"  # in the log

Answer = dict[str, Any]


class Browser:
    """Sends one cookie with each request, and keeps the one that comes back."""

    def __init__(self, http: httpx.Client, token: str = "", mark: str = "") -> None:
        self.http = http
        self.token = token
        self.mark = mark
        self.set_cookies: dict[str, str] = {}  # by the name of the cookie, the last that came

    @property
    def cookie(self) -> str:
        return f"{NAME}={self.token}" if self.token else ""

    def ask(self, method: str, url: str) -> Any:
        headers = {"Cookie": self.cookie} if self.token else {}
        response = self.http.request(method, url, headers=headers).raise_for_status()
        if "Set-Cookie" in response.headers:
            set_cookie = self.set_cookies[NAME] = response.headers["Set-Cookie"]
            self.token = set_cookie.partition(";")[0].partition("=")[2]
        return response.json()

    def be_marked(self) -> str:
        """Give the browser a mark that it keeps through logins and logouts; return it."""
        self.mark = secrets.token_urlsafe()
        self.set_cookies[MARK] = f"{MARK}={self.mark}; HttpOnly; SameSite=Strict; Path=/"
        return self.mark


class Scene:
    """The servers at *asgi* and *wsgi*, and everything that one can do to them from the page."""

    def __init__(self, asgi: str, wsgi: str) -> None:
        self.servers = {"asgi": asgi, "wsgi": wsgi}
        self.keyring = Path(os.environ["FLUIDAUTH_KEYRING"])
        self.events = Path(os.environ["DEMO_EVENTS"])
        self.store = SQLiteStore(os.environ["FLUIDAUTH_DATABASE"])
        self.engine = engine_for(PAGE)
        # Each browser keeps its own cookie, so the client keeps none.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE, limits=httpx.Limits(), cookies=no_cookies)
        self.thief: Thief | None = None
        self.attempts: list[Answer] = []
        self.round = 0  # of the writes at once

    # -- what there is ---------------------------------------------------------------------

    def state(self, browser: Browser) -> Answer:
        """Return everything that the page shows, asked and read now."""
        sessions = {name: browser.ask("GET", f"{url}/session") for name, url in self.servers.items()}
        reason, handle = self.verdict(browser.token)
        thief = self.thief_of(browser)
        return {
            "servers": {name: {"url": self.servers[name], **found} for name, found in sessions.items()},
            "token": browser.token,
            "reason": reason,
            "record": self.record(handle),
            "keys": self.keys(),
            "thief": thief.state() if thief else None,
            "attempts": self.attempts,
            "log": self.log(),
            "pulse": self.pulse(browser),
        }

    def pulse(self, browser: Browser) -> str:
        """Return a text that changes when there is something new to show; it asks no server."""
        _, handle = self.verdict(browser.token)
        record = self.store.get(handle) if handle else None
        return f"{record and record.version} {[key['state'] for key in self.keys()]}"

    def verdict(self, token: str) -> tuple[str, str | None]:
        """Return a word for what *token* is, and the handle of its session."""
        found = self.engine.explain({"Cookie": f"{NAME}={token}"} if token else {})
        return found.reason, found.handle

    def record(self, handle: str | None) -> Answer | None:
        """Return the row of the database under *handle*, its payload as the bytes that are there."""
        found = self.store.get(handle) if handle else None
        if found is None:
            return None
        payload = {"size": len(found.payload), "begins": found.payload[:24].hex(" ")}
        return {**found._asdict(), "payload": payload}

    def keys(self) -> list[Answer]:
        """Return the id and state of each key, the newest first."""
        document, _ = keyfile.read(self.keyring)
        return [{"kid": entry.kid, "state": entry.state} for entry in document.entries]

    def log(self) -> list[Answer]:
        """Return what was logged last, the newest first."""
        lines = self.events.read_text("utf-8").splitlines() if self.events.exists() else []
        entries = [json.loads(line) for line in reversed(lines)]
        # Of the page's own engine only what it revokes: it follows the keyring, too.
        return [
            entry
            for entry in entries
            if entry["server"] != PAGE or entry["event"].startswith("session_revoked")
        ][:SHOWN]

    # -- what the owner does -----------------------------------------------------------------

    def write_at_once(self, browser: Browser) -> str:
        """Write fifty fields in fifty requests at once; say how many were kept."""
        self.round += 1
        urls = list(self.servers.values())

        def write(number: int) -> None:
            url = urls[number % len(urls)]
            Browser(self.http, browser.token).ask("POST", f"{url}/note?write+{number}={self.round}")

        with ThreadPoolExecutor(WRITES) as pool:
            list(pool.map(write, range(WRITES)))
        notes = browser.ask("GET", f"{urls[0]}/session")["notes"]
        kept = sum(name.startswith("write ") and value == str(self.round) for name, value in notes.items())
        return f"{WRITES} requests wrote a field each, at once, half to each server. {kept} were kept."

    def sign_out_everywhere(self, browser: Browser) -> str:
        """Revoke every session of the user who is signed in."""
        user = self.engine.explain({"Cookie": browser.cookie}).user_id
        if user is None:
            return "Nobody is signed in here."
        ended = self.engine.revoke_user(user)
        ending = "session" if ended == 1 else "sessions"
        return f"{ended} {ending} of {user} ended. The browser keeps its cookie, and it opens nothing."

    # -- what the operator does --------------------------------------------------------------

    def rotate(self, browser: Browser) -> str:
        """Add a key and let it sign, as ``fluidauth keys add`` and ``promote`` do."""
        before = browser.token[2:8]
        entry = keyfile.change(self.keyring, lambda ring: ring.added(new_secret(), now())).entries[0]
        time.sleep(2 * INTERVAL)  # by then both servers know the key
        keyfile.change(self.keyring, lambda ring: ring.promoted(entry.kid, now()))
        time.sleep(INTERVAL)  # by then both sign with it
        user = browser.ask("GET", f"{self.servers['asgi']}/session")["user"]
        if user is None:
            return f"Key {entry.kid} signs now. Nobody was signed in, so no cookie had to change."
        return (
            f"The secret was rotated. The cookie was signed by key {before} and is now signed by "
            f"{browser.token[2:8]}. {user} is still signed in, and no server was restarted."
        )

    # -- what a thief does -------------------------------------------------------------------

    def thief_of(self, browser: Browser) -> Thief | None:
        """Return the thief who robbed *browser*; no other browser learns anything of one."""
        # A logout takes the session's handle from the browser, so its mark is compared.
        return self.thief if self.thief and self.thief.mark == browser.mark else None

    def steal_cookie(self, browser: Browser) -> str:
        """Give a copy of the cookie to a thief."""
        if not browser.token:
            return "There is no cookie to steal. Sign in first."
        self.thief = Thief(self, browser.token, browser.be_marked())
        self.thief.look()
        return "A thief has a copy of the cookie. It works until the owner signs out, or signs in again."

    def look_again(self, browser: Browser) -> str:
        """Let the thief try the cookie once more."""
        thief = self.thief_of(browser)
        if thief is None:
            return "This browser’s cookie was not stolen."
        thief.look()
        return "The thief tried the stolen cookie at both servers."

    def steal_database(self, browser: Browser) -> str:
        """Let a thief who can read every row try to make a cookie of one."""
        _, handle = self.verdict(browser.token)
        stolen = self.store.get(handle) if handle else next(iter(self.store.scan(limit=1)), None)
        self.attempts = []
        if stolen is None:
            return "The database is empty. Sign in first."
        dressed_up = f"1.{stolen.kid}.{stolen.handle[:32]}.{stolen.handle[32:56]}"
        self.attempts = [
            self.attempt("The handle as it is", stolen.handle),
            self.attempt("The handle, dressed up as a token", dressed_up),
        ]
        return "A thief has read the whole database, and tried to sign in with what it says."

    def attempt(self, what: str, token: str) -> Answer:
        user = Browser(self.http, token).ask("GET", f"{self.servers['asgi']}/session")["user"]
        found = self.engine.explain({"Cookie": f"{NAME}={token}"})
        why = [remark.says for remark in found.remarks if not remark.good]
        return {"what": what, "token": token, "user": user, "reason": found.reason, "why": ". ".join(why)}


class Thief:
    """Has a copy of a cookie, and uses it until it opens nothing."""

    def __init__(self, scene: Scene, token: str, mark: str) -> None:
        self.scene = scene
        self.mark = mark  # of the browser that was robbed
        self.browser = Browser(scene.http, token)
        self.found: Answer = {}

    def look(self) -> None:
        """Ask both servers what the cookie opens."""
        urls = self.scene.servers
        servers = {name: self.browser.ask("GET", f"{url}/session") for name, url in urls.items()}
        reason, _ = self.scene.verdict(self.browser.token)
        self.found = {"token": self.browser.token, "servers": servers, "reason": reason}

    def state(self) -> Answer:
        """Return what the thief sees; a cookie that was refused is not tried again by itself."""
        if self.is_in:
            self.look()
        return self.found

    @property
    def is_in(self) -> bool:
        return bool(self.found["reason"] == "live")


def now() -> int:
    return int(time.time())
