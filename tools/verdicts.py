"""Write what becomes of requests of other origins into docs/cross-origin.md: `python -m tools.verdicts`.

Each cell is what Chromium sent, and a real server answered, when it was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import ROOT
from harness.browser import browsing
from harness.origins import make_certificate, serving_pages
from harness.verdicts import CASES, COLUMNS, Attackers, Verdict, guarded, measure
from tools.made import MadePart

PART = MadePart(
    ROOT / "docs" / "cross-origin.md",
    "<!-- verdicts -->\n",
    "<!-- end of verdicts -->\n",
)
HEADINGS = {
    "ours": "the application itself",
    "sibling": "another host of the site",
    "foreign": "another site",
    "ours by http": "our host, by plain http",
    "foreign, Lax": "another site, cookie `SameSite=Lax`",
}
SAYS = {
    "form": "form (POST)",
    "form, no referrer": "form of a page that hides its referrer",
    "form in a frame": "form in a frame",
    "form in a sandbox": "form in a sandboxed frame",
    "form, redirected by evil": "form that another site redirects (307)",
    "fetch, no-cors": "`fetch()` with credentials, `no-cors`",
    "fetch, cors": "`fetch()` with credentials, `cors`",
    "fetch, no credentials": "`fetch()` without credentials",
    "fetch, redirected by evil": "`fetch()` that another site redirects (307)",
    "beacon": "`sendBeacon()`",
    "WebSocket": "WebSocket",
    "WebSocket in a sandbox": "WebSocket of a sandboxed frame",
    "link": "link (GET)",
    "frame": "frame (GET)",
    "image": "image (GET)",
    "login: form": "login by a form (POST)",
    "login: form in a frame": "login by a form in a frame",
    "login: fetch": "login by `fetch()`",
    "login callback: link": "login by a callback (GET)",
    "login callback: frame": "login by a callback in a frame",
    "login callback: image": "login by a callback as an image",
}


INTRODUCTION = """
Measured with Chromium, on uvicorn and gunicorn, under `cross_origin="block"`. The cookie has `SameSite=None`,
except in the last column. *Refused* is the answer 403. *No cookie* means that the browser kept the cookie
back, so that the request is served as that of a stranger.
"""


def table_of(found: Mapping[tuple[str, str], Verdict]) -> str:
    """Return the table of what was measured, and how to read it."""
    return "\n".join([INTRODUCTION, *_lines(found), "", ""])


def _lines(found: Mapping[tuple[str, str], Verdict]) -> Iterator[str]:
    yield f"| by, from a page of | {' | '.join(HEADINGS[column] for column in COLUMNS)} |"
    yield "|--" * (len(COLUMNS) + 1) + "|"
    for name, case in CASES.items():
        cells = [_cell(found[name, column], case.signs_in) for column in COLUMNS]
        yield f"| {SAYS[name]} | {' | '.join(cells)} |"


def _cell(verdict: Verdict, signs_in: bool) -> str:
    if verdict.status == 403:
        return "**refused**"
    return "served" if verdict.came or signs_in else "no cookie"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        with (
            serving_pages(certificate) as secure,
            serving_pages() as plain,
            browsing(certificate.pin) as chromium,
            guarded("asgi", Path(folder), certificate) as application,
        ):
            PART.put(table_of(measure(chromium, application, Attackers(secure, plain), CASES)))


if __name__ == "__main__":
    main()
