"""Where sessions are kept while tests run: apart from those of people, and gone after each test.

The plugin for pytest and Django's test environment say that tests run. Nothing here guesses it.
"""

from __future__ import annotations

import os

from fluidauth.records import END_OF_TIME

from .base import SessionStore
from .memory import MemoryStore
from .urls import store_at

VARIABLE = "FLUIDAUTH_TEST_DATABASE"


class TestRun:
    """One run of tests in this process, and the store of all engines that would use the default one.

    That is memory, unless ``FLUIDAUTH_TEST_DATABASE`` names another, for tests with several processes.
    """

    __test__ = False  # not a test class of pytest

    def __init__(self) -> None:
        self.goes_on: bool = False
        self._store: SessionStore | None = None

    def begin(self) -> None:
        self.goes_on = True

    def end(self) -> None:
        """Let engines that are made from now on use the default store again."""
        self.empty()
        self.goes_on, self._store = False, None

    def store(self) -> SessionStore:
        """Return the store for tests, the same each time."""
        if self._store is None:
            place = os.environ.get(VARIABLE)
            self._store = store_at(place) if place else MemoryStore()
        return self._store

    def empty(self) -> None:
        """Remove every session: the next test begins."""
        if self._store is not None:
            self._store.clean(END_OF_TIME)


run: TestRun = TestRun()
"""Of this process."""
