"""An application in a folder of its own, run there by its framework's own command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from harness import ROOT
from harness.servers.ports import free_port

TIMEOUT = 60  # seconds for a start, or for its end


class Served:
    """What lies in *folder*, run there by ``python`` *command* with its ``{port}``, with *environ*."""

    def __init__(self, folder: Path, command: str, **environ: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = folder / "output.txt"
        self._words = command.format(port=self.port).split()
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FLUIDAUTH_")}
        self.environ = {**clean, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder), **environ}

    def run(self, *words: str) -> tuple[int, str]:
        """Run it, or ``python`` *words*, to its end; return the exit code and what it printed."""
        done = subprocess.run(
            [sys.executable, *(words or self._words)],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            text=True,
        )
        return done.returncode, done.stdout

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run it as long as the block does, which begins with its first answer."""
        with self.output.open("a") as output:
            process = subprocess.Popen(
                [sys.executable, *self._words],
                cwd=self.folder,
                env=self.environ,
                stdout=output,
                stderr=output,
            )
        try:
            self._await_answer(process)
            yield
        finally:
            process.terminate()
            process.wait(TIMEOUT)

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                httpx.get(self.url, trust_env=False, timeout=TIMEOUT)
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        raise RuntimeError(f"it did not start:\n{self.output.read_text()}")
