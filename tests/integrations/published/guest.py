"""Who visits a published application: a browser that follows links and fills in forms."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple

import httpx

TIMEOUT = 60  # seconds


class Form(NamedTuple):
    method: str
    action: str
    fields: dict[str, str]


class Forms(HTMLParser):
    """Finds the forms of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("method", "get").upper(), given.get("action", ""), {}))
        elif tag == "input" and self.found and "name" in given and given.get("type") != "checkbox":
            self.found[-1].fields[given["name"]] = given.get("value", "")


class Guest:
    """A browser at *url*; the cookie *name* is the session's. It keeps no Secure cookie over plain http."""

    def __init__(self, url: str, name: str, cookie: str | None = None) -> None:
        self.name = name
        self.http = httpx.Client(base_url=url, trust_env=False, follow_redirects=True, timeout=TIMEOUT)
        self.sent: str | None = None
        """The session's cookie that the last form was sent with."""
        if cookie is not None:
            self.http.cookies.set(name, cookie, domain=httpx.URL(url).host)

    @property
    def cookie(self) -> str:
        return self.http.cookies[self.name]

    def get(self, path: str) -> httpx.Response:
        """Return the page at *path*, which must not be the server's error."""
        return _answered(self.http.get(path))

    def submit(self, page: httpx.Response, action: str = "", **fields: str) -> httpx.Response:
        """Fill *fields* into the form of *page* that has them and leads to *action*; return what follows."""
        for form in Forms(page.text).found:
            if fields.keys() <= form.fields.keys() and action in form.action:
                return self.send(page, form, **fields)
        raise AssertionError(f"no such form: {page.text}")

    def send(self, page: httpx.Response, form: Form, **fields: str) -> httpx.Response:
        """Send *form* of *page* with *fields*, too, and as browsers do the page's address."""
        where = page.url.join(form.action)
        self.sent = self.http.cookies.get(self.name)
        content, referer = {**form.fields, **fields}, {"Referer": str(page.url)}
        return _answered(self.http.request(form.method, where, data=content, headers=referer))


def _answered(response: httpx.Response) -> httpx.Response:
    assert response.status_code < 500, response.text
    return response
