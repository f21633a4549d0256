"""The session as a dict: it loads before anybody sees it, and is otherwise what a dict is."""

from __future__ import annotations

import collections
import copy
import ctypes
import json
import operator
import pickle
import pprint
from typing import Any

import pytest

from fluidauth import Session, SessionNotLoaded, StoreError
from fluidauth.session.lazydict import LazyDict
from tests.session.desk import CHANGES, FIELDS, B, Desk, changed, ior, keywords, match

# What is done with a session that is not loaded yet, and what a dict would answer.
READS: dict[str, tuple[Any, Any]] = {
    "[]": (lambda s: s["a"], 1),
    "get": (lambda s: s.get("a"), 1),
    "get, default": (lambda s: s.get("x", 7), 7),
    "in": (lambda s: "a" in s, True),
    "not in": (lambda s: "x" not in s, True),
    "in, not hashed as text": (lambda s: 5 in s, False),
    "len": (len, 2),
    "bool": (bool, True),
    "not": (operator.not_, False),
    "iter": (lambda s: next(iter(s)), "a"),
    "list": (list, ["a", "b"]),
    "tuple": (tuple, ("a", "b")),
    "set": (set, {"a", "b"}),
    "sorted": (sorted, ["a", "b"]),
    "reversed": (lambda s: list(reversed(s)), ["b", "a"]),
    "star": (lambda s: [*s], ["a", "b"]),
    "join": ("".join, "ab"),
    "keys": (lambda s: list(s.keys()), ["a", "b"]),
    "values": (lambda s: list(s.values()), [1, B]),
    "items": (lambda s: list(s.items()), [("a", 1), ("b", B)]),
    "keys as a set": (lambda s: s.keys() & {"a"}, {"a"}),
    "dict": (dict, FIELDS),
    "dict, more": (lambda s: dict(s, z=0), {**FIELDS, "z": 0}),
    "{**}": (lambda s: {**s}, FIELDS),
    "{..., **}": (lambda s: {"a": 0, **s}, FIELDS),
    "f(**)": (lambda s: keywords(**s), FIELDS),
    "dict.update": (lambda s: (d := {"a": 0}, d.update(s), d)[2], FIELDS),
    "|=": (lambda s: ior({"a": 0}, s), FIELDS),
    "dict.fromkeys": (lambda s: dict.fromkeys(s, 0), {"a": 0, "b": 0}),
    "OrderedDict": (collections.OrderedDict, collections.OrderedDict(FIELDS)),
    "ChainMap": (lambda s: dict(collections.ChainMap({}, s)), FIELDS),
    "Counter": (lambda s: list(collections.Counter(s.keys())), ["a", "b"]),
    "==": (lambda s: s == FIELDS, True),
    "== reversed": (lambda s: FIELDS == s, True),  # noqa: SIM300
    "== {}": (lambda s: s == {}, False),
    "== other type": (lambda s: s == 5, False),
    "!=": (lambda s: s != FIELDS, False),
    "!= {}": (lambda s: {} != s, True),  # noqa: SIM300
    "session | dict": (lambda s: s | {"z": 0}, {**FIELDS, "z": 0}),
    "dict | session": (lambda s: {"a": 0, "z": 0} | s, {"a": 1, "z": 0, "b": B}),
    "session | session": (lambda s: s | s, FIELDS),
    "copy": (lambda s: s.copy(), FIELDS),
    "copy.copy": (copy.copy, FIELDS),
    "copy.deepcopy": (copy.deepcopy, FIELDS),
    "match": (match, {"b": B}),
    "itemgetter": (operator.itemgetter("a"), 1),
    "format_map": ("{a}".format_map, "1"),
    "% mapping": (lambda s: "%(a)s" % s, "1"),  # noqa: UP031
    "json.dumps": (json.dumps, '{"a": 1, "b": [2, {"c": null}]}'),
    "json.dumps, indent": (lambda s: json.loads(json.dumps(s, indent=1)), FIELDS),
    "json.dumps, sorted": (lambda s: json.dumps(s, sort_keys=True), '{"a": 1, "b": [2, {"c": null}]}'),
    "json.dumps, within": (lambda s: json.dumps([s]), '[{"a": 1, "b": [2, {"c": null}]}]'),
    "JSONEncoder.iterencode": (lambda s: json.loads("".join(json.JSONEncoder().iterencode(s))), FIELDS),
    "pickle of dict": (lambda s: pickle.loads(pickle.dumps(dict(s))), FIELDS),
    "mark_accessed": (lambda s: (s.mark_accessed(), len(s))[1], 2),
}
ALL: dict[str, tuple[Any, Any]] = {
    **READS,
    **{name: (changed(change), expected) for name, (change, expected) in CHANGES.items()},
}


# -- loading ------------------------------------------------------------------------------------


