"""What lies in a store under a browser's cookie."""

from __future__ import annotations

import json
from typing import Any

from fluidauth import SessionEngine
from fluidauth.keys import new_secret
from fluidauth.maintenance.census import every_record
from fluidauth.maintenance.rekey import Rekeyed, rekey
from fluidauth.stores import SessionRecord
from tests.support import Browser

OLD, NEW = new_secret(), new_secret()
VALUES: dict[str, Any] = {
    "text": "Zoë",
    "number": 1.5,
    "large": 2**60,
    "yes": True,
    "nothing": None,
    "list": [1, [2, {"three": None}]],
    "map": {"a": {"b": ["c"]}},
    "empty": {},
}


def record_of(browser: Browser) -> SessionRecord:
    """Return the stored record of the browser's session."""
    handle = browser.twin().get(lambda session: session.handle)
    record = browser.engine.requests.store.get(handle)
    assert record is not None
    return record


def content_of(record: SessionRecord) -> list[Any]:
    """Return the body of *record* as stored: plain fields first, encrypted ones last, if any."""
    found = json.loads(record.payload[7:-32])
    return [found[0], found[5] if len(found) > 5 else {}]


def carry_through(engine: SessionEngine, store: Any, batch: int = 3) -> Rekeyed:
    """Rekey the whole store and return the totals."""
    *_, totals = rekey(engine.policy.sealer, store, batch)
    return totals


def stored(store: Any) -> list[SessionRecord]:
    return list(every_record(store.scan))


def reseal_as(other: SessionEngine, engine: SessionEngine, record: SessionRecord) -> SessionRecord:
    """Return the next version of *record* under the key of another application."""
    body = engine.policy.sealer.unseal(record)
    return other.policy.sealer.seal(record._replace(version=record.version + 1), body)
