"""What names a session opens none."""

from __future__ import annotations

import pytest

from fluidauth import SessionEngine
from tests.handlers import current_user, fields, log_in, put
from tests.support import Browser


def test_handle_names_the_session_and_opens_nothing(browser: Browser, engine: SessionEngine) -> None:
    """A handle is stable, is not part of the cookie, and is not accepted as one."""
    browser.request(log_in)
    handle = browser.get(lambda session: session.handle)

    thief = browser.with_cookie(handle)

    assert len(handle) == 64
    assert handle not in (browser.cookie or "")
    assert thief.get(current_user) is None


@pytest.mark.requirement("59")
def test_repr_shows_names_only(browser: Browser) -> None:
    """A session in a log or traceback shows neither values nor its id."""
    browser.request(lambda session: session.login("user-42", {"mail": "secret@example"}))
    shown = browser.get(lambda session: (repr(session), session.keys(), repr(session)))

    assert shown[0] == "<Session, not loaded>"
    assert shown[2] == "<Session 'user-42' fields=['mail']>"


@pytest.mark.requirement("2")
def test_an_id_without_a_record_is_never_adopted(browser: Browser, engine: SessionEngine) -> None:
    """A genuine cookie whose session is gone gets a fresh id at the next write."""
    browser.request(put(a=1))
    planted = browser.twin()
    engine.revoke_all()

    planted.request(put(b=2))

    assert planted.cookie is not None
    assert planted.cookie[9:41] != (browser.cookie or "")[9:41]
    assert planted.get(fields) == {"b": 2}
