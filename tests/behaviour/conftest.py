"""A keyring file that an engine follows, and the clock by which it looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluidauth.keys import file as keyfile
from fluidauth.testing import FakeClock
from tests.keys.documents import FIRST, NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A keyring file with one signing key."""
    path = tmp_path / "keyring.json"
    keyfile.change(path, lambda empty: empty.added(FIRST, NOW))
    return path


@pytest.fixture
def ring_clock() -> FakeClock:
    return FakeClock(0)
