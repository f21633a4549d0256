"""What is kept of what was used lately."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fluidauth.recent import Recent

LIMIT = 1_000
SIZES = st.integers(0, 400)


@given(st.lists(st.tuples(st.integers(0, 40), SIZES), max_size=200))
def test_bytes_never_exceed_the_limit(puts: list[tuple[int, int]]) -> None:
    recent = Recent[str, int, tuple[int, int]]("label", LIMIT)
    for key, size in puts:
        recent.put(key, (key, size), size)

        for other in range(40):
            assert recent.find(other) in (None, recent.younger.get(other), recent.older.get(other))
        assert sum(size for kept in (recent.older, recent.younger) for _, size in kept.values()) <= LIMIT


def test_what_was_put_lately_is_there_and_what_was_put_long_ago_is_not() -> None:
    recent = Recent[str, int, str]("label", LIMIT)
    for number in range(200):
        recent.put(number, "value", 10)

    assert [number for number in range(200) if recent.find(number)] == list(range(100, 200))


def test_key_that_came_is_noted_under_every_label() -> None:
    recent = Recent[str, str, str]("first", LIMIT)

    assert [recent.comes_often("key") for _ in range(4)] == [False, False, True, True]
    assert recent.emptied("second").comes_often("key")


def test_values_go_with_their_label_or_not() -> None:
    recent = Recent[str, str, str]("first", LIMIT)
    recent.put("key", "value", 10)

    assert recent.good_for("second").find("key") == "value"
    assert recent.emptied("second").find("key") is None
