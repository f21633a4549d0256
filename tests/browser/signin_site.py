"""The examples of a real sign-in, each on the server that it names, by https."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from fluidauth import new_secret
from harness import ROOT
from harness.origins import OURS, Certificate
from harness.servers.ports import free_port

_GUNICORN = "gunicorn --threads 8 --bind 127.0.0.1:{port} --certfile {file} --keyfile {key}"
_UVICORN = "uvicorn --host 127.0.0.1 --port {port} --ssl-certfile {file} --ssl-keyfile {key}"
STEP = 30  # seconds that a code is good for
DAY = 24 * 60 * 60  # seconds
SERVERS = {"flask": _GUNICORN, "django": _GUNICORN, "fastapi": _UVICORN}
IDLE_TIMEOUTS = {"flask": 15 * 60, "django": DAY, "fastapi": 15 * 60}
PATIENCE = 60  # seconds until a server answers
_USER = re.compile(r"(\w+), password (\S+?)(?:, second factor \S*secret=(\w+))?$", re.MULTILINE)


class SignInSite:
    """A running example: where it is, how its users sign in, and its clock."""

    def __init__(self, name: str, url: str, clock: Path, said: str) -> None:
        self.name, self.url, self._clock = name, url, clock
        self.idle_timeout = IDLE_TIMEOUTS[name]
        found = _USER.findall(said)
        self.passwords = {user: password for user, password, _ in found}
        self._factors = {
            user: TOTP(base64.b32decode(secret), 6, SHA1(), STEP) for user, _, secret in found if secret
        }

    def advance(self, seconds: float) -> None:
        """Set the clock of the server ahead."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(self._ahead() + seconds))
        fresh.replace(self._clock)

    def code(self, user: str) -> str:
        """Return a code that was not used yet: that of the next step."""
        self.advance(STEP)
        return self._factors[user].generate(time.time() + self._ahead()).decode()

    def _ahead(self) -> float:
        return float(self._clock.read_text())


@contextmanager
def hosting(name: str, certificate: Certificate, folder: Path) -> Iterator[SignInSite]:
    """Run the example of the framework *name*; its process has ended when the block has."""
    port, clock, log = free_port(), folder / "clock", folder / "output"
    clock.write_text("0")
    words = SERVERS[name].format(port=port, file=certificate.file, key=certificate.key).split()
    environ = {
        **os.environ,
        "EXAMPLE": f"examples.signin.{name}_app",
        "CLOCK": str(clock),
        "FLUIDAUTH_SECRET": new_secret(),
        "FLUIDAUTH_DATABASE": str(folder / "sessions.db"),
        "ALLOWED_HOSTS": OURS,
        "SECRET_KEY": new_secret(),
        "XDG_RUNTIME_DIR": str(folder),  # gunicorn puts a socket there
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words, "tests.browser.hosted:app"],
            cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(process, f"https://127.0.0.1:{port}/login", log)
        yield SignInSite(name, f"https://{OURS}:{port}", clock, log.read_text())
    finally:
        with suppress(ProcessLookupError):  # a server in order waits for connections that browsers keep
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    with httpx.Client(verify=False, trust_env=False, headers={"Host": OURS}) as http:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                http.get(url).raise_for_status()
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
