"""Flask's own tests, with our sessions."""

from __future__ import annotations

import pytest

from tests.integrations.upstream import run_suite

NOT_APPLICABLE = {
    "test_session_using_samesite_attribute": "where nothing is set, SameSite=Lax is said all the same",
    "test_session_cookie_setting": "a permanent session's cookie is sent again when its expiry moved by a"
    " twentieth, not with each response, where a slow one could bring an old cookie back",
    "test_session_refresh_vary": "so a page that does not use the session says nothing of it",
}


@pytest.mark.check
@pytest.mark.timeout(600)
def test_flasks_own_tests_pass() -> None:
    """The whole suite, but for what fails without us as well."""
    found = run_suite("flask", "flask_adapter", "tests")
    broken = run_suite("flask", "flask_adapter", "tests", canary=True)
    theirs = run_suite("flask", "untouched", "tests")

    assert found.failed - theirs.failed <= NOT_APPLICABLE.keys(), found.report
    assert len(found.passed - found.failed) > 300
    sessions = {name for name in found.passed if "session" in name or "flash" in name}
    assert len(sessions & broken.failed) >= 8, "the canary was not felt"
