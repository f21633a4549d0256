"""Real servers on loopback, each as a process of its own."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from .. import ROOT
from .ports import free_port

START_TIMEOUT = 60
STOP_TIMEOUT = 10
WORKERS = {"uvicorn-workers": 4, "gunicorn": 4, "gunicorn-threads": 4}

COMMANDS = {
    "uvicorn": "uvicorn --host 127.0.0.1 --port {port} harness.servers.apps:asgi_app",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} harness.servers.apps:asgi_app",
    "uvicorn-workers": "uvicorn --host 127.0.0.1 --port {port} --workers 4 harness.servers.apps:asgi_app",
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} --workers 4 harness.servers.apps:wsgi_app",
    "gunicorn-threads": (
        "gunicorn --bind 127.0.0.1:{port} --workers 4 --threads 8 harness.servers.apps:wsgi_app"
    ),
    "waitress": "waitress --listen 127.0.0.1:{port} --threads 16 harness.servers.apps:wsgi_app",
}

_UWSGI = (
    "{bin}/uwsgi --http-socket 127.0.0.1:{port} --master --need-app --die-on-term --disable-logging "
    "--module harness.servers.apps:wsgi_app"
)
_GUNICORN = "-m gunicorn --bind 127.0.0.1:{port} harness.servers.apps:wsgi_app --worker-class"
FORKING = {
    "uwsgi": _UWSGI,
    "uwsgi --py-call-osafterfork": f"{_UWSGI} --py-call-osafterfork",
    "uwsgi --threads": f"{_UWSGI} --enable-threads --threads 4",
    "uwsgi --lazy-apps": f"{_UWSGI} --lazy-apps",
    **{
        f"gunicorn {kind}{preload}": f"{python} {_GUNICORN} {kind}{preload}"
        for kind, python in {
            "sync": "{bin}/python",
            "gthread --threads 4": "{bin}/python",
            "gevent": "{bin}/python",
            "eventlet": "{eventlet}/python",
        }.items()
        for preload in ("", " --preload")
    },
}
"""Each way in which a server's workers come to be: forked before the application is loaded, or after."""
_FOUR_WORKERS = {"WEB_CONCURRENCY": "4", "UWSGI_PROCESSES": "4"}

_ASGI = "uvicorn --host 127.0.0.1 --port {port} --app-dir examples "
_WSGI = "waitress --listen 127.0.0.1:{port} "
EXAMPLES = {
    **{
        f"{name} over ASGI": f"{_ASGI}{name}_app:app"
        for name in ("fastapi", "litestar", "quart", "starlette")
    },
    **{f"{name} over ASGI": f"{_ASGI}{name}_app:asgi_app" for name in ("django", "falcon")},
    "litestar by its own command": (
        "litestar --app-dir examples --app litestar_app:app run --host 127.0.0.1 --port {port}"
    ),
    **{
        f"{name} over WSGI": f"{_WSGI}examples.{name}_app:app"
        for name in ("bottle", "django", "falcon", "flask", "pyramid")
    },
}


_FACTORY = "--factory harness.servers.open_ended:{name}_app"
OPEN_ENDED = {
    **{
        f"{name} streams on uvicorn": f"uvicorn --host 127.0.0.1 --port {{port}} {_FACTORY.format(name=name)}"
        for name in ("starlette", "fastapi", "litestar", "falcon", "quart")
    },
    "django streams on uvicorn": "uvicorn --port {port} harness.servers.open_django:asgi_app",
    "django streams on waitress": f"{_WSGI}harness.servers.open_django:wsgi_app",
    "quart streams on hypercorn": "hypercorn --bind 127.0.0.1:{port} harness.servers.open_ended:quart_app()",
    **{
        f"{name} streams on waitress": f"{_WSGI}--threads 8 --call harness.servers.open_ended:{name}_app"
        for name in ("flask", "wsgi")
    },
}
"""Each application that changes a session while a WebSocket is open or a body streams."""

FORMER = {
    "starlette": "uvicorn --host 127.0.0.1 --port {port} --factory harness.servers.former:starlette_app",
    **{
        name: f"{_WSGI}--threads 2 --call harness.servers.former:{name}_app"
        for name in ("flask", "flask_session", "django")
    },
}
"""Each kind of application that there was, before and after it changed to ours."""