@pytest.mark.requirement("17", "19")
@pytest.mark.parametrize(("use", "expected"), ALL.values(), ids=ALL.keys())
def test_every_use_loads_first_and_once(use: Any, expected: Any) -> None:
    """What a dict with the stored fields would answer, with one read of the store, counted as access."""
    desk = Desk()
    session = desk.request()
    reads = desk.store.reads

    answer = use(session)

    assert answer == expected
    assert type(answer) is type(expected)
    assert desk.store.reads == reads + 1
    assert session.accessed


@pytest.mark.parametrize(("use", "expected"), ALL.values(), ids=ALL.keys())
def test_a_loaded_session_answers_alike(use: Any, expected: Any) -> None:
    """Nothing depends on which use comes first."""
    desk = Desk()
    session = desk.request()
    reads = desk.store.reads
    len(session)

    answer = use(session)

    assert answer == expected
    assert desk.store.reads == reads + 1


@pytest.mark.requirement("19")
def test_a_session_that_is_not_used_is_not_loaded() -> None:
    """Neither its making nor a look at its own state is an access."""
    desk = Desk()
    reads = desk.store.reads

    session = desk.request()

    assert (session.accessed, session.modified) == (False, False)
    assert isinstance(session, dict)
    assert desk.store.reads == reads


@pytest.mark.requirement("17")
def test_every_method_of_dict_is_replaced() -> None:
    """A method that a later Python adds to dict must not read behind our back."""
    harmless = {
        "__class_getitem__",
        "__getattribute__",
        "__init__",
        "__new__",
        "__doc__",
        "__hash__",
        "__repr__",
        "__sizeof__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
    }
    inherited = [
        name
        for name in vars(dict)
        if name not in harmless and name not in vars(LazyDict) and name not in vars(Session)
    ]

    assert inherited == []
    assert "__repr__" in vars(Session)


@pytest.mark.requirement("17", "59")
@pytest.mark.parametrize("show", [repr, str, "{}".format, pprint.pformat, lambda s: f"{s!r:>3}"])
def test_showing_a_session_reads_nothing(show: Any) -> None:
    """A log line must not cost a store call; it counts as access, for it tells that there is a session."""
    desk = Desk()
    session = desk.request()
    reads = desk.store.reads

    shown = show(session)

    assert shown == "<Session, not loaded>"
    assert session.accessed
    assert desk.store.reads == reads


# -- code that does not call methods ---------------------------------------------------------------


def storage(session: Session) -> list[tuple[Any, Any]]:
    """Return what C code finds in a dict's own storage, without calling a method of the session."""
    step = ctypes.pythonapi.PyDict_Next
    position, key, value = ctypes.c_ssize_t(), ctypes.py_object(), ctypes.py_object()
    items = []
    while step(ctypes.py_object(session), *map(ctypes.byref, (position, key, value))):
        items.append((key.value, value.value))
    return items


def test_an_unloaded_session_never_looks_empty_to_c_code() -> None:
    """An encoder that reads the storage itself finds one entry, and can write neither key nor value."""
    session = Desk().request()

    ((key, value),) = storage(session)

    assert not session.accessed
    with pytest.raises(TypeError, match="keys must be str"):
        json.dumps({key: value})
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(value)


@pytest.mark.parametrize("fields", [FIELDS, {}], ids=["full", "empty"])
def test_a_loaded_session_has_its_fields_alone_in_its_storage(fields: dict[str, Any]) -> None:
    """The placeholder is gone, and then C code may read as it likes."""
    session = Desk(fields).request()

    len(session)

    assert storage(session) == list(fields.items())
    assert json.dumps(session) == json.dumps(fields)


@pytest.mark.requirement("59")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("loaded", [True, False])
def test_a_session_is_not_pickled(protocol: int, loaded: bool) -> None:
    """It holds its cookie and its engine; the error says what to pickle instead."""
    session = Desk().request()
    if loaded:
        len(session)

    with pytest.raises(TypeError, match=r"^a session cannot be pickled; pickle dict\(session\) instead$"):
        pickle.dumps(session, protocol)


# -- a load that fails -----------------------------------------------------------------------------


NEED_A_READ = {name: use for name, (use, _) in ALL.items() if name not in ("logout", "clear")}


@pytest.mark.requirement("52")
@pytest.mark.parametrize("use", NEED_A_READ.values(), ids=NEED_A_READ.keys())
def test_a_store_out_of_order_is_never_an_empty_session(use: Any) -> None:
    """Every use raises, the second time too; the storage still does not look empty."""
    desk = Desk()
    desk.store.down = True
    session = desk.request()

    for _ in range(2):
        with pytest.raises(StoreError, match="the store is down"):
            use(session)

    assert len(storage(session)) == 1


@pytest.mark.parametrize("use", NEED_A_READ.values(), ids=NEED_A_READ.keys())
def test_unloaded_session_of_a_remote_store_asks_for_aload(use: Any) -> None:
    """In asynchronous code on a remote store nothing may block: ``await session.aload()`` comes first."""
    desk = Desk()
    session = desk.request(may_block=False)
    reads = desk.store.reads

    with pytest.raises(SessionNotLoaded, match=r"call `await session.aload\(\)` first"):
        use(session)

    assert desk.store.reads == reads
    assert session.accessed
