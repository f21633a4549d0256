"""The rotation drill: secrets change beside live traffic, and nobody notices.

Eight worker processes of two real servers share a SQLite file and a keyring file. All
that an operator does is done by the command line. What happened is returned as figures;
who calls judges them.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .servers.processes import serving
from .servers.visitor import COOKIE

SERVERS = ("uvicorn-workers", "gunicorn")
WORKERS = 8
THREADS = 4
PACE = 0.01  # seconds from one request of a thread to its next: steady, far from saturation
PROBE_LIMIT = 30.0  # seconds until each worker should have answered a probe


@dataclass
class Report:
    """What happened, as figures."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    """Requests of the steady load that were not answered as they should be."""
    returned: int = 0
    """Idle clients that came back while the old key verified, and were still signed in."""
    announced: int = 0
    """Sessions that ``revoke --dry-run`` said would be logged out."""
    payloads: int = 0
    """Payloads that it said were under the old key still."""
    logged_out: int = 0
    """Silent clients that were logged out by the revocation."""
    silent: int = 0
    expected: int = 0
    """How many clients came back, and how many stayed away."""
    under_new: int = 0
    """Active clients whose cookie and row are under the new key."""
    active: int = 0
    lost: int = 0
    """Additions that were acknowledged, and are not in the session."""
    leaked_alive: list[str] = field(default_factory=list)
    """Answers that still opened a session of the leaked key when the interval had passed."""
    spared: int = 0
    others: int = 0
    """Sessions of another key that lived on after the leak, of how many."""
    probed: set[int] = field(default_factory=set)
    """The worker processes that were asked after each revocation."""
    signing_leak_alive: list[str] = field(default_factory=list)
    new_login: bool = False
    """Whether a login works right after the signing key was revoked as leaked."""


class Line:
    """A connection of one thread to one server, made anew when the server ends it."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, token: str) -> tuple[int, Any, str]:
        """Return status, what was answered, and the token that came with it, if any."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address, timeout=20)
        self._connection.request("GET", path, headers={"Cookie": f"{COOKIE}={token}"} if token else {})
        response = self._connection.getresponse()
        body = response.read()
        name, _, rest = (response.getheader("Set-Cookie") or "").partition("=")
        if response.will_close:
            self.close()
        value = json.loads(body) if response.status == 200 else None
        return response.status, value, rest.partition(";")[0] if name == COOKIE else ""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


@dataclass
class Client:
    """A signed-in user with the cookie that his browser keeps."""

    name: str
    token: str = ""
    visits: int = 0
    """Additions that were acknowledged."""
    rounds: int = 0

    @property
    def kid(self) -> str:
        return self.token[2:8]

    def log_in(self, line: Line) -> None:
        _, _, self.token = line.get(f"/login?user={self.name}", "")

    def whoami(self, line: Line) -> Any:
        status, value, token = line.get("/whoami", self.token)
        self.token = token or self.token
        return value if status == 200 else status

    def visit(self, line: Line) -> str:
        """Use the session in two requests; return what went wrong, if anything."""
        found = self.whoami(line)
        status, _, token = line.get("/add?key=visits", self.token)
        self.token = token or self.token
        self.visits += status == 200
        self.rounds += 1
        return "" if (found, status) == (self.name, 200) else f"{self.name}: {found}, {status}"


class Load:
    """Threads that keep clients busy, each client with one of them."""

    def __init__(self, clients: list[Client], urls: list[str], report: Report) -> None:
        self._report = report
        self._urls = urls
        self._done = threading.Event()
        shares = [clients[number::THREADS] for number in range(THREADS)]
        self._threads = [threading.Thread(target=self._keep_busy, args=(share,)) for share in shares]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _keep_busy(self, clients: list[Client]) -> None:
        lines = [Line(url) for url in self._urls]
        number = 0
        while not self._done.wait(PACE):
            client, line = clients[number % len(clients)], lines[(number // len(clients)) % len(lines)]
            try:
                problem = client.visit(line)
            except OSError as error:
                problem = f"{client.name}: {error!r}"
                line.close()
            self._report.requests += 2
            if problem:
                self._report.failures.append(problem)
            number += 1
        for line in lines:
            line.close()


class Drill:
    """One rotation after another, with *tell* called before each step."""

    def __init__(
        self,
        folder: Path,
        interval: float,
        clients: int = 200,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.interval = interval
        self.report = Report()
        self._looking = ("--interval", str(interval))
        self._tell = tell
        self._environ = {
            "FLUIDAUTH_KEYRING": str(folder / "keyring.json"),
            "FLUIDAUTH_DATABASE": str(folder / "sessions.db"),
            "TEST_KEYRING_INTERVAL": str(interval),
        }
        self._database = folder / "sessions.db"
        self.clients = [Client(f"client-{number}") for number in range(clients)]
        idle = clients // 5
        self.active, self.coming_back, self.silent = (
            self.clients[idle:],
            self.clients[: idle // 2],
            self.clients[idle // 2 : idle],
        )
        self.report.active, self.report.expected = len(self.active), len(self.coming_back)
        self.report.silent = len(self.silent)
        self._urls: list[str] = []

    def run(self) -> Report:
        """Carry out the drill; return its figures."""
        old = self._command("keys", "add", "--create")["kid"]
        with ExitStack() as stack:
            for name in SERVERS:
                self._urls.append(stack.enter_context(serving(name, self._database, environ=self._environ)))
            self._tell(f"{len(self.clients)} clients sign in at {WORKERS} worker processes")
            with self._line(0) as line:
                for client in self.clients:
                    client.log_in(line)
            new = self._rotate(old)
            self._look_back(new)
            third = self._leak_former(new)
            self._leak_signing(third)
        return self.report

    # -- beside traffic ------------------------------------------------------------------

    def _rotate(self, old: str) -> str:
        """Bring in a new key and revoke the old one under load; return the new one."""
        with Load(self.active, self._urls, self.report):
            new = self._add_and_promote()
            self._tell(f"sessions rekey: {self._command('sessions', 'rekey')}")
            self._await(lambda: all(client.kid == new for client in self.active))
            self._tell("half of the idle clients come back")
            with self._line(1) as line:
                self.report.returned = sum(client.whoami(line) == client.name for client in self.coming_back)
            told = self._command("keys", "revoke", old, "--dry-run", *self._looking)
            self.report.announced, self.report.payloads = told["logged_out"], told["payloads"]
            self._tell(
                f"keys revoke {old}: {told['logged_out']} clients, who stayed away, will be logged out"
            )
            self._command("keys", "revoke", old, "--yes", *self._looking)
            time.sleep(self.interval)
            with self._line(0) as line:
                self.report.logged_out = sum(client.whoami(line) is None for client in self.silent)
            before = [client.rounds for client in self.active]
            self._await(lambda: all(c.rounds > r for c, r in zip(self.active, before, strict=True)))
        return new

    def _look_back(self, new: str) -> None:
        """Count whose cookie and row are under *new*, and additions that are missing."""
        rows = {
            row["user_id"]: row["kid"]
            for row in self._command("sessions", "list", "--limit", "9999")["sessions"]
        }
        seals = self._command("sessions", "stats")["by_seal_key"]
        with self._line(1) as line:
            for client in self.active:
                self.report.under_new += client.kid == rows[client.name] == new and set(seals) == {new}
                _, visits, _ = line.get("/get?key=visits", client.token)
                self.report.lost += client.visits - visits

    # -- leaks ----------------------------------------------------------------------------

    def _leak_former(self, leaked: str) -> str:
        """Revoke *leaked* when half of the clients have moved to a third key; return that one."""
        third = self._add_and_promote()
        moved, left = self.active[::2], self.active[1::2]
        with self._line(0) as line:
            self._await(lambda: self._use(moved, line) and all(client.kid == third for client in moved))
        self._tell(f"key {leaked} has leaked: it is revoked")
        self._command("keys", "revoke", leaked, "--leaked", "--yes")
        self.report.leaked_alive = self._probe(left)
        with self._line(1) as line:
            self.report.spared = sum(client.whoami(line) == client.name for client in moved)
        self.report.others = len(moved)
        return third

    def _leak_signing(self, third: str) -> None:
        """Revoke the key that signs, as leaked; a new one takes its place at once."""
        self._tell(f"key {third}, which signs, has leaked: it is revoked")
        self._command("keys", "revoke", third, "--leaked", "--yes")
        self.report.signing_leak_alive = self._probe(self.active[::2])
        fresh = Client("fresh")
        with self._line(0) as line:
            fresh.log_in(line)
            self.report.new_login = fresh.whoami(line) == fresh.name

    def _probe(self, clients: list[Client]) -> list[str]:
        """Ask every worker with sessions of a revoked key, one interval later; return who still opens one.

        Only requests that begin when the interval has passed count, each on a connection of its own.
        """
        time.sleep(self.interval)
        seen: set[int] = set()
        alive = []
        give_up = time.monotonic() + PROBE_LIMIT
        number = 0
        while len(seen) < WORKERS and time.monotonic() < give_up:
            client = clients[number % len(clients)]
            with self._line(number) as line:
                _, (pid, user), _ = line.get("/process", client.token)
            seen.add(pid)
            if user is not None:
                alive.append(f"{user} in process {pid}")
            number += 1
        self.report.probed = seen if not self.report.probed else self.report.probed & seen
        return alive

    # -- helpers -----------------------------------------------------------------------------

    def _add_and_promote(self) -> str:
        """Let a new key sign, as the recipe says; return it once every process has seen it do so."""
        kid: str = self._command("keys", "add")["kid"]
        self._tell(f"keys add: {kid} is pending; keys promote waits until every process has it")
        self._command("keys", "promote", *self._looking)
        return kid

    def _use(self, clients: list[Client], line: Line) -> bool:
        return all(client.whoami(line) == client.name for client in clients)

    @contextmanager
    def _line(self, number: int) -> Iterator[Line]:
        line = Line(self._urls[number % len(self._urls)])
        try:
            yield line
        finally:
            line.close()

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds, for a minute at most: what does not come shows in the report."""
        give_up = time.monotonic() + 60
        while not condition() and time.monotonic() < give_up:
            time.sleep(PACE)

    def _command(self, *arguments: str) -> Any:
        """Run a command of ``fluidauth`` in a process of its own; return its JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "fluidauth", *arguments, "--json"],
            env={**os.environ, "FLUIDAUTH_SECRET": "", "FLUIDAUTH_SECRETS": "", **self._environ},
            capture_output=True,
            text=True,
            check=False,
        )
        with suppress(json.JSONDecodeError):
            return json.loads(done.stdout)
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
