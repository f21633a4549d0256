"""A session against a plain dict: whatever an application does, both hold the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.engine.visit import Visit
from fluidauth.keys import new_secret

ENGINE = SessionEngine(secret=new_secret(), store=MemoryStore(), encrypted_fields=("a",))
NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.sampled_from([None, True, 1, 1.0, 0, False, -0.0, "", "x", "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


def put(fields: Any, name: str, value: Any) -> None:
    fields[name] = copy.deepcopy(value)


def remove(fields: Any, name: str, value: Any) -> None:
    fields.pop(name, None)


def grow(fields: Any, name: str, value: Any) -> None:
    if type(fields.get(name)) is list:
        fields[name].append(value)


def take_out_and_grow(fields: Any, name: str, value: Any) -> None:
    if type(fields.get(name)) is list:
        items = fields.pop(name)
        items.append(value)
        fields[name] = items


def grow_by_iteration(fields: Any, name: str, value: Any) -> None:
    for items in fields.values():
        if type(items) is list:
            items.append(value)


def count(fields: Any, name: str, value: Any) -> None:
    if type(fields.get(name, 0)) is int:
        if isinstance(fields, Session):
            fields.add(name, 2)
        else:
            fields[name] = fields.get(name, 0) + 2


def collect(fields: Any, name: str, value: Any) -> None:
    if type(fields.get(name, [])) is list:
        if isinstance(fields, Session):
            fields.append(name, copy.deepcopy(value))
        else:
            fields.setdefault(name, []).append(copy.deepcopy(value))


def save(fields: Any, name: str, value: Any) -> None:
    if isinstance(fields, Session):
        fields.save()


Action = Callable[[Any, str, Any], None]
ACTIONS: list[Action] = [
    put,
    remove,
    grow,
    take_out_and_grow,
    grow_by_iteration,
    count,
    collect,
    save,
]
REQUESTS = st.lists(st.lists(st.tuples(st.sampled_from(ACTIONS), NAMES, VALUES), max_size=6), max_size=4)


@given(REQUESTS)
def test_a_session_is_a_dict_that_lasts(requests: list[list[tuple[Action, str, Any]]]) -> None:
    """After each request the stored fields are those of a dict that was treated alike."""
    start = {"a": [1], "b": {"c": []}}
    model = copy.deepcopy(start)
    token, created = ENGINE.create_session("ada", copy.deepcopy(start))

    for actions in requests:
        session = Session(Visit(ENGINE.requests, f"__Host-session={token}"))
        for act, name, value in actions:
            act(session, name, value)
            act(model, name, copy.deepcopy(value))
        session.save()

        stored = ENGINE.get_session(str(created.handle))
        assert stored is not None
        assert json.dumps(dict(stored), sort_keys=True) == json.dumps(model, sort_keys=True)
        assert json.dumps(dict(session), sort_keys=True) == json.dumps(model, sort_keys=True)
