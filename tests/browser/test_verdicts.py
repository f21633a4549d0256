"""What real servers that block requests of other origins answer a real browser, however it is made to ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.browser import Chromium
from harness.origins import Certificate, Site
from harness.verdicts import CASES, COLUMNS, Attackers, Verdict, guarded, measure
from tools import verdicts

# One process measures for all tests of the module.
pytestmark = [pytest.mark.check, pytest.mark.xdist_group("verdicts")]
Found = dict[tuple[str, str], Verdict]
SOCKETS = [name for name in CASES if name.startswith("WebSocket")]
CHANGES = [name for name, case in CASES.items() if case.way.method == "POST" and not case.signs_in] + SOCKETS
"""The cases that change something under the cookie of somebody who is signed in."""


@pytest.fixture(scope="module")
def attackers(secure: Site, plain: Site) -> Attackers:
    return Attackers(secure, plain)


@pytest.fixture(scope="module")
def over_asgi(
    chromium: Chromium,
    attackers: Attackers,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Found]:
    """Every case under uvicorn."""
    with guarded("asgi", tmp_path_factory.mktemp("asgi"), certificate) as application:
        yield measure(chromium, application, attackers, CASES)


@pytest.fixture(scope="module")
def over_wsgi(
    chromium: Chromium,
    attackers: Attackers,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Found]:
    """Every case but WebSockets, which WSGI has not, under gunicorn."""
    cases = {name: case for name, case in CASES.items() if name not in SOCKETS}
    with guarded("wsgi", tmp_path_factory.mktemp("wsgi"), certificate) as application:
        yield measure(chromium, application, attackers, cases)


def test_the_page_says_what_was_measured(over_asgi: Found) -> None:
    """docs/cross-origin.md has the table; `python -m tools.verdicts` writes it."""
    assert verdicts.PART.text() == verdicts.table_of(over_asgi)


def test_both_protocols_have_the_same_verdicts(over_asgi: Found, over_wsgi: Found) -> None:
    assert over_wsgi == {place: over_asgi[place] for place in over_wsgi}


def test_no_page_of_another_origin_changes_anything_under_the_cookie(
    over_asgi: Found, over_wsgi: Found
) -> None:
    """Such a request gets 403 and the application never sees it, which it would if no cookie came."""
    found = [
        verdict
        for table in (over_asgi, over_wsgi)
        for (name, column), verdict in table.items()
        if name in CHANGES and column != "ours"
    ]

    assert {verdict[1:] for verdict in found if verdict.came} == {(403, False)}
    assert {verdict.reached for verdict in found if not verdict.came} == {True}
    assert sum(verdict.came for verdict in found) > 50


def test_the_application_itself_is_served(over_asgi: Found) -> None:
    """Each of its requests is, but for those that a sandbox or another site made of them."""
    refused = {
        name for (name, column), verdict in over_asgi.items() if column == "ours" and verdict.status == 403
    }

    assert refused == {
        "form in a sandbox",
        "form, redirected by evil",
        "fetch, redirected by evil",
        "WebSocket in a sandbox",
    }


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "ours"])
def test_no_page_of_another_origin_signs_anybody_in_unseen(
    over_asgi: Found, over_wsgi: Found, column: str
) -> None:
    """Not by a form, a script, a frame or an image: only by a page that the whole window shows."""
    for table in (over_asgi, over_wsgi):
        statuses = {name: table[name, column].status for name, case in CASES.items() if case.signs_in}

        assert statuses.pop("login callback: link") == 200
        assert set(statuses.values()) == {403}
        assert len(statuses) == 5


def test_a_lax_cookie_stays_at_home(over_asgi: Found) -> None:
    """A cookie without SameSite=None comes along with a link of another site, and with nothing else."""
    came = {
        name for (name, column), verdict in over_asgi.items() if column == "foreign, Lax" and verdict.came
    }

    assert came == {"link"}
