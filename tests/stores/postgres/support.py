"""PostgreSQL stores for tests, blocking and asynchronous."""

from __future__ import annotations

from typing import Any

from fluidauth.testing import make_record

PATIENCE = 30  # seconds
LIMIT = 1.0  # seconds, of the stores here


def record(number: int, version: int = 1, **more: Any) -> Any:
    return make_record(
        **{"handle": f"{number:064x}", "version": version, "user_id": f"user-{number}", **more}
    )
