"""Runs the commands of a page as its reader would, in one folder and one shell.

Some things differ from a reader's shell. ``pip`` only looks whether such an extra exists.
``curl`` is a stand-in that knows the options that pages use. Servers get a free port, to which
``curl`` finds from the one that the page names. What takes minutes in a checkout is not run: of
``make`` it is looked at what would be done, and of ``python -m benchmarks…`` whether it is there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness import ROOT
from harness.servers.ports import free_port, is_open

HELPERS = Path(__file__).parent
PATIENCE = 60  # seconds
# How each server is told its port, and the one that it has by itself.
SERVERS = {
    "flask": ("--port {}", 5000),
    "quart": ("--port {}", 5000),
    "uvicorn": ("--port {}", 8000),
    "hypercorn": ("--bind 127.0.0.1:{}", 8000),
    "litestar": ("--port {}", 8000),
    "gunicorn": ("--bind 127.0.0.1:{}", 8000),
    "waitress-serve": ("--listen 127.0.0.1:{}", 8080),
    "runserver": ("{} --noreload", 8000),
}
_KEEP_ENVIRON = 'status=$?; "$DOCS_PYTHON" "$DOCS_HELPERS/environ.py" || exit 99; exit $status'


class Failed(AssertionError):
    """A command of a page did not do what the page says."""


class Shell:
    """One reader's shell: its folder, its environment, and the servers that it has started."""

    def __init__(self, folder: Path, known: dict[str, str | Callable[[Shell], str]]) -> None:
        self.folder = folder
        self.known = known  # words of the pages, and what stands in their place: the address of a real server
        self.environ = {
            "PATH": os.pathsep.join(
                map(str, (HELPERS / "shims", Path(sys.executable).parent, os.environ["PATH"]))
            ),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "DOCS_PYTHON": sys.executable,
            "DOCS_HELPERS": str(HELPERS),
            "DOCS_ENVIRON": str(folder / ".environ"),
            "DOCS_PORTS": "{}",
        }
        self._servers: dict[int, subprocess.Popen[bytes]] = {}

    def run_block(self, code: str) -> None:
        """Run each line that begins with ``$``; what follows is what it has to print."""
        head, *parts = re.split(r"(?m)^(?=\$ )", code)
        if head.strip() or not parts:
            raise Failed(f"a block of commands begins with $, and not with {head or code}")
        for part in parts:
            self._expect(*_taken_apart(part))

    def _expect(self, command: str, expected: str) -> None:
        port = _port_of(command)
        in_checkout = re.match(r"make |(\S*/)?python (-m )?(benchmarks|tools)\b", command)
        if expected and (port is not None or in_checkout):
            raise Failed(f"what follows {command} is not compared with anything")
        if port is not None:
            self._serve(command, port)
            return
        if in_checkout:
            _look_at(command)
            return
        found = re.sub(r" +$", "", self._run(command), flags=re.MULTILINE).strip()
        if not re.fullmatch(_pattern(expected), found):
            raise Failed(f"{command}\nshould print\n{expected}\nand printed\n{found}")

    def _run(self, command: str) -> str:
        for named, real in self.known.items():
            if named in command:
                command = command.replace(named, real if isinstance(real, str) else real(self))
        if re.match(r"fluidauth keys (promote|revoke)", command):
            command += " --interval 0"  # by themselves they wait until each process has seen the new file
        script = f"{command}\n{_KEEP_ENVIRON}"
        done = subprocess.run(
            ["sh", "-c", script], cwd=self.folder, env=self.environ, timeout=PATIENCE, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"{command}\nended with {done.returncode}:\n{done.stdout}")
        self.environ = json.loads(Path(self.environ["DOCS_ENVIRON"]).read_text("utf-8"))
        return done.stdout

    def _serve(self, command: str, named: int) -> None:
        """Start a server in the background; the one before it on the same port ends."""
        self._stop(named)
        port = free_port()
        option = next(text for name, (text, _) in SERVERS.items() if name in command.split()).format(port)
        command = (
            command.replace(f":{named}", f":{port}") if f":{named}" in command else f"{command} {option}"
        )
        log = self.folder / f"server-{named}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                ["sh", "-c", f"exec env {command}"],
                cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        self._servers[named] = process
        deadline = time.monotonic() + PATIENCE
        while not is_open(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text("utf-8", "replace")
                raise Failed(f"{command}\ndid not start:\n{said}")
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        self.environ["DOCS_PORTS"] = json.dumps({**json.loads(self.environ["DOCS_PORTS"]), named: port})

    def _stop(self, named: int) -> None:
        if process := self._servers.pop(named, None):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()

    def close(self) -> None:
        for named in list(self._servers):
            self._stop(named)


def _look_at(command: str) -> None:
    """Fail if a command of a checkout names a target or a program that is not there."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        subprocess.run(
            ["make", "--dry-run", "--silent", *words[1:]], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        )
        return
    path = ROOT / (words[2].replace(".", "/") if words[1] == "-m" else words[1])
    if not any(each.is_file() for each in (path, path.with_suffix(".py"), path / "__main__.py")):
        raise Failed(f"{command}\nnames a program that is not there")


def _taken_apart(part: str) -> tuple[str, str]:
    r"""Return the command of *part*, which may go on after ``\``, and the output after it."""
    lines = part[2:].splitlines()
    end = 1
    while lines[end - 1].endswith("\\"):
        end += 1
    return "\n".join(lines[:end]), "\n".join(lines[end:]).strip()


def _port_of(command: str) -> int | None:
    """Return the port on which the server of *command* listens by itself; None if it is no server."""
    words = shlex.split(command, comments=True)
    programs = [word for word in words if "=" not in word][:3]  # after variables, and python manage.py
    named = [port for name, (_, port) in SERVERS.items() if name in programs]
    return named[0] if named and programs[0] not in ("pip", "curl", "django-admin") else None


def _pattern(expected: str) -> str:
    """Return a pattern for output: ``…`` stands for anything, also for lines."""
    return "(?s)" + ".*?".join(map(re.escape, expected.split("…")))
