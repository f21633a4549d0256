"""A place for a keyring file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluidauth.keys import file as keyfile
from tests.keys.documents import FIRST, NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A keyring file with one signing key."""
    path = tmp_path / "keyring.json"
    keyfile.change(path, lambda empty: empty.added(FIRST, NOW))
    return path
