"""An engine without a store on a disk."""

from __future__ import annotations

import pytest

from fluidauth import SessionEngine
from fluidauth.keys import new_secret
from tests.support import FlakyStore


@pytest.fixture
def engine() -> SessionEngine:
    return SessionEngine(secret=new_secret(), store=FlakyStore())
