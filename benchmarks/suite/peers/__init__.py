"""One module for each library: its name, and ``PEERS``, the set-ups of it that are measured."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ..peer import Peer


@cache
def all_peers() -> dict[str, Peer]:
    """Return every peer by its name; the modules import what they measure only in ``build``."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [peer for name in modules for peer in importlib.import_module(f"{__name__}.{name}").PEERS]
    return {peer.name: peer for peer in found}
