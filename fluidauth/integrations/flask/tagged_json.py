"""Flask's tagged JSON: Python's types as plain JSON, and back."""

from __future__ import annotations

from typing import Any

from flask.json.tag import TaggedJSONSerializer, TagUUID
from flask.sessions import session_json_serializer

from fluidauth.errors import PayloadError
from fluidauth.formats.json_values import CONTAINERS, check, decode, encode
from fluidauth.rules.policy import UserOf

_is_uuid = TagUUID(session_json_serializer).check
_PLAIN = (str, int, float, bool, type(None))


def tagged(serializer: TaggedJSONSerializer, name: str, value: Any) -> Any:
    """Return *value* as JSON that Flask can turn back; raise :class:`PayloadError` if it cannot."""
    if type(value) in _PLAIN:
        check(value, f"session[{name!r}]")
        return value
    try:
        return decode(serializer.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"session[{name!r}] cannot be stored: {error}") from error


def of_flasks_types(serializer: TaggedJSONSerializer, user_of: UserOf) -> UserOf:
    """Return *user_of* for fields with values of Flask's types. A UUID is passed to it as text."""

    def ask(fields: dict[str, Any]) -> str | None:
        values = {name: untagged(serializer, value) for name, value in fields.items()}
        return user_of({n: str(v) if _is_uuid(v) else v for n, v in values.items()})

    return ask


def untagged(serializer: TaggedJSONSerializer, value: Any) -> Any:
    """Return what the JSON *value* means to Flask."""
    if not isinstance(value, CONTAINERS):
        return value
    try:
        return serializer.loads(encode(value))
    except (TypeError, ValueError, AttributeError):
        return value  # it looks like a tag, and another framework wrote it
