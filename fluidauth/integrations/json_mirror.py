"""Fields as a framework holds them, next to a session of plain JSON: what differs is copied over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluidauth.formats.json_values import is_same
from fluidauth.session import Session


def put(session: Session, name: str, value: Any) -> None:
    """Set the field *name* to the JSON *value*, unless it is that already."""
    if not dict.__contains__(session, name) or not is_same(value, dict.__getitem__(session, name)):
        session[name] = value


def remove(session: Session, name: str) -> None:
    """Remove the field *name*, if it is there."""
    if dict.__contains__(session, name):
        del session[name]


def refresh(
    fields: dict[str, Any],
    session: dict[str, Any],
    to_json: Callable[[str, Any], Any],
    to_python: Callable[[Any], Any],
) -> None:
    """Bring *fields* to those of *session*. A value that did not change stays the same object."""
    held = dict.keys(fields)
    for name in held - dict.keys(session):
        dict.__delitem__(fields, name)
    for name, value in dict.items(session):
        if name not in held or not is_same(to_json(name, dict.__getitem__(fields, name)), value):
            dict.__setitem__(fields, name, to_python(value))


def rebased(fields: dict[str, Any], before: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """Return *newer* with the changes that led from *before* to *fields*; all of it is JSON."""
    kept = {name: value for name, value in newer.items() if name in fields or name not in before}
    for name, value in fields.items():
        if name not in before or not is_same(value, before[name]):
            kept[name] = value
    return kept
