"""The pictures of the documents, drawn by code: `python -m tools.pictures` draws them all anew."""

from __future__ import annotations

from collections.abc import Callable

from harness import ROOT

from . import cookie_life, key_states, packages, request_way, who_wins

FOLDER = ROOT / "docs" / "pictures"
PICTURES: dict[str, Callable[[], str]] = {
    "architecture": packages.draw,
    "life-of-a-cookie": cookie_life.draw,
    "request": request_way.draw,
    "states-of-a-key": key_states.draw,
    "who-wins": who_wins.draw,
}
"""What draws each file of the folder."""
