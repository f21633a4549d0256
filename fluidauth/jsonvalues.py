"""What a session field may hold: JSON values, checked, encoded and decoded.

JSON alone, so that a stolen key or a rewritten row never runs code
(CVE-2013-7489), and strict JSON, so that what is read equals what was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder as _json_encoder
from typing import Any, NoReturn

from .errors import PayloadError

MAX_DEPTH = 32
CONTAINERS = (list, dict, tuple)
_SHORT_INTEGER = 10_000  # bits, which is well under the digits that Python converts


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


# Its callers in JSONDecoder skip white space, which our own text has not.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]  # of every decoder since Python 2.6, not in the stubs


def _encoder() -> Callable[[Any], str]:
    make = getattr(_json_encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without the C accelerator
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    # JSONEncoder.encode builds this object anew for each value: 2.3 µs against 1.5.
    text = _json_encoder.encode_basestring
    chunks = make(None, _refuse, text, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _encoder()


def encode(value: Any) -> str:
    """Return *value*, checked before, as compact JSON text.

    Raise :class:`PayloadError` for what slipped past the check, such as an integer
    of more digits than Python prints.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"session fields cannot be stored as JSON: {error}") from error


def decode(text: str) -> Any:
    """Return the value that *text* spells; raise ``ValueError`` if it is not strict JSON."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("no value") from None
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if end != len(text):
        raise ValueError("more text follows the value")
    return value


def check(value: object, path: str, depth: int = 1) -> None:
    """Raise :class:`PayloadError`, naming *path*, unless *value* is a JSON value.

    Tuples count as arrays, and subclasses of JSON's types as those types. The limit
    on depth also ends a cycle.
    """
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise PayloadError(f"{path} is {value!r}, which JSON cannot express")
    elif isinstance(value, int):
        _check_digits(value, path)
    elif value is None:
        return
    elif depth >= MAX_DEPTH:
        raise PayloadError(f"{path[:200]} is nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_key(key, path)
            check(item, f"{path}[{key!r}]", depth + 1)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            check(item, f"{path}[{position}]", depth + 1)
    else:
        raise PayloadError(
            f"{path} is a {type(value).__name__}, which is not a JSON value; "
            "store text, numbers, booleans, None, lists and dicts of them"
        )


def check_key(key: object, path: str) -> None:
    """Raise :class:`PayloadError` unless *key* is text that UTF-8 can hold."""
    if not isinstance(key, str):
        raise PayloadError(f"{path} has the key {key!r}; keys must be text, as in JSON")
    _check_text(key, f"a key of {path}")


def _check_digits(number: int, path: str) -> None:
    if number.bit_length() > _SHORT_INTEGER:
        try:
            int.__repr__(number)
        except ValueError:
            raise PayloadError(f"{path} has more digits than Python converts") from None


def _check_text(text: str, path: str) -> None:
    if str.isascii(text):  # by the class: a subclass may answer otherwise
        return
    try:
        str.encode(text, "utf-8")
    except UnicodeEncodeError:
        raise PayloadError(f"{path} has a lone surrogate, which UTF-8 cannot hold") from None
