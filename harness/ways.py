"""The ways in which a page makes a browser send a request to somebody else's application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from typing import Literal, NamedTuple
from urllib.parse import quote

from playwright.sync_api import Page

from .browser import Chromium
from .origins import ARRIVAL_TIMEOUT, FOREIGN, NAMES, OURS, Arrived, Site

_SUBMIT = "<script>document.forms[0].submit()</script>"
_FORM = '<form method="post" action="{target}"><input name="a" value="1"></form>' + _SUBMIT
_REDIRECTED = _FORM.replace("{target}", "{redirect}")


def _fetch(options: str, target: str = "{target}") -> str:
    return (
        f'<script>fetch("{target}", {{{{method: "POST", body: "a=1", {options}}}}}).catch(() => 0)</script>'
    )


class Way(NamedTuple):
    """What stands on a page: *html* with ``{target}``, ``{redirect}`` to it and ``{framed}`` html."""

    method: str
    html: str
    framed: str = ""

    def page(self, target: str, redirecting: str) -> str:
        """Return the page that goes for *target*, if need be over the site at *redirecting*."""
        places = {
            "target": target,
            "socket": target.replace("http", "ws", 1),
            "redirect": f"{redirecting}/to?target={quote(target, safe='')}",
        }
        framed = escape(self.framed.format_map(places))
        return f"<!doctype html><title>a page</title>{self.html.format_map({**places, 'framed': framed})}"


WAYS = {
    "form": Way("POST", _FORM),
    "form, no referrer": Way("POST", f'<meta name="referrer" content="no-referrer">{_FORM}'),
    "form in a frame": Way("POST", '<iframe srcdoc="{framed}"></iframe>', _FORM),
    "form in a sandbox": Way(
        "POST", '<iframe sandbox="allow-forms allow-scripts" srcdoc="{framed}"></iframe>', _FORM
    ),
    "form, redirected by evil": Way("POST", _REDIRECTED),
    "fetch, no-cors": Way("POST", _fetch('mode: "no-cors", credentials: "include"')),
    "fetch, cors": Way("POST", _fetch('mode: "cors", credentials: "include"')),
    "fetch, no credentials": Way("POST", _fetch('mode: "no-cors", credentials: "omit"')),
    "fetch, redirected by evil": Way("POST", _fetch('mode: "no-cors", credentials: "include"', "{redirect}")),
    "beacon": Way("POST", '<script>navigator.sendBeacon("{target}", "a=1")</script>'),
    "WebSocket": Way("GET", '<script>new WebSocket("{socket}")</script>'),
    "WebSocket in a sandbox": Way(
        "GET",
        '<iframe sandbox="allow-scripts" srcdoc="{framed}"></iframe>',
        '<script>new WebSocket("{socket}")</script>',
    ),
    "link": Way("GET", '<a href="{target}">x</a><script>document.links[0].click()</script>'),
    "frame": Way("GET", '<iframe src="{target}"></iframe>'),
    "image": Way("GET", '<img src="{target}" alt="">'),
}


SAME_SITE: tuple[Literal["None", "Lax", "Strict"], ...] = ("None", "Lax", "Strict")


def go(page: Page, address: str, arrived: Callable[[], bool]) -> None:
    """Open *address* in *page*, and stay until what it sends has *arrived* where it goes."""
    page.goto(address, wait_until="commit")
    deadline = time.monotonic() + ARRIVAL_TIMEOUT
    while not arrived():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came of {address}")
        page.wait_for_timeout(10)
    page.wait_for_load_state()


def what_is_sent(page: Page, secure: Site, plain: Site) -> Iterator[tuple[str, str, Arrived]]:
    """Go every way from every sender to our origin by https; yield way, sender and what arrived.

    The browser has a cookie of each kind of ``SAME_SITE``, named so.
    """
    ours = secure.origin(NAMES["ours"])
    page.context.add_cookies(
        [{"name": kind, "value": "1", "url": ours, "secure": True, "sameSite": kind} for kind in SAME_SITE]
    )
    senders = {**{name: (secure, host) for name, host in NAMES.items()}, "ours by http": (plain, OURS)}
    for name, way in WAYS.items():
        for sender, (site, host) in senders.items():
            path = f"/act?{quote(f'{name} {sender}')}"
            site.pages["/page"] = way.page(ours + path, secure.origin(FOREIGN))
            go(page, f"{site.origin(host)}/page", partial(secure.met, path))
            yield name, sender, next(each for each in secure.arrived if each.path == path)


def table_of_sent(chromium: Chromium, secure: Site, plain: Site) -> str:
    """Return what Chromium sends as lines: way, sender, method, Sec-Fetch-*, Origin and cookies."""

    def measure(page: Page) -> list[str]:
        return [
            " | ".join([f"{way:25}", f"{sender:12}", *_columns(sent, secure, plain)]).rstrip()
            for way, sender, sent in what_is_sent(page, secure, plain)
        ]

    return "\n".join(chromium.drive(measure)) + "\n"


def _columns(sent: Arrived, secure: Site, plain: Site) -> Iterator[str]:
    names = {secure.origin(host): name for name, host in NAMES.items()} | {plain.origin(OURS): "ours by http"}
    get = sent.headers.get
    yield f"{sent.method:4}"
    fetch = [get(f"sec-fetch-{what}", "–") for what in ("site", "mode", "dest")]
    yield f"{fetch[0]:11} {fetch[1]:8} {fetch[2]:8}"
    origin = get("origin", "–")
    yield f"{names.get(origin, origin):12}"
    yield " ".join(cookie.partition("=")[0] for cookie in get("cookie", "").split("; "))
