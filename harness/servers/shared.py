"""What all processes of one test run share: a folder, and the servers that are dear to start.

The process that begins the run owns the folder and ends what was started in it; its
workers, and whatever they start, find the folder by the environment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "FLUIDAUTH_TEST_RUN"
KEPT: set[int] = set()
"""The processes that serve all tests of this one, until it ends."""


@contextmanager
def one_run() -> Iterator[None]:
    """Own what the run shares, unless a process above does already."""
    if os.environ.get(VARIABLE):
        yield
        return
    folder = Path(tempfile.mkdtemp(prefix="fluidauth-run-"))
    folder.chmod(0o755)  # a server that gives up root's rights passes through
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        for pid in folder.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def shared(name: str, start: Callable[[Path], tuple[str, int]]) -> str:
    """Return the URL of the run's server *name*; *start* it in a folder if nobody has.

    *start* returns the URL and the process id of a server that outlives this process.
    """
    run = Path(os.environ[VARIABLE])
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        url = run / f"{name}.url"
        if not url.exists():
            place = run / name
            place.mkdir()
            address, pid = start(place)
            (run / f"{name}.pid").write_text(str(pid))
            url.write_text(address)
        return url.read_text()
