"""What several peers keep their sessions in: how it is filled in one go, and how it is tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .peer import Place

LIFETIME = 14 * 24 * 3600  # seconds
BATCH = 1000
WAL = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")
WAL_TOLD = "WAL and synchronous=NORMAL"


def write_to_redis(url: str, rows: Mapping[Any, bytes], lifetime: int | None = LIFETIME) -> None:
    """Store *rows* by their keys, for *lifetime* seconds or for ever."""
    import redis

    with redis.Redis.from_url(url) as client:
        items = list(rows.items())
        for start in range(0, len(items), BATCH):
            pipe = client.pipeline(transaction=False)
            for name, row in items[start : start + BATCH]:
                pipe.set(name, row, ex=lifetime)
            pipe.execute()


def sqlalchemy_url(place: Place) -> str:
    """Return where SQLAlchemy finds the database of *place*: PostgreSQL if it has one, else a file."""
    if place.postgres:
        return place.postgres.replace("postgresql:", "postgresql+psycopg:", 1)
    return f"sqlite:///{place.folder}/sessions.db"


def tune_sqlalchemy(engine: Any) -> None:
    """Give each connection of *engine* the settings that :data:`WAL_TOLD` names."""
    from sqlalchemy import event

    def on_connect(connection: Any, _: Any) -> None:
        for statement in WAL:
            connection.execute(statement)

    event.listen(engine, "connect", on_connect)
