"""Values that refuse changes: by each method that a list or a dict has for one."""

from __future__ import annotations

import copy
import json
import pickle
from types import MappingProxyType
from typing import Any

import pytest

from fluidauth.errors import SessionClosed
from fluidauth.session.frozen import frozen

VALUE: dict[str, Any] = {"list": [1, {"n": None}], "text": "x"}
READS = {"copy", "fromkeys", "__reversed__", "__init__"}
OF_LIST = sorted({*dir(list)} - {*dir(tuple)} - READS)
OF_DICT = sorted({*dir(dict)} - {*dir(MappingProxyType({}))} - READS)


@pytest.mark.parametrize(
    ("value", "name"),
    [*(([1], name) for name in OF_LIST), *(({"n": 1}, name) for name in OF_DICT)],
    ids=lambda value: str(value),
)
def test_each_change_is_refused(value: Any, name: str) -> None:
    with pytest.raises(SessionClosed, match="has ended"):
        getattr(frozen(value), name)()


def test_operators_that_change_in_place_are_refused() -> None:
    values: Any = frozen(VALUE)

    with pytest.raises(SessionClosed):
        values |= {"n": 1}
    with pytest.raises(SessionClosed):
        values["list"] += [1]
    with pytest.raises(SessionClosed):
        values["list"] *= 2
    with pytest.raises(SessionClosed):
        del values["list"][1]["n"]


def test_what_reads_sees_a_list_and_a_dict() -> None:
    values = frozen(VALUE)

    assert values == VALUE
    assert json.dumps(values) == json.dumps(VALUE)
    assert repr(values) == repr(VALUE)
    assert values["list"] + [2] == [1, {"n": None}, 2]
    assert values | {"n": 1} == {**VALUE, "n": 1}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda values: pickle.loads(pickle.dumps(values))])
def test_a_copy_may_be_changed(duplicate: Any) -> None:
    values = duplicate(frozen(VALUE))

    values["list"][1]["n"] = 2

    assert (type(values), type(values["list"])) == (dict, list)
    assert values["list"] == [1, {"n": 2}]
