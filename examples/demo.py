"""One session on two servers, tried out on this machine.

uvicorn serves ``asgi_app.py`` and waitress ``wsgi_app.py``, each in a process of its own, over
one SQLite file in a temporary folder. ``--serve`` keeps both up until Ctrl-C, with a page that shows
what the browser, the servers and the database have (``demo_page.py``).

    pip install fluidauth uvicorn waitress httpx
    python demo.py
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import httpx

from fluidauth import new_secret
from fluidauth.keys import file as keyfile

ASGI = "uvicorn --port {port} asgi_app:app"
WSGI = "waitress --listen 127.0.0.1:{port} wsgi_app:app"
ON_THE_PAGE = (
    "uvicorn --port {port} --factory demo_apps:asgi",
    "waitress --listen 127.0.0.1:{port} --threads 8 --call demo_apps:wsgi",
)
PAGE = "waitress --listen 127.0.0.1:{port} --threads 8 --call demo_page:page"
PATIENCE = 30  # seconds: a machine may be busy with something else


def tour(folder: Path) -> None:
    """Take one visitor through the life of a session; end the program at the first failure."""
    print("One SQLite file, two servers: uvicorn for ASGI, waitress for WSGI.\n")
    old, new = new_secret(), new_secret()
    # No limits: fifty threads share this pool, and one that drops surplus connections
    # may drop one that a thread is about to use (encode/httpcore#1110).
    with httpx.Client(trust_env=False, timeout=PATIENCE, limits=httpx.Limits()) as http:
        visitor = Visitor(http)
        with servers(folder, {"FLUIDAUTH_SECRETS": old}) as (asgi, wsgi):
            share(visitor, asgi, wsgi)
        before = visitor.token
        with servers(folder, {"FLUIDAUTH_SECRETS": f"{new} {old}"}) as (asgi, wsgi):
            renew(visitor, before, wsgi)
            write_at_once(visitor, asgi, wsgi)
            sign_out(visitor, asgi, wsgi)


def share(visitor: Visitor, asgi: str, wsgi: str) -> None:
    user = visitor.post(f"{asgi}/login?user=ada")["user"]
    check("sign in through ASGI", user == "ada", f"user: {user}")
    print(f"\n  Set-Cookie: {visitor.set_cookie}\n")

    user = visitor.get(f"{wsgi}/session")["user"]
    check("read the same session through WSGI", user == "ada", f"user: {user}")

    visitor.post(f"{wsgi}/note?colour=blue")
    colour = visitor.get(f"{asgi}/session")["notes"].get("colour")
    check("change it through WSGI, read that through ASGI", colour == "blue", f"colour: {colour}")


def renew(visitor: Visitor, before: str, wsgi: str) -> None:
    user = visitor.get(f"{wsgi}/session")["user"]
    check("restart both with a new secret before the old one", user == "ada", f"user: {user}")

    # A token is 1.<id of its key>.<id of the session>.<MAC>
    (_, old_key, old_id, _), (_, key, session_id, _) = before.split("."), visitor.token.split(".")
    renewed = session_id == old_id and key != old_key
    check("the same session id, now signed by the new secret", renewed, f"key: {old_key} → {key}")


def write_at_once(visitor: Visitor, asgi: str, wsgi: str) -> None:
    def write(number: int) -> None:
        visitor.post(f"{(asgi, wsgi)[number % 2]}/note?key{number}={number}")

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(write, range(50)))
    kept = sum(name.startswith("key") for name in visitor.get(f"{wsgi}/session")["notes"])
    check("50 requests at once, to both, write a key each", kept == 50, f"kept: {kept}")


def sign_out(visitor: Visitor, asgi: str, wsgi: str) -> None:
    stolen = visitor.set_cookie
    user = visitor.post(f"{wsgi}/logout")["user"]
    check("sign out through WSGI", user is None, f"user: {user}")

    visitor.set_cookie = stolen
    found = visitor.get(f"{asgi}/session")
    refused = found == {"user": None, "notes": {}}
    check("replay the cookie of before: refused", refused, f"user: {found['user']}")


def stay(folder: Path) -> None:
    """Keep both servers up, and a page that shows them, for a browser."""
    keyring = folder / "keyring.json"
    keyfile.change(keyring, lambda ring: ring.added(new_secret(), int(time.time())))
    environ = {
        "FLUIDAUTH_KEYRING": str(keyring),
        "FLUIDAUTH_DEVELOPMENT": "1",
        "DEMO_EVENTS": str(folder / "events.jsonl"),
    }
    with suppress(KeyboardInterrupt), servers(folder, environ, ON_THE_PAGE) as (asgi, wsgi):
        environ = in_the_demo(folder, {**environ, "DEMO_ASGI": asgi, "DEMO_WSGI": wsgi})
        with server(PAGE, environ) as page:
            print(f"Two servers, one session. Open this page:\n\n  {page}\n")
            print(f"The servers have pages of their own, and see the same cookie:\n\n  {asgi}\n  {wsgi}\n")
            print("Ctrl-C ends all three.", flush=True)
            signal.pause()


class Visitor:
    """A browser that keeps one cookie, and sends it over plain http although it is Secure."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.set_cookie = ""

    @property
    def token(self) -> str:
        return self.set_cookie.partition(";")[0].partition("=")[2]

    def get(self, url: str) -> Any:
        return self._request("GET", url)

    def post(self, url: str) -> Any:
        return self._request("POST", url)

    def _request(self, method: str, url: str) -> Any:
        cookie = self.set_cookie.partition(";")[0]
        response = self.http.request(method, url, headers={"Cookie": cookie}).raise_for_status()
        self.set_cookie = response.headers.get("Set-Cookie", self.set_cookie)
        return response.json()


