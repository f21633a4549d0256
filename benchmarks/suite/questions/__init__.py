"""The questions of a run, one module each: ``TITLE``, ``ask``, ``table`` and ``draw``."""

from __future__ import annotations

from . import behaviour, cost, floors, growth, http, memory, page, throughput

BY_FLEET = {"cost": cost, "throughput": throughput, "page": page}
"""Those that look at all peers at once, while each has its sessions stored."""
ALONE = {"http": http, "behaviour": behaviour, "growth": growth}
FROM_OTHERS = {"floors": floors, "memory": memory}
