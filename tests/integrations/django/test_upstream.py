"""Django's own tests, with our sessions."""

from __future__ import annotations

import pytest

from tests.integrations.upstream import run_django_suite

NOT_APPLICABLE = {
    "sessions_tests.tests.SessionMiddlewareTests.test_empty_session_saved": "it reads Django's own table",
    "auth_tests.test_middleware.TestLoginRequiredMiddleware.test_protected_view_logged_in_performance": (
        "it counts the SQL query that reads Django's own table"
    ),
    **{
        f"sessions_tests.tests.{case}.{name}": "it is about Django's own table"
        for case in (
            "CustomDatabaseSessionTests",
            "DatabaseSessionTests",
            "DatabaseSessionWithTimeZoneTests",
        )
        for name in (
            "test_aclear_expired",
            "test_clearsessions_command",
            "test_extra_session_field",
            "test_session_get_decoded",
            "test_session_str",
            "test_sessionmanager_save",
        )
    },
}


# Those with requests; the others are of hashes, commands and models, and take four times as long.
WITH_SESSIONS = " ".join(
    f"auth_tests.test_{name}"
    for name in (
        *("auth_backends", "basic", "context_processors", "decorators", "handlers", "login", "middleware"),
        *("mixins", "remote_user", "signals", "templates", "views"),
    )
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("labels", "least", "middleware"),
    [
        pytest.param("sessions_tests", 600, "Django's", marks=pytest.mark.check),
        pytest.param("sessions_tests", 600, "ours", marks=pytest.mark.check),
        pytest.param("messages_tests", 100, "Django's", marks=pytest.mark.check),
        pytest.param("messages_tests", 100, "ours", marks=pytest.mark.check),
        pytest.param("auth_tests", 800, "Django's", marks=pytest.mark.matrix),
        pytest.param("auth_tests", 800, "ours", marks=pytest.mark.matrix),
        pytest.param(WITH_SESSIONS, 400, "ours", marks=pytest.mark.check, id="auth_tests with sessions-ours"),
    ],
)
def test_djangos_own_tests_pass(labels: str, least: int, middleware: str) -> None:
    """All of ``sessions_tests``, ``auth_tests`` and ``messages_tests`` that speak of behaviour."""
    found = run_django_suite(*labels.split(), middleware=middleware)

    assert found.failed <= NOT_APPLICABLE.keys(), found.report[-8_000:]
    assert len(found.passed) >= least, found.report[-8_000:]


@pytest.mark.check
@pytest.mark.timeout(600)
def test_djangos_own_tests_would_fail_without_sessions() -> None:
    broken = run_django_suite("sessions_tests", "messages_tests", canary=True)

    assert len(broken.failed) > 60, "the canary was not felt"
