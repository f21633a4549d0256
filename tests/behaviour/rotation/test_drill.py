"""A rotation under load, with real servers and the real command line, and two leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.drill import WORKERS, Drill


@pytest.mark.check
@pytest.mark.timeout(300)
@pytest.mark.requirement("36")
def test_rotation_under_traffic_fails_nothing_and_a_leak_ends_within_the_interval(tmp_path: Path) -> None:
    """200 clients, eight workers: only those that were announced are logged out, nothing fails or is lost."""
    report = Drill(tmp_path, interval=1.0).run()

    assert report.requests > 500
    assert report.failures == []
    assert report.returned == report.expected == 20
    assert report.announced == report.logged_out == report.silent == 20
    assert report.payloads == 0
    assert report.under_new == report.active == 160
    assert report.lost == 0
    assert report.spared == report.others == 80
    assert report.new_login
    for leak in (report.former, report.signing):
        assert leak.alive == []
        assert leak.before == leak.after == WORKERS  # each was seen to let them in, and then not to
