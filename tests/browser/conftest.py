"""Chromium and the sites that it visits, one for each module: every test there is of `make check`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.browser import Chromium, browsing
from harness.origins import Certificate, Site, make_certificate, serving_pages


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def secure(certificate: Certificate) -> Iterator[Site]:
    """The sites of others, by https."""
    with serving_pages(certificate) as site:
        yield site


@pytest.fixture(scope="module")
def plain() -> Iterator[Site]:
    """By http."""
    with serving_pages() as site:
        yield site


@pytest.fixture(scope="module")
def chromium(certificate: Certificate, secure: Site, plain: Site) -> Iterator[Chromium]:
    """It ends before the sites, which wait for the connections that it keeps."""
    with browsing(certificate.pin) as chromium:
        yield chromium
