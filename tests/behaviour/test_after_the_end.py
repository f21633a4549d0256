"""A session whose request has ended: it may be read, and a change is refused, as nothing would save it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest

from fluidauth import Session, SessionClosed, SessionEngine
from tests.integrations.flask.sites import FlaskSite, QuartSite
from tests.support import Browser

OVER = r"the request of this session has ended; use engine\.edit"


def kept(browser: Browser) -> Session:
    """Return the session of a request of *browser* that has ended."""
    sessions: list[Session] = []

    def sign_in(session: Session) -> None:
        session.login("ada", {"log": []})
        sessions.append(session)

    browser.request(sign_in)
    return sessions[0]


@pytest.mark.requirement("68")
def test_change_after_the_response_is_refused_and_not_lost_in_silence(browser: Browser) -> None:
    """As in a thread, or a task, that outlives it; the handle leads to the session all the same."""
    session = kept(browser)

    changes: list[Callable[[], object]] = [
        lambda: session.update(late=1),
        lambda: session.add("n"),
        lambda: session.append("log", 1),
        lambda: session.login("bob"),
    ]
    for change in changes:
        with pytest.raises(SessionClosed):
            change()
    with pytest.raises(SessionClosed, match=OVER):
        session["late"] = 1
    with browser.engine.edit(session.handle or "") as edited:
        edited["late"] = 2

    assert session.user_id == "ada"
    assert browser.get(dict) == {"log": [], "late": 2}


@pytest.mark.requirement("4")
def test_logout_after_the_response_stands(browser: Browser) -> None:
    kept(browser).logout()

    assert browser.get(lambda session: session.user_id) is None


@pytest.fixture(params=[FlaskSite, QuartSite])
def site(request: pytest.FixtureRequest, engine: SessionEngine) -> Iterator[Any]:
    yield request.param(engine)


@pytest.mark.requirement("68")
def test_change_after_a_response_of_flask_is_refused(site: Any) -> None:
    sessions: list[Any] = []

    def keep(session: Any) -> None:
        session["a"] = 1
        sessions.append(session._get_current_object())

    site.get(keep)

    with pytest.raises(SessionClosed, match=OVER):
        sessions[0]["late"] = 1
    assert site.ask(dict) == {"a": 1}


@pytest.mark.requirement("68")
def test_stream_of_flask_that_outlives_its_context_may_change_the_session(engine: SessionEngine) -> None:
    site = FlaskSite(engine)

    def begin(session: Any) -> Any:
        inner = session._get_current_object()
        inner["a"] = 1

        def body() -> Iterator[str]:
            yield "begun"
            inner["late"] = 1

        return flask.Response(body()), 200

    with site.get(begin) as response:
        assert response.get_data(as_text=True) == "begun"

    assert site.ask(dict) == {"a": 1, "late": 1}
