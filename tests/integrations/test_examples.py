"""The example of each framework, as a real server: sign in, a protected page, a change, sign out."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from harness.servers.processes import EXAMPLES, serving


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_is_for(name: str, tmp_path: Path) -> None:
    """FLUIDAUTH_DEVELOPMENT=1 is all that it needs."""
    with (
        serving(name, tmp_path / "sessions.db", environ={"FLUIDAUTH_DEVELOPMENT": "1"}) as url,
        httpx.Client(base_url=url, trust_env=False, follow_redirects=True) as ada,
        httpx.Client(base_url=url, trust_env=False) as thief,
    ):
        assert ada.get("/").json() == {"hello": None}
        assert ada.get("/notes").status_code == 401
        assert ada.post("/sign-in", data={"name": "ada"}).json() == {"user": "ada", "notes": []}
        ada.post("/notes", data={"note": "tea"})
        assert ada.get("/notes").json() == {"user": "ada", "notes": ["tea"]}
        assert ada.get("/").json() == {"hello": "ada"}

        thief.cookies.update(ada.cookies)
        assert thief.get("/sign-out").status_code in (404, 405)  # a link or image signs nobody out
        assert thief.get("/notes").status_code == 200
        assert ada.post("/sign-out").status_code == 401  # where it leads to
        assert thief.get("/notes").status_code == 401
