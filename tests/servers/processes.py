"""Real servers on loopback, each as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

START_TIMEOUT = 20
STOP_TIMEOUT = 10

COMMANDS = {
    "uvicorn": "uvicorn --host 127.0.0.1 --port {port} apps:asgi_app",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} apps:asgi_app",
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} --workers 4 apps:wsgi_app",
    "waitress": "waitress --listen 127.0.0.1:{port} --threads 16 apps:wsgi_app",
}


@contextmanager
def serving(server: str, database: Path, *secrets: str) -> Iterator[str]:
    """Run the test application under *server*; give its URL once it answers.

    *secrets*: newest first. The process has ended when the block has, however it ends.
    Raise ``RuntimeError`` with the server's output if it does not start.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environ = os.environ | {
        "FLUIDAUTH_SECRET": "",
        "FLUIDAUTH_SECRETS": " ".join(secrets),
        "FLUIDAUTH_DATABASE": str(database),
        "XDG_RUNTIME_DIR": str(database.parent),  # gunicorn puts a socket there
    }
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[server].format(port=port).split()],
            cwd=Path(__file__).parent,
            env=environ,
            stdout=output,
            stderr=output,
        )
        try:
            if not _answers(process, url):
                output.seek(0)
                raise RuntimeError(f"{server} did not start:\n{output.read()}")
            yield url
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Return whether *process* answers a request in time.

    A connection would prove less: gunicorn's first process listens before its workers
    have loaded the application.
    """
    deadline = time.monotonic() + START_TIMEOUT
    with httpx.Client(trust_env=False, timeout=START_TIMEOUT) as http:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                return http.get(url).is_success
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)  # between two tries, unless it ends before
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
