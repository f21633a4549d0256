"""The rotation drill: secrets change beside live traffic, and nobody notices.

Eight worker processes of two real servers share a SQLite file and a keyring file. All
that an operator does is done by the command line. What happened is returned as figures;
who calls judges them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .servers.processes import serving
from .traffic import PACE, Client, Line, Load, Watch

SERVERS = ("uvicorn-workers", "gunicorn")
WORKERS = 8
PATIENCE = 30.0  # seconds for what is waited for; what does not come shows in the report
WATCHED = 8  # clients whose cookies are tried in all processes while a key is revoked


@dataclass
class Leak:
    """What a revocation as leaked did."""

    before: int = 0
    """Worker processes that took a session of the key for signed in: the probe sees something."""
    after: int = 0
    """Worker processes that were asked when the interval had passed."""
    lasted: float = 0.0
    """Seconds from the revocation to the last request that still opened a session of the key."""
    alive: list[str] = field(default_factory=list)
    """Requests that did so though they began when the interval had passed."""


@dataclass
class Report:
    """What happened, as figures."""

    active: int
    expected: int
    silent: int
    """How many clients were busy all the time, came back in the end, or stayed away."""
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    """Requests of the steady load that were not answered as they should be."""
    returned: int = 0
    """Idle clients that came back while the old key verified, with a cookie under the new one since."""
    announced: int = 0
    payloads: int = 0
    """Sessions that ``revoke --dry-run`` said would be logged out, and payloads under the old key."""
    logged_out: int = 0
    """Silent clients that the revocation logged out."""
    under_new: int = 0
    """Active clients that are signed in, with cookie and row under the new key."""
    lost: int = 0
    """Additions that were acknowledged, and are not in the session."""
    former: Leak = field(default_factory=Leak)
    """The leak of a key that only verified."""
    spared: int = 0
    others: int = 0
    """Sessions of another key that lived on after that, of how many."""
    signing: Leak = field(default_factory=Leak)
    new_login: bool = False
    """Whether a login worked after that, under the key that took its place."""


class Drill:
    """One rotation and two leaks, with *tell* called at each step."""

    def __init__(
        self,
        folder: Path,
        interval: float,
        clients: int = 200,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._interval = interval
        self._looking = ("--interval", str(interval))
        self._tell = tell
        self._database = folder / "sessions.db"
        self._environ = {
            "FLUIDAUTH_KEYRING": str(folder / "keyring.json"),
            "FLUIDAUTH_DATABASE": str(self._database),
            "TEST_KEYRING_INTERVAL": str(interval),
        }
        self._store = ("--store", f"sqlite:///{self._database}")
        self._clients = [Client(f"client-{number}") for number in range(clients)]
        idle = clients // 5
        self._coming_back, self._silent = self._clients[: idle // 2], self._clients[idle // 2 : idle]
        self._active = self._clients[idle:]
        self._urls: list[str] = []
        self._lines: list[Line] = []
        self.report = Report(len(self._active), len(self._coming_back), len(self._silent))

    def run(self) -> Report:
        """Carry out the drill; return its figures."""
        old = self._command("keys", "add", "--create")["kid"]
        with ExitStack() as stack:
            for name in SERVERS:
                self._urls.append(stack.enter_context(serving(name, self._database, environ=self._environ)))
            self._lines = [Line(url) for url in self._urls]
            self._tell(f"{len(self._clients)} clients sign in at {WORKERS} worker processes")
            for number, client in enumerate(self._clients):
                client.ask(self._lines[number % 2], f"/login?user={client.name}")
            with Load(self._active, self._urls):
                new = self._rotate(old)
            self._take_stock(new)
            third = self._leak_former(new)
            self._leak_signing(third)
        return self.report

    def _rotate(self, old: str) -> str:
        """Bring in a new key and revoke the *old* one; return the new one."""
        report = self.report
        new = self._add_and_promote()
        self._command("sessions", "rekey")
        self._tell("every active client gets a cookie under the new key")
        self._await(lambda: all(client.kid == new for client in self._active))
        self._tell(f"{report.expected} idle clients come back, {report.silent} stay away")
        report.returned = sum(client.is_signed_in(self._lines[1]) for client in self._coming_back)
        report.returned -= sum(client.kid != new for client in self._coming_back)
        revoke = ("keys", "revoke", old, *self._store, *self._looking)
        told = self._command(*revoke, "--dry-run", accepted=(0, 1))
        report.announced, report.payloads = told["logged_out"], told["payloads"]
        self._command(*revoke, "--yes")
        time.sleep(self._interval)
        self._tell("those who stayed away come; the others go on")
        found = [client.ask(self._lines[0], "/whoami") for client in self._silent]
        report.logged_out = found.count(None)
        before = [client.requests for client in self._active]
        self._await(lambda: all(c.requests > b + 1 for c, b in zip(self._active, before, strict=True)))
        return new

    def _take_stock(self, new: str) -> None:
        """Sum up what the load met, and count whose cookie and row are under *new*."""
        listed = self._command("sessions", "list", "--limit", str(len(self._clients) + 1))["sessions"]
        rows = {row["user_id"]: row["kid"] for row in listed}
        is_sealed = set(self._command("sessions", "stats")["by_seal_key"]) == {new}
        for client in self._active:
            self.report.requests += client.requests
            self.report.failures += client.failures
            is_under_new = is_sealed and client.kid == rows.get(client.name) == new
            self.report.under_new += is_under_new and client.is_signed_in(self._lines[1])
            visits = client.ask(self._lines[1], "/get?key=visits")
            self.report.lost += max(0, client.visits - (visits if isinstance(visits, int) else 0))

    def _leak_former(self, leaked: str) -> str:
        """Revoke *leaked* when half of the clients have moved to a third key; return that one."""
        third = self._add_and_promote()
        moved, left = self._active[::2], self._active[1::2]
        self._await(lambda: all(c.is_signed_in(self._lines[0]) and c.kid == third for c in moved))
        self._tell(f"{len(moved)} clients have moved to {third}; {leaked} leaks")
        self.report.former = self._leak(leaked, left)
        self.report.spared = sum(client.is_signed_in(self._lines[1]) for client in moved)
        self.report.others = len(moved)
        return third

    def _leak_signing(self, third: str) -> None:
        """Revoke the key that signs; a new one takes its place at once."""
        self._tell(f"{third}, which signs, leaks")
        self.report.signing = self._leak(third, self._active[::2])
        signing = [key["kid"] for key in self._command("keys", "list")["keys"] if key["state"] == "signing"]
        fresh = Client("fresh")
        fresh.ask(self._lines[0], f"/login?user={fresh.name}")
        self.report.new_login = [fresh.kid] == signing and fresh.is_signed_in(self._lines[1])

    def _leak(self, kid: str, clients: Sequence[Client]) -> Leak:
        """Revoke *kid* as leaked while every process sees sessions of it; return what they answered."""
        leak = Leak()
        with Watch(clients[:WATCHED], self._urls) as watch:
            self._await(lambda: watch.processes(signed_in=True) == WORKERS)
            leak.before = watch.processes(signed_in=True)
            self._command("keys", "revoke", kid, "--leaked", "--yes")
            revoked = time.monotonic()
            late = revoked + self._interval
            self._await(lambda: watch.processes(late) == WORKERS)
        # The others' rows were not used since, and are under the leaked key still.
        with Watch(clients[WATCHED:], self._urls) as rest:
            self._await(lambda: rest.processes(late) == WORKERS)
        leak.after = min(watch.processes(late), rest.processes(late))
        leak.lasted = max((seen.began - revoked for seen in watch.signed_in(revoked)), default=0.0)
        found = watch.signed_in(late) + rest.signed_in(late)
        leak.alive = [
            f"{s.user} in process {s.process}, {s.began - revoked:.2f} s after the revocation" for s in found
        ]
        return leak

    # -- helpers -----------------------------------------------------------------------------

    def _add_and_promote(self) -> str:
        kid: str = self._command("keys", "add")["kid"]
        self._command("keys", "promote", *self._looking)
        return kid

    def _await(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < give_up:
            time.sleep(PACE)

    def _command(self, *arguments: str, accepted: Sequence[int] = (0,)) -> Any:
        """Run a command of ``fluidauth`` in a process of its own; return its JSON."""
        self._tell(f"$ fluidauth {' '.join(arguments)}")
        done = subprocess.run(
            [sys.executable, "-m", "fluidauth", *arguments, "--json"],
            env={**os.environ, "FLUIDAUTH_SECRET": "", "FLUIDAUTH_SECRETS": "", **self._environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE + 4 * self._interval,
        )
        if done.returncode not in accepted:
            raise RuntimeError(f"fluidauth {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)
