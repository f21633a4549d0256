"""Where sessions may be kept by a server that a test starts: one empty place of each kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .postgres import empty_postgres
from .redis import empty_redis, shared_cluster

PLACES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: str(folder / "sessions.db"),
    "postgres": lambda _: empty_postgres(),
    "redis": lambda _: empty_redis(),
    "cluster": lambda _: shared_cluster().url,
}
