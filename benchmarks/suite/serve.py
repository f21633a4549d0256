"""The application of one peer for a real server; the environment says which, and where its sessions are."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from .peer import Place
from .peers import all_peers

peer = all_peers()[os.environ["BENCHMARK_PEER"]]
for module in peer.without:
    sys.modules[module] = None  # type: ignore[assignment]  # as if it were not installed
_told = json.loads(os.environ["BENCHMARK_PLACE"])
_apps = peer.build(Place(**(_told | {"folder": Path(_told["folder"])})))
app = getattr(_apps, os.environ["BENCHMARK_KIND"])
