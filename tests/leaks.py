"""A plugin of pytest: what a test leaves open fails that test, and not a later one.

After each test the garbage is collected and what complains of having been left open is
reported, as are processes that the test started and did not end.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator

import psutil
import pytest

from harness.servers.shared import KEPT

_started: list[str] = []  # names of events: this process began another


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        _started.append(event)


sys.addaudithook(_audit)
_before: set[int] = set()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the collector, which runs after each test, what is there for good."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Do not blame the test for what fixtures started: those that serve several tests end it later."""
    if _started:
        _before.update(_children())
        _started.clear()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    left = _collected()
    if _started:
        alive = _children()
        left += [f"process {pid} still runs" for pid in alive - _before - KEPT]
        _before.update(alive)
        _started.clear()
    if left:
        pytest.fail("the test left something open: " + "; ".join(left), pytrace=False)


def _collected() -> list[str]:
    """Collect the garbage; return what it says of itself."""
    said: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: said.append(repr(unraisable.exc_value))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            gc.collect()
            gc.freeze()  # what outlives its test is there for good
    finally:
        sys.unraisablehook = hook
    return said + [str(each.message) for each in caught if issubclass(each.category, ResourceWarning)]


def _children() -> set[int]:
    """Return the processes that this one started and that run still."""
    running = (child for child in psutil.Process().children() if child.is_running())
    return {child.pid for child in running if child.status() != psutil.STATUS_ZOMBIE}
