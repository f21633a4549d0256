"""A tutorial's weak secret: told at the start, which it stops; and the two ways out of it."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest

from fluidauth.keys import new_secret
from tests.integrations.tutorials import TUTORIALS, Tutorial

SETTINGS = {
    **dict.fromkeys(("starlette", "fastapi"), "secret_key="),
    **dict.fromkeys(("litestar", "wsgi", "asgi"), "the secret"),
}
COOKIES = {True: "sessionid", False: "session"}
# The visits of ``published`` go the same way in `make check`: here one of each kind, others in `make matrix`.
_HERE = (
    "starlette on hypercorn",
    "flask on gunicorn",
    "wsgi on waitress",
    "asgi on uvicorn",
    "django on uvicorn",
)
MOST = [pytest.param(name, marks=() if name in _HERE else pytest.mark.matrix) for name in TUTORIALS]
OTHERS = [name for name in TUTORIALS if SETTINGS.get(name.split()[0]) != "the secret"]


@pytest.mark.requirement("32")
@pytest.mark.parametrize("name", MOST)
def test_a_weak_secret_stops_the_start(name: str, tmp_path: Path) -> None:
    """Whatever server it is: nobody finds out by a 500 at the first login."""
    code, output = Tutorial(name, tmp_path).run()

    assert code != 0 or name.endswith(("hypercorn", "waitress"))  # which stop with 0
    setting = SETTINGS.get(name.split()[0], "SECRET_KEY")
    assert any(f"{setting} {said}" in output for said in ("has ", "begins ", "is a published example"))
    assert 'python -c "from fluidauth import new_secret; print(new_secret())"' in output
    assert "appears unsupported" not in output
    if name in OTHERS:
        assert "FLUIDAUTH_SECRET" in output
        assert "FLUIDAUTH_DEVELOPMENT=1" in output
    for secret in ("change-me", "09d25e0", "django-insecure", "my-secret", "development key"):
        assert secret not in output.replace(f'"{secret}', "")  # but for the line of a traceback


@pytest.mark.requirement("32")
def test_manage_py_check_tells(tmp_path: Path) -> None:
    """With the name of the setting, and what leaves password hashes and reset links alone."""
    code, output = Tutorial("django's own server", tmp_path).run("app.py", "check")

    assert code == 1
    assert "(fluidauth.E001) SECRET_KEY begins as startproject's keys do" in output
    assert "Give sessions a secret of their own, as FLUIDAUTH = {'secret': …}" in output


@pytest.mark.parametrize("name", [each for each in MOST if each.values[0] in OTHERS])
def test_a_secret_of_our_own_is_the_way_out(name: str, tmp_path: Path) -> None:
    """The framework's stays what it was: nothing else that is signed by it breaks."""
    secret = new_secret()
    tutorial = Tutorial(name, tmp_path, FLUIDAUTH_SECRET=secret)

    with tutorial.serving(), httpx.Client(base_url=tutorial.url, trust_env=False) as browser:
        seen = [browser.get("/").text for _ in range(3)]

    assert seen == ["1", "2", "3"]
    assert secret not in tutorial.output.read_text()


@pytest.mark.requirement("69")
@pytest.mark.parametrize("name", MOST)
def test_development_mode_runs_it_as_published(name: str, tmp_path: Path) -> None:
    """Over plain http, with sessions that survive a restart, for this machine alone."""
    tutorial = Tutorial(name, tmp_path, FLUIDAUTH_DEVELOPMENT="1")

    with httpx.Client(base_url=tutorial.url, trust_env=False) as browser:
        with tutorial.serving():
            seen = [browser.get("/").text for _ in range(2)]
        cookie = browser.cookies[COOKIES[name.startswith("django")]]
        with tutorial.serving():
            seen += [browser.get("/").text]
            rebound = browser.get("/", headers={"Host": f"rebound.example:{tutorial.port}"})
            # Waitress takes X-Forwarded-… away, unless it is told to trust a proxy.
            of_proxies = "Via" if name.endswith("waitress") else "X-Forwarded-For"
            forwarded = browser.get("/", headers={of_proxies: "203.0.113.9"})
            seen += [browser.get("/").text]

    assert seen == ["1", "2", "3", "4"]
    assert cookie.startswith("1.")
    for refused, why in ((rebound, "named another host"), (forwarded, "came through a proxy")):
        assert refused.status_code == 403
        assert "Development mode serves only this machine" in refused.text
        assert why in refused.text
        assert "FLUIDAUTH_SECRET" in refused.text
        assert "set-cookie" not in refused.headers
    kept = tmp_path / "fluidauth.db.development-secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    output = tutorial.output.read_text()
    assert "development mode: only this machine is served" in output or name.startswith("django")
    assert kept.read_text().strip() not in output
