"""Fields through both protocols: what is put into a session is there in the next request."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from fluidauth import PayloadError, Session
from fluidauth.testing import FakeClock
from tests.handlers import fields, log_in, put
from tests.support import (
    Browser,
    state_of,
)


def version(session: Session) -> int | None:
    """How often the stored session was written."""
    record = state_of(session).record
    return record.version if record else None


# -- fields -----------------------------------------------------------------------------


def test_fields_survive_to_the_next_request(browser: Browser) -> None:
    """What one request sets, the next one reads."""
    browser.request(put(cart=[1, 2], name="Zoë"))

    assert browser.get(fields) == {"cart": [1, 2], "name": "Zoë"}


def test_a_change_deep_inside_a_value_is_saved(browser: Browser) -> None:
    """Nobody has to say that a nested value changed."""
    browser.request(put(cart={"items": [1]}))

    browser.request(lambda session: session["cart"]["items"].append(2))

    assert browser.get(fields) == {"cart": {"items": [1, 2]}}


def test_removed_fields_are_gone(browser: Browser) -> None:
    """del, pop and popitem are changes like any other."""
    browser.request(put(a=1, b=2, c=3, d=4))

    def remove(session: Session) -> None:
        del session["a"]
        session.pop("b")
        session.popitem()

    browser.request(remove)

    assert browser.get(fields) == {"c": 3}


def test_add_and_append_start_from_nothing(browser: Browser) -> None:
    """add counts from 0 and append fills an empty list."""

    def handler(session: Session) -> None:
        session.add("visits")
        session.add("total", 2.5)
        session.append("log", "x")
        session.append("log", "y")

    browser.request(handler)

    assert browser.get(fields) == {"visits": 1, "total": 2.5, "log": ["x", "y"]}


@pytest.mark.parametrize(
    "misuse",
    [
        lambda session: session.add("text"),
        lambda session: session.add("flag"),
        lambda session: session.add("n", "1"),
        lambda session: session.append("n", 1),
    ],
)
def test_add_and_append_refuse_other_types(browser: Browser, misuse: Any) -> None:
    """Adding to text or appending to a number is a mistake of the application."""
    browser.request(put(text="a", n=1, flag=True))

    response = browser.request(misuse, catch=True)

    assert isinstance(response.error, TypeError)


@pytest.mark.requirement("43")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: "x"}, "session['k'] has the key 1; keys must be text, as in JSON"),
        ([{"when": timedelta(1)}], "session['k'][0]['when'] is a timedelta, which is not a JSON value"),
        (b"x", "session['k'] is a bytes, which is not a JSON value"),
        ({1, 2}, "session['k'] is a set, which is not a JSON value"),
        (float("nan"), "session['k'] is nan, which JSON cannot express"),
        ("\ud800", "session['k'] has a lone surrogate, which UTF-8 cannot hold"),
    ],
)
def test_value_that_is_not_json_is_refused_with_its_path(browser: Browser, value: Any, message: str) -> None:
    """The error is raised at the assignment and names the value."""

    def handler(session: Session) -> None:
        with pytest.raises(PayloadError) as caught:
            session["k"] = value
        assert str(caught.value).startswith(message)

    browser.request(handler)

    assert browser.cookie is None


@pytest.mark.requirement("43")
def test_a_nested_value_that_is_not_json_fails_the_save(browser: Browser) -> None:
    """What was smuggled into a list is found at the save, and nothing is stored."""
    browser.request(put(log=[]))

    response = browser.request(lambda session: session["log"].append({1}), catch=True)

    assert isinstance(response.error, PayloadError)
    assert str(response.error).startswith("session['log'][0] is a set")
    assert browser.get(fields) == {"log": []}


@pytest.mark.requirement("43")
def test_a_payload_over_its_limit_is_refused(browser: Browser) -> None:
    """64 KiB is the limit; the session stays as it was."""
    browser.request(put(small=1))

    response = browser.request(put(large="x" * 65_536), catch=True)

    assert isinstance(response.error, PayloadError)
    assert browser.get(fields) == {"small": 1}


@pytest.mark.requirement("20")
def test_an_anonymous_visit_stores_nothing(browser: Browser) -> None:
    """Reading an empty session, or logging nobody out, makes neither row nor cookie."""
    responses = [browser.request(fields), browser.request(Session.logout), browser.request(Session.clear)]

    assert [response.set_cookies for response in responses] == [[], [], []]
    assert browser.engine.revoke_all() == 0


def test_an_equal_value_is_no_change(browser: Browser, clock: FakeClock) -> None:
    """Writing what is there already stores nothing new."""
    browser.request(put(theme="dark", cart=[1]))
    before = browser.get(version)

    browser.request(put(theme="dark", cart=[1]))

    assert browser.get(version) == before


def test_emptying_an_anonymous_session_ends_it(browser: Browser) -> None:
    """An anonymous visitor whose last field goes keeps no cookie and no row."""
    browser.request(put(draft="x"))

    response = browser.request(Session.clear)

    assert len(response.set_cookies) == 1
    assert browser.cookie is None
    assert browser.engine.revoke_all() == 0


def test_removing_each_field_of_a_signed_in_session_keeps_it(browser: Browser) -> None:
    """That is no logout, as ``clear()`` is."""
    browser.request(log_in)

    browser.request(lambda session: [session.pop(name) for name in list(session)])

    assert browser.get(lambda session: (session.user_id, dict(session))) == ("user-42", {})


def test_a_session_is_a_dict_to_json(browser: Browser) -> None:
    """json.dumps of a session not yet touched shows its fields."""
    browser.request(put(a=1))

    assert browser.get(json.dumps) == '{"a": 1}'


def test_save_and_reload_work_within_a_handler(browser: Browser) -> None:
    """save() stores at once; reload() drops what was not saved."""

    def handler(session: Session) -> Any:
        session["a"] = 1
        session.save()
        stored = browser.engine.get_session(str(session.handle)) if browser.protocol == "wsgi" else None
        session["a"] = 2
        session.reload()
        return session["a"], dict(stored or {"a": 1})

    async def ahandler(session: Session) -> Any:
        await session.aload()
        session["a"] = 1
        await session.asave()
        stored = await browser.engine.aget_session(str(session.handle))
        session["a"] = 2
        await session.areload()
        return session["a"], dict(stored or {})

    value = browser.get(handler if browser.protocol == "wsgi" else ahandler)

    assert value == (1, {"a": 1})
    assert browser.get(fields) == {"a": 1}


# -- what reviewers of this library tried -----------------------------------------------------


@pytest.mark.parametrize(
    "value", [(1, [2]), type("Mine", (dict,), {})(a=[2]), type("Mine", (list,), {})([[2]])]
)
def test_changes_inside_any_container_are_noticed(browser: Browser, value: Any) -> None:
    """A tuple or a subclass holds values that can change, too."""

    def handler(session: Session) -> None:
        session["v"] = value
        session.mark_modified()

    browser.request(handler, later=lambda session: _innermost(session["v"]).append(3))

    assert _innermost(browser.get(fields)["v"]) == [2, 3]
    _innermost(value).remove(3)


def _innermost(value: Any) -> Any:
    return value["a"] if isinstance(value, dict) else value[-1]
