"""The examples of a real sign-in run by the one command that each names, on one's own machine."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from harness import ROOT
from harness.servers.ports import free_port

PORTS = {"gunicorn": "--bind=127.0.0.1:{}", "uvicorn": "--port={}"}
PATIENCE = 60  # seconds until a server answers


def command_of(name: str, port: int) -> list[str]:
    """Return the command in the docstring of the example, on another port."""
    source = (ROOT / "examples" / "signin" / f"{name}_app.py").read_text("utf-8")
    found = re.search(r"FLUIDAUTH_DEVELOPMENT=1 (\w+) (.+)", ast.get_docstring(ast.parse(source)) or "")
    assert found is not None
    return [sys.executable, "-m", found[1], PORTS[found[1]].format(port), *found[2].split()]


@pytest.mark.parametrize("name", ["flask", "django", "fastapi"])
def test_an_example_runs_by_its_command(name: str, tmp_path: Path) -> None:
    """It prints its users, and one of them signs in over plain http."""
    port, log = free_port(), tmp_path / "output"
    environ = {
        **os.environ,
        "FLUIDAUTH_DEVELOPMENT": "1",
        "FLUIDAUTH_DATABASE": str(tmp_path / "sessions.db"),
        "XDG_RUNTIME_DIR": str(tmp_path),  # gunicorn puts a socket there
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_of(name, port), cwd=ROOT, env=environ, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        with httpx.Client(
            base_url=f"http://localhost:{port}", trust_env=False, follow_redirects=True
        ) as carol:
            form = page_of(carol, process)
            password = re.search(r"carol, password (\S+)$", log.read_text("utf-8"), re.MULTILINE)
            assert password is not None
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
            fields = {"username": "carol", "password": password[1]}
            if token is not None:
                fields["csrfmiddlewaretoken"] = token[1]

            assert "Hello, carol" in carol.post("/login", data=fields).text
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def page_of(visitor: httpx.Client, process: subprocess.Popen[bytes]) -> str:
    """Return the page of the sign-in, once the server answers."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            return visitor.get("/login").text
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise RuntimeError("the server did not start")
