"""A pytest plugin: coverage is measured with a few of each test's sets of parameters, and all of them run.

To trace costs as much as the tests do. What the seventh store or protocol runs through, one of six has run
through before; `make check` still fails if less is covered than it asks for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import coverage
import pytest

SETS = 6  # of parameters, evenly spread over all that a test has
_measured = pytest.StashKey[bool]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Choose before any process takes its part, so that all choose the same."""
    tests = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    for sets in tests.values():
        chosen = {number * len(sets) // SETS for number in range(SETS)}
        for number, item in enumerate(sets):
            item.stash[_measured] = len(sets) <= SETS or number in chosen


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    stopped: list[coverage.Coverage] = []
    if not item.stash[_measured]:
        # In a process of pytest-xdist there are two, and the one that ends has the other go on.
        while (tracer := coverage.Coverage.current()) is not None:
            tracer.stop()
            stopped.append(tracer)
    try:
        return (yield)
    finally:
        for tracer in reversed(stopped):
            tracer.start()
