"""What may be kept in a session of Flask or Quart."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import flask
import pytest
from flask.json.tag import JSONTag, TaggedJSONSerializer
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fluidauth import PayloadError
from fluidauth.testing import memory_engine
from tests.integrations.flask.sites import FlaskSite

# -- what may be kept ----------------------------------------------------------------------------


VALUES = {
    "tuple": (1, "a", (2,)),
    "bytes": b"\x00\xff",
    "uuid": uuid.UUID(int=7),
    "time": datetime.datetime(2026, 5, 1, 12, 30, tzinfo=datetime.UTC),
    "markup": Markup("<b>bold</b>"),
    "tagged": {" t": "looks like a tag"},
    "deep": {"list": [(1, b"2"), {"id": uuid.UUID(int=8)}]},
    "plain": [1, 2.5, None, True, "text"],
}


@pytest.mark.parametrize("name", VALUES)
def test_flasks_types_survive(site: FlaskSite, name: str) -> None:
    site.ask(lambda session: session.update({name: VALUES[name]}))

    assert site.ask(lambda session: session[name]) == VALUES[name]
    assert type(site.ask(lambda session: session[name])) is type(VALUES[name])


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary()
    | st.uuids()
    | st.text().map(Markup)
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.just(" t"), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1), _TREES, max_size=4), st.data())
def test_session_keeps_the_values_that_flask_keeps(fields: dict[str, Any], data: st.DataObject) -> None:
    """Any values; and a change made deep inside of them, of which nobody tells."""
    site = FlaskSite(memory_engine())
    expected = {name: _as_flask_keeps_it(value) for name, value in fields.items()}
    site.ask(lambda session: session.update(fields))
    assert site.ask(dict) == expected

    lists = [name for name, value in expected.items() if isinstance(value, list)]
    if lists:
        name, item = data.draw(st.sampled_from(lists)), data.draw(_TREES)
        site.ask(lambda session: session[name].append(item))
        expected[name] = _as_flask_keeps_it([*expected[name], item])
    assert site.ask(dict) == expected


def _as_flask_keeps_it(value: Any) -> Any:
    serializer = flask.sessions.session_json_serializer
    return serializer.loads(serializer.dumps(value))


class Fraction(tuple[int, int]):
    pass


class TagFraction(JSONTag):
    key = " fraction"

    def check(self, value: Any) -> bool:
        return isinstance(value, Fraction)

    def to_json(self, value: Any) -> Any:
        return list(value)

    def to_python(self, value: Any) -> Any:
        return Fraction(value)


def test_an_application_may_teach_it_types(site: FlaskSite) -> None:
    """By a tag, as Flask's documentation has it."""
    site.interface.serializer = flask.json.tag.TaggedJSONSerializer()
    site.interface.serializer.register(TagFraction, index=0)

    site.ask(lambda session: session.update(half=Fraction((1, 2))))

    assert type(site.ask(lambda session: session["half"])) is Fraction


def test_value_that_cannot_be_kept_is_refused_where_it_is_set(site: FlaskSite) -> None:
    def refused(session: Any) -> str:
        with pytest.raises(PayloadError) as refusal:
            session["connection"] = object()
        return str(refusal.value)

    assert "session['connection']" in site.ask(refused)


def test_dict_that_looks_like_a_tag_is_left_alone() -> None:
    """Another framework on the same store may keep it."""
    engine = memory_engine()
    site = FlaskSite(engine)
    token, _ = engine.create_session(None, {"id": {" u": "no uuid"}})
    site.client.set_cookie("session", token)

    assert site.ask(dict) == {"id": {" u": "no uuid"}}


# -- promises ------------------------------------------------------------------------------------


def test_nested_value_that_cannot_be_kept_fails_the_request(site: FlaskSite) -> None:
    """And changes nothing; a logout stands even then."""

    def spoil(session: Any) -> None:
        session["log"].append(object())

    def log_out_and_spoil(session: Any) -> None:
        session.logout()
        session["log"] = log = []
        log.append(object())

    site.ask(lambda session: session.login("ada", {"log": []}))
    assert site.get(spoil).status_code == 500
    assert site.ask(lambda session: (session.user_id, dict(session))) == ("ada", {"log": []})
    assert site.get(log_out_and_spoil).status_code == 500
    assert site.ask(lambda session: session.user_id) is None


# -- responses that were never saved ----------------------------------------------------------------


class Counting(TaggedJSONSerializer):
    """Counts the characters that it writes."""

    written = 0

    def dumps(self, value: Any) -> str:
        text = super().dumps(value)
        self.written += len(text)
        return text


@pytest.mark.requirement("43")
def test_appending_in_a_loop_takes_linear_time(site: FlaskSite) -> None:
    """So does adding beside long lists, and asking who is signed in."""

    def written(count: int) -> int:
        site.interface.serializer = serializer = Counting()

        def grow(session: Any) -> None:
            session["long"] = list(range(count))
            for number in range(count):
                session.append("items", {"n": number})
                session.add("n")
                assert session.user_id is None

        site.ask(grow)
        site.ask(lambda session: session.clear())
        return serializer.written

    assert written(400) < 6 * written(100)
