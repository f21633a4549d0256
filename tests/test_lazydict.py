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
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import (
    CookieOptions,
    MemoryStore,
    PayloadError,
    Session,
    SessionEngine,
    SessionNotLoaded,
    SessionRecord,
    StoreError,
)
from fluidauth.engine.visit import Visit
from fluidauth.session.lazydict import LazyDict

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
FIELDS: dict[str, Any] = {"a": 1, "b": [2, {"c": None}]}


class CountingStore(MemoryStore):
    """Counts the reads, and fails them while it is *down*."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.down = False

    def get(self, handle: str) -> SessionRecord | None:
        self.reads += 1
        if self.down:
            raise StoreError("the store is down")
        return super().get(handle)


class Desk:
    """One stored session, and requests that come with its cookie."""

    def __init__(self, fields: dict[str, Any] = FIELDS) -> None:
        self.store = CountingStore()
        self.engine = SessionEngine(SECRET, self.store, cookie=CookieOptions(secure=False))
        self.token, session = self.engine.create_session("user-42", copy.deepcopy(fields))
        assert session.handle is not None
        self.handle = session.handle

    def request(self, may_block: bool = True) -> Session:
        return Session(Visit(self.engine.requests, f"session={self.token}", may_block))

    def stored(self) -> Any:
        return self.engine.get_session(self.handle)


def keywords(**fields: Any) -> dict[str, Any]:
    return fields


def ior(target: Any, other: Any) -> Any:
    target |= other
    return target


def match(session: Session) -> Any:
    match session:
        case {"a": 1, **rest}:
            return rest
        case _:
            return "no match"


def changed(change: Any) -> Any:
    """Return what calls *change* on a session and gives what became of the session."""

    def call(session: Session) -> Any:
        answer = change(session)
        return answer, dict(session)

    return call


B = FIELDS["b"]
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
CHANGES: dict[str, tuple[Any, Any]] = {
    "[]=": (lambda s: operator.setitem(s, "z", 0), (None, {**FIELDS, "z": 0})),
    "del": (lambda s: operator.delitem(s, "a"), (None, {"b": B})),
    "pop": (lambda s: s.pop("a"), (1, {"b": B})),
    "pop, default": (lambda s: s.pop("x", 7), (7, FIELDS)),
    "popitem": (lambda s: s.popitem(), (("b", B), {"a": 1})),
    "clear": (lambda s: s.clear(), (None, {})),
    "setdefault, there": (lambda s: s.setdefault("a", 7), (1, FIELDS)),
    "setdefault, absent": (lambda s: s.setdefault("z", 7), (7, {**FIELDS, "z": 7})),
    "setdefault, None": (lambda s: s.setdefault("z"), (None, {**FIELDS, "z": None})),
    "update, dict": (lambda s: s.update({"a": 0}), (None, {**FIELDS, "a": 0})),
    "update, pairs": (lambda s: s.update([("a", 0)]), (None, {**FIELDS, "a": 0})),
    "update, names": (lambda s: s.update({"z": 0}, a=2), (None, {"a": 2, "b": B, "z": 0})),
    "|= of the session": (lambda s: ior(s, {"a": 0}) is s, (True, {**FIELDS, "a": 0})),
    "add": (lambda s: s.add("a", 2), (None, {**FIELDS, "a": 3})),
    "append": (lambda s: s.append("b", 3), (None, {"a": 1, "b": [*B, 3]})),
    "logout": (lambda s: s.logout(), (None, {})),
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


NEED_A_READ = {name: use for name, (use, _) in ALL.items() if name != "logout"}


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
def test_where_waiting_is_needed_every_use_says_so(use: Any) -> None:
    """In asynchronous code on a remote store nothing may block: ``await session.aload()`` comes first."""
    desk = Desk()
    session = desk.request(may_block=False)
    reads = desk.store.reads

    with pytest.raises(SessionNotLoaded, match=r"call `await session.aload\(\)` first"):
        use(session)

    assert desk.store.reads == reads
    assert session.accessed


# -- changing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_saved(name: str) -> None:
    """Whatever method made them."""
    change, (_, after) = CHANGES[name]
    desk = Desk()
    session = desk.request()

    change(session)
    session.save()

    assert desk.stored() == (None if name == "logout" else after)


# Each gives the list under "b", which the application then changes.
HANDED_OUT: dict[str, Any] = {
    "[]": lambda s: s["b"],
    "get": lambda s: s.get("b"),
    "get, default": lambda s: s.get("b", []),
    "setdefault": lambda s: s.setdefault("b", []),
    "values": lambda s: list(s.values())[1],
    "items": lambda s: dict(s.items())["b"],
    "for": lambda s: [value for _, value in s.items()][1],
    "dict": lambda s: dict(s)["b"],
    "{**}": lambda s: {**s}["b"],
    "f(**)": lambda s: keywords(**s)["b"],
    "|": lambda s: (s | {})["b"],
    "reversed |": lambda s: ({} | s)["b"],
    "copy": lambda s: s.copy()["b"],
    "copy.copy": lambda s: copy.copy(s)["b"],
    "match": lambda s: match(s)["b"],
    "itemgetter": operator.itemgetter("b"),
    "pop and put back": lambda s: operator.setitem(s, "b", value := s.pop("b")) or value,
    "popitem and put back": lambda s: operator.setitem(s, "b", value := s.popitem()[1]) or value,
    "put again": lambda s: operator.setitem(s, "b", value := s["b"]) or value,
}


@pytest.mark.parametrize("take", HANDED_OUT.values(), ids=HANDED_OUT.keys())
@pytest.mark.parametrize("deep", [False, True], ids=["shallow", "deep"])
def test_a_change_inside_a_value_is_noticed(take: Any, deep: bool) -> None:
    """By whatever way the application came to hold it."""
    desk = Desk()
    session = desk.request()

    value = take(session)
    (value[1] if deep else value).__setitem__("c" if deep else 0, "changed")
    noticed = session.modified
    session.save()

    assert noticed
    assert desk.stored()["b"] == ([2, {"c": "changed"}] if deep else ["changed", {"c": None}])


@pytest.mark.parametrize("take", ["pop", "popitem"])
def test_a_value_changed_before_it_is_put_back_is_saved(take: str) -> None:
    """Taken out, changed, and put in again under its name: a change like any other."""
    desk = Desk()
    session = desk.request()

    value = session.pop("b") if take == "pop" else session.popitem()[1]
    value.append("changed")
    session["b"] = value
    session.save()

    assert desk.stored()["b"] == [2, {"c": None}, "changed"]


def test_one_is_not_true() -> None:
    """Python's ``1 == True == 1.0`` does not hide a change, inside a value neither."""
    desk = Desk({"n": 1, "l": [0, 1]})
    session = desk.request()

    session["l"][1] = True
    session["n"] = 1.0
    session.save()

    assert [repr(value) for value in desk.stored().values()] == ["1.0", "[0, True]"]


