"""Which changes of a session are noticed and saved: those that a dict would show."""

from __future__ import annotations

import copy
import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidauth import PayloadError
from tests.session.desk import CHANGES, FIELDS, Desk, ior, keywords, match


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_saved(name: str) -> None:
    """Whatever method made them."""
    change, (_, after) = CHANGES[name]
    desk = Desk()
    session = desk.request()

    change(session)
    session.save()

    assert desk.stored() == (None if name in ("logout", "clear") else after)  # somebody is signed in


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


def test_value_that_is_equal_but_of_another_type_is_a_change() -> None:
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
    st.tuples(st.just("copy")),
    st.tuples(st.just("__len__")),
    st.tuples(st.just("save")),
)


@settings(max_examples=150)
@given(st.lists(OPERATIONS, max_size=15))
def test_a_session_behaves_as_a_dict(operations: list[Any]) -> None:
    """Any sequence of calls gives the answers, the order and at last the stored fields of a dict.

    Of calls but ``clear()``, which ends the session of who is signed in.
    """
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
