"""A plugin of pytest-xdist: what of the tests goes to one process together.

That is a group, by the mark ``xdist_group``, or else one function with all its parameters. xdist's own
``loadgroup`` sends tests one by one. That costs it a second for each thousand tests, and more with each
thousand. What is set up for a module is then set up in each process, for single tests. And its groups are of
no effect since pytest 9.2 (it writes ``_nodeid``, which is not read any more).
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_MARK = "@"


class Units(LoadScopeScheduling):  # type: ignore[misc]  # xdist's types are not published
    """Sends the greatest units first, so that no process ends long after the others."""

    def _split_scope(self, nodeid: str) -> str:
        name, bracket, rest = nodeid.partition("[")
        group = (rest.rpartition("]")[2] if bracket else name).partition(_MARK)[2]
        return group or name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Units:
    return Units(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say in a test's id which group it is of, as xdist does where that is of effect."""
    for item in items if hasattr(config, "workerinput") else ():
        group = "_".join(sorted({mark.args[0] for mark in item.iter_markers("xdist_group")}))
        if group and not item.nodeid.endswith(_MARK + group):
            item._id = type(item._id).parse(f"{item.nodeid}{_MARK}{group}")
