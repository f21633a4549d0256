"""A plugin that pytest loads by itself: in tests the default store is memory, empty before each test.

``-p no:fluidauth`` switches it off; ``FLUIDAUTH_TEST_DATABASE`` names another store. A store that an
application gives to its engine is not replaced: give it another one in tests.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Begin before the first ``conftest.py``, which may import an application that makes its engine."""
    from fluidauth.stores.under_test import run

    run.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    from fluidauth.stores.under_test import run

    run.end()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    from fluidauth.stores.under_test import run

    run.empty()