GUARDED = {
    "asgi": "uvicorn --host 127.0.0.1 --port {port} harness.servers.guarded:asgi_app",
    "wsgi": "gunicorn --bind 127.0.0.1:{port} --threads 4 harness.servers.guarded:wsgi_app",
}
"""Servers that speak https, with the certificate and the key that ``TEST_CERTIFICATE`` names."""


class Server:
    """The test application under the server *name*, with all its worker processes.

    *secrets*: newest first; or *environ* says where they are, and what else there is to say.
    """

    def __init__(
        self, name: str, database: Path, *secrets: str, environ: Mapping[str, str] | None = None
    ) -> None:
        port = free_port()
        self.port = port
        self.url = f"{'https' if name in GUARDED else 'http'}://127.0.0.1:{port}"
        self._name = name
        self._command = _command_of(name, port)
        self._environ = os.environ | {
            "FLUIDAUTH_KEYRING": "",
            "FLUIDAUTH_SECRET": "",
            "FLUIDAUTH_SECRETS": " ".join(secrets),
            "FLUIDAUTH_DATABASE": str(database),
            "XDG_RUNTIME_DIR": str(database.parent),  # gunicorn puts a socket there
            **(_FOUR_WORKERS if name in FORKING else {}),
            **(environ or {}),
        }
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by stop()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait for an answer; raise ``RuntimeError`` with the server's output if none comes."""
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environ,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,  # so that all its processes can be killed together
        )
        if not _answers(self._process, self.url, WORKERS.get(self._name, 0)):
            self._output.seek(0)
            raise RuntimeError(f"{self._name} did not start:\n{self._output.read()}")

    def signal_all(self, number: int) -> None:
        """Send a signal to every process of the server."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill_worker(self) -> None:
        """End one worker at once, and wait until another has taken its place."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        workers = [each for each in children if "resource_tracker" not in " ".join(each.cmdline())]
        random.choice(workers).kill()
        if not _answers(self._process, self.url, WORKERS.get(self._name, 0)):
            raise RuntimeError(f"{self._name} did not go on without one of its workers")

    def kill(self) -> None:
        """End every process at once, with what it was about to do undone."""
        self.signal_all(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Let every process end in order; kill what does not."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        self.kill()
        self._output.close()


@contextmanager
def serving(
    name: str, database: Path, *secrets: str, environ: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run the test application under the server *name*; give its URL once it answers.

    All its processes have ended when the block has, however it ends.
    """
    server = Server(name, database, *secrets, environ=environ)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def _command_of(name: str, port: int) -> list[str]:
    words = (COMMANDS | FORKING | EXAMPLES | OPEN_ENDED | FORMER | GUARDED)[name].split()
    program = Path(sys.executable)
    places = {"{port}": str(port), "{bin}": str(program.parent)}
    if words[0].startswith("{eventlet}"):
        places["{eventlet}"] = eventlet_environment()
    for place, there in places.items():
        words = [word.replace(place, there) for word in words]
    return words if words[0].startswith("/") else [str(program), "-m", *words]


def eventlet_environment() -> str:
    """Return where the programs are that need eventlet, which gunicorn 26 and later do not know."""
    folder = f".venv-eventlet-{sys.version_info.major}.{sys.version_info.minor}"
    with (ROOT / "Makefile").open() as lock:  # two processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        make = ("make", "--no-print-directory", f"PYTHON={sys.executable}", f"EVENTLET={folder}")
        subprocess.run((*make, f"{folder}/ready"), cwd=ROOT, check=True)
    return str(ROOT / folder / "bin")


def _answers(process: subprocess.Popen[bytes], url: str, workers: int) -> bool:
    """Return whether *process* answers requests in time, each of its *workers* one.

    A connection would prove less: gunicorn's first process listens before its workers
    have loaded the application. One that does so while its database is down ends them all.
    """
    deadline = time.monotonic() + START_TIMEOUT
    seen = set[int]()
    # Each request is another connection: for any worker to take.
    with httpx.Client(
        verify=False, trust_env=False, timeout=START_TIMEOUT, headers={"Connection": "close"}
    ) as http:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                answer = http.get(f"{url}/process" if workers else url)
                seen.update(answer.json()[:1] if workers else ())
                if len(seen) >= workers:
                    return answer.is_success
                continue
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)  # between two tries, unless it ends before
    return False
