"""A browser for real servers."""

from __future__ import annotations

from typing import Any

import httpx

COOKIE = "__Host-session"


class Visitor:
    """Keeps the session's cookie by hand: httpx sends none that is Secure over plain http."""

    def __init__(self, http: httpx.Client, token: str = "") -> None:
        self.http = http
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={self.token}"} if self.token else {}

    def ask(self, url: str) -> Any:
        """Return what the application answers at *url*; keep the cookie that comes with it."""
        response = self.http.get(url, headers=self.headers).raise_for_status()
        self.keep(response.headers.get("Set-Cookie", ""))
        return response.json()

    def status_of(self, url: str) -> int:
        """Return the status of the answer at *url*; keep nothing of it."""
        return self.http.get(url, headers=self.headers).status_code

    def keep(self, set_cookie: str) -> None:
        """Take over the token in *set_cookie*, if there is one."""
        name, _, rest = set_cookie.partition("=")
        if name == COOKIE:
            self.token = rest.partition(";")[0]
