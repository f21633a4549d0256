"""What a framework's own tests need from pytest, whoever's sessions they are run with."""

from __future__ import annotations

import _pytest.monkeypatch

# Flask's tests of its command line ask for a name that pytest 9 spells in capitals.
if not hasattr(_pytest.monkeypatch, "notset"):
    _pytest.monkeypatch.notset = _pytest.monkeypatch.NOTSET  # type: ignore[attr-defined]  # as said
