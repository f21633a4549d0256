"""A real browser: Debian's Chromium with a profile of its own, driven by Playwright."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

T = TypeVar("T")
# As visitors have it, but that it asks nothing of others in the net.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)

# Cookies of sites in frames and requests of others come along, as Chrome has it; Debian's may block them.
SETTINGS = {"profile": {"block_third_party_cookies": False, "cookie_controls_mode": 0}}


class Chromium:
    """One Chromium; the certificate with the digest *pin* is good to it.

    Playwright's blocking interface keeps an event loop running in its thread, where no test
    could run another. So that has a thread of its own.
    """

    def __init__(self, pin: str) -> None:
        self._options = [*OPTIONS, f"--ignore-certificate-errors-spki-list={pin}"]
        self._thread = ThreadPoolExecutor(1, "chromium")
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._playwright: Playwright | None = None
        self._context: BrowserContext | None = None
        self._processes: list[psutil.Process] = []

    def start(self) -> None:
        self._thread.submit(self._start, program()).result()

    def _start(self, chromium: str) -> None:
        settings = Path(self._profile.name) / "Default" / "Preferences"
        settings.parent.mkdir()
        settings.write_text(json.dumps(SETTINGS))
        self._playwright = sync_playwright().start()
        # That of a profile: other contexts are private windows, which have stricter rules for cookies.
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile.name, executable_path=chromium, args=self._options
        )
        mark = f"--user-data-dir={self._profile.name}"
        found = psutil.Process().children(recursive=True)
        self._processes = [each for each in found if mark in each.cmdline()]

    def drive(self, script: Callable[[Page], T]) -> T:
        """Return what *script* does with the one page, in the browser's thread; it finds no cookies."""
        return self._thread.submit(self._drive, script).result()

    def _drive(self, script: Callable[[Page], T]) -> T:
        assert self._context is not None
        self._context.clear_cookies()
        # No page is closed but with the browser: Chromium may not close one that is on its way elsewhere.
        (page,) = self._context.pages
        page.goto("about:blank")
        return script(page)

    def close(self) -> None:
        """End every process, whatever became of it."""
        try:
            if self._playwright is not None:
                self._thread.submit(self._stop).result()
        finally:
            self._thread.shutdown()
            for process in self._processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._profile.cleanup()

    def _stop(self) -> None:
        assert self._playwright is not None
        if self._context is not None:
            self._context.close()
        self._playwright.stop()


def program() -> str:
    """Return the path of Chromium; raise ``FileNotFoundError`` where there is none."""
    found = shutil.which("chromium")
    if found is None:
        raise FileNotFoundError("these tests need Chromium, and there is none: apt-get install chromium")
    return found


@contextmanager
def browsing(pin: str) -> Iterator[Chromium]:
    """Run a Chromium; all its processes have ended when the block has, however it ends."""
    chromium = Chromium(pin)
    try:
        chromium.start()
        yield chromium
    finally:
        chromium.close()