@pytest.mark.parametrize("fields", [{"a": 1, "b": [1]}, {}], ids=["full", "empty"])
def test_equal_values_are_no_change(fields: dict[str, Any]) -> None:
    """Writing what is there already costs no write: the version stays."""
    desk = Desk(fields)
    before = desk.store.scan()
    session = desk.request()

    session.update(copy.deepcopy(fields))
    session["z"] = 1
    del session["z"]
    session.save()

    assert desk.store.scan() == before


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    "put",
    [
        lambda s: operator.setitem(s, "k", {1, 2}),
        lambda s: s.update(k={1, 2}),
        lambda s: s.update({"k": {1, 2}}),
        lambda s: s.setdefault("k", {1, 2}),
        lambda s: ior(s, {"k": {1, 2}}),
    ],
    ids=["[]=", "update, name", "update, dict", "setdefault", "|="],
)
def test_a_value_is_checked_where_it_is_assigned(put: Any) -> None:
    """The traceback points at the line that is wrong, and the session is as it was."""
    session = Desk().request()

    with pytest.raises(PayloadError, match=r"^session\['k'\] is a set, which is not a JSON value; "):
        put(session)

    assert dict(session) == FIELDS


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda s: s["x"], KeyError),
        (lambda s: s.pop("x"), KeyError),
        (lambda s: operator.delitem(s, "x"), KeyError),
        (lambda s: s[[]], TypeError),
        (lambda s: s.get([]), TypeError),
        (lambda s: [] in s, TypeError),
        (hash, TypeError),
        (lambda s: s | 5, TypeError),
        (lambda s: 5 | s, TypeError),
        (lambda s: s < {}, TypeError),
        (lambda s: s.update(5), TypeError),
        (lambda s: s.update({}, {}), TypeError),
        (lambda s: s.pop("x", 1, 2), TypeError),
        (lambda s: (s.clear(), s.popitem()), KeyError),
    ],
)
def test_mistakes_raise_what_a_dict_raises(use: Any, error: type[Exception]) -> None:
    """The same type, as every reader of the language's manual expects."""
    with pytest.raises(error):
        use(dict(FIELDS))

    with pytest.raises(error):
        use(Desk().request())


KEYS = st.sampled_from("abcd")
VALUES = st.sampled_from([0, 1, True, None, "x", [], [1], {"k": [1]}])
OPERATIONS = st.one_of(
    st.tuples(st.just("__setitem__"), KEYS, VALUES),
    st.tuples(st.just("setdefault"), KEYS, VALUES),
    st.tuples(st.just("pop"), KEYS, VALUES),
    st.tuples(st.just("get"), KEYS, VALUES),
    st.tuples(st.just("__delitem__"), KEYS),
    st.tuples(st.just("__getitem__"), KEYS),
    st.tuples(st.just("__contains__"), KEYS),
    st.tuples(st.just("update"), st.dictionaries(KEYS, VALUES, max_size=3)),
    st.tuples(st.just("__ior__"), st.dictionaries(KEYS, VALUES, max_size=3)),
    st.tuples(st.just("popitem")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("copy")),
    st.tuples(st.just("__len__")),
    st.tuples(st.just("save")),
)


@settings(max_examples=150)
@given(st.lists(OPERATIONS, max_size=15))
def test_a_session_behaves_as_a_dict(operations: list[Any]) -> None:
    """Any sequence of calls gives the answers, the order and at last the stored fields of a dict."""
    desk, model = Desk(), copy.deepcopy(FIELDS)
    session = desk.request()

    for name, *given_ in operations:
        answers = []
        for target in (session, model):
            arguments = copy.deepcopy(given_)
            try:
                answer = None if name == "save" and target is model else getattr(target, name)(*arguments)
            except KeyError as error:
                answer = repr(error)
            answers.append("itself" if answer is target else answer)
        assert repr(answers[0]) == repr(answers[1])
        assert list(session.items()) == list(model.items())
    session.save()

    assert {k: repr(v) for k, v in desk.stored().items()} == {k: repr(v) for k, v in model.items()}
