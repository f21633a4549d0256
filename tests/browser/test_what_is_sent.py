"""What a real browser says of where a request comes from; the rules for foreign requests build on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from harness import browser
from harness.browser import Chromium, browsing
from harness.origins import Certificate, Site
from harness.ways import table_of_sent

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("chromium")]
EXPECTED = Path(__file__).with_name("sent.txt")


def test_chromium_sends_what_we_know_of_it(chromium: Chromium, secure: Site, plain: Site) -> None:
    """Every way of sending, from every sender: Sec-Fetch-*, Origin, and which cookies come along.

    `python -m tools.sent` prints the table anew.
    """
    assert table_of_sent(chromium, secure, plain) == EXPECTED.read_text("utf-8")


def test_hosts_of_one_site_are_siblings() -> None:
    """ "test" is no public suffix to Chromium: otherwise shop.test were two sites."""
    lines = [line.split(" | ") for line in EXPECTED.read_text("utf-8").splitlines()]

    sites = {line[1].strip(): line[3].split()[0] for line in lines if line[0].strip() == "form"}

    assert sites == {
        "ours": "same-origin",
        "sibling": "same-site",
        "foreign": "cross-site",
        "ours by http": "cross-site",
    }


def test_an_event_loop_runs_beside_it(chromium: Chromium) -> None:
    """Tests of asynchronous code run in the same process while a browser is open."""

    async def answer() -> int:
        return 42

    chromium.drive(lambda page: page.goto("about:blank"))

    assert asyncio.run(answer()) == 42


def test_no_process_of_it_stays(certificate: Certificate) -> None:
    """Neither Chromium nor what drives it."""
    before = {each.pid for each in psutil.Process().children(recursive=True)}

    with browsing(certificate.pin):
        during = {each.pid for each in psutil.Process().children(recursive=True)}
    after = {each.pid for each in psutil.Process().children(recursive=True)}

    assert len(during - before) > 3
    assert after <= before


def test_a_machine_without_chromium_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(FileNotFoundError, match="there is none: apt-get install chromium"):
        browser.program()