def check(step: str, passed: bool, found: str) -> None:
    if not passed:
        sys.exit(f"✗ {step:<50} {found}")
    print(f"✓ {step:<50} {found}")


@contextmanager
def servers(
    folder: Path, environ: dict[str, str], commands: tuple[str, str] = (ASGI, WSGI)
) -> Iterator[tuple[str, str]]:
    """Run both servers with the settings of *environ* alone; give the URL of each."""
    environ = in_the_demo(folder, environ)
    with server(commands[0], environ) as asgi, server(commands[1], environ) as wsgi:
        yield asgi, wsgi


def in_the_demo(folder: Path, environ: dict[str, str]) -> dict[str, str]:
    """Return this shell's environment, with *environ* and a database in *folder* as its only settings."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("FLUIDAUTH_")}
    return {**others, "FLUIDAUTH_DATABASE": str(folder / "sessions.db"), **environ}


@contextmanager
def server(command: str, environ: dict[str, str]) -> Iterator[str]:
    """Run *command* in *environ*, on a free port; give its URL as soon as it can be reached."""
    port = free_port()
    arguments = [sys.executable, "-m", *command.format(port=port).split()]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(arguments, cwd=Path(__file__).parent, env=environ, stdout=log, stderr=log)
        try:
            if not is_reached(process, port):
                log.seek(0)
                sys.exit(f"✗ {' '.join(arguments[1:])} did not start:\n{log.read()}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Return a free port, below those that the system gives to connections."""
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def is_reached(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether *process* accepts connections on *port* within half a minute."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)  # up to this long between two tries
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One fluidauth session on an ASGI and a WSGI server.")
    parser.add_argument(
        "--serve", action="store_true", help="keep both servers up, with a page for a browser"
    )
    run = stay if parser.parse_args().serve else tour
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # either also ends the servers
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may have no sign for ✓
    with tempfile.TemporaryDirectory() as name:
        try:
            run(Path(name))
        except httpx.HTTPError as error:
            sys.exit(f"✗ {error}")
