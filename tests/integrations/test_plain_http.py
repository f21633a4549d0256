"""A Secure cookie over plain http is told of in each framework, on a real server, once for each host."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fluidauth.keys import new_secret
from tests.integrations.tutorials import Tutorial

CHROMIUM = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36"
)
SECURE = {
    'secret_key="change-me-in-production"': 'secret_key="-", https_only=True',
    "secret_key=SECRET_KEY": "secret_key=SECRET_KEY, https_only=True",
    'SECRET_KEY="dev"': 'SECRET_KEY="dev", SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME="__Host-s"',
    'SECRET_KEY="development key"': 'SECRET_KEY="dev", SESSION_COOKIE_SECURE=True',
    'SessionEngine("my-secret")': "SessionEngine()",
    "    DEBUG=True,": "    DEBUG=True, SESSION_COOKIE_SECURE=True,",
}
NAMES = [
    "starlette on uvicorn",
    "fastapi on uvicorn",
    "flask run",
    "quart on uvicorn",
    "litestar on uvicorn",
    "django's own server",
    "django on uvicorn",
    "wsgi on waitress",
    "asgi on uvicorn",
]


@pytest.mark.requirement("48")
@pytest.mark.parametrize("name", NAMES)
def test_a_secure_cookie_over_plain_http_is_told(name: str, tmp_path: Path) -> None:
    """Not where the browser keeps it, nor behind a proxy that speaks https; nothing else changes for that."""
    tutorial = Tutorial(name, tmp_path, FLUIDAUTH_SECRET=new_secret())
    source = (tmp_path / "app.py").read_text()
    for plain, secure in SECURE.items():
        source = source.replace(plain, secure)
    (tmp_path / "app.py").write_text(source)
    here, there = f"localhost:{tutorial.port}", "rebound.example"

    with tutorial.serving(), httpx.Client(base_url=tutorial.url, trust_env=False) as client:
        before = tutorial.output.read_text().count(
            "Secure cookie that went to"
        )  # of the question whether it runs
        lines = [
            client.get("/", headers=headers).headers["set-cookie"]
            for headers in (
                {"Host": here, "User-Agent": CHROMIUM},
                {"Host": there, "X-Forwarded-Proto": "https"},
                {"Host": here, "User-Agent": "Safari"},
                {"Host": here, "User-Agent": "Safari"},
                {"Host": there, "User-Agent": CHROMIUM},
                {"Host": there, "User-Agent": CHROMIUM},
            )
        ]

    output = tutorial.output.read_text()
    assert before == 1
    assert output.count("Secure cookie that went to") == 3
    assert output.count(f"this client drops the Secure cookie that went to '{here}' over plain http") == 1
    assert output.count(f"browsers drop the Secure cookie that went to '{there}' over plain http") == 1
    assert all("secure" in line.lower() for line in lines)
