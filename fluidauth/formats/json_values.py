"""What a session field may hold: JSON values, checked, encoded and decoded.

Only JSON, so that a stolen key or a rewritten row never runs code (CVE-2013-7489).
It is strict JSON, so that what is read equals what was written.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from json import encoder as _json_encoder
from typing import Any, NoReturn

from fluidauth.errors import PayloadError

MAX_DEPTH = 32
CONTAINERS = (list, dict, tuple)
_LONGEST_STEP = 100  # characters of a key that an error shows
_SHORT_INTEGER = 10_000  # bits, far fewer digits than Python converts


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


# Its callers in JSONDecoder skip white space. Our own text has none.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]  # of every decoder since Python 2.6, not in the stubs


def _encoder() -> Callable[[Any], str]:
    make = getattr(_json_encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without the C accelerator
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    # JSONEncoder.encode builds this object again for each value: 2.3 µs instead of 1.5.
    text = _json_encoder.encode_basestring
    chunks = make(None, _refuse, text, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _encoder()


def encode(value: Any) -> str:
    """Return *value*, checked before, as compact JSON text.

    Raise :class:`PayloadError` for a value that passed the check but has no text, such as
    an integer of more digits than Python prints.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"session fields cannot be stored as JSON: {error}") from error


def decode(text: str) -> Any:
    """Return the value of *text*; raise ``ValueError`` if it is not strict JSON."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("no value") from None
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if end != len(text):
        raise ValueError("more text follows the value")
    return value


class _Refused(Exception):
    """What is wrong with a value. On its way up it collects the path of the value."""

    def __init__(self, says: str, of: str = "") -> None:
        self.says = says
        self.of = of  # which part of that place
        self.steps: list[object] = []

    def at(self, path: str) -> PayloadError:
        """Return the error for a value that was given as *path*, cut to a readable length."""
        for step in reversed(self.steps):
            path += f"[{repr(step)[:_LONGEST_STEP]}]"
        return PayloadError(f"{self.of}{path}{self.says}")


def check(value: object, path: str, *, depth: int = 1) -> None:
    """Raise :class:`PayloadError`, naming *path*, unless *value* is a JSON value.

    *depth* is its level. Tuples count as arrays, and subclasses of JSON's types as those
    types. The limit on depth also ends a cycle. This takes linear time, because the path of
    a value is only found out when it is refused (CWE-407).
    """
    try:
        _check(value, depth)
    except _Refused as refused:
        raise refused.at(path) from None


def check_key(key: object, path: str) -> None:
    """Raise :class:`PayloadError` unless *key* is text that UTF-8 can hold."""
    try:
        _check_key(key)
    except _Refused as refused:
        raise refused.at(path) from None


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise _Refused(f" is {value!r}, which JSON cannot express")
    elif isinstance(value, int):
        _check_digits(value)
    elif value is None:
        return
    elif depth >= MAX_DEPTH:
        raise _Refused(f" is nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, dict):
        _check_fields(value, depth)
    elif isinstance(value, list | tuple):
        _check_items(value, depth)
    else:
        raise _Refused(
            f" is a {_name_of(type(value))}, which is not a JSON value; "
            "store text, numbers, booleans, None, lists and dicts of them"
        )


def _name_of(kind: type) -> str:
    """Return the name of *kind*, with its module if Python has a type of that name, as ``numpy.bool``."""
    is_ambiguous = hasattr(builtins, kind.__name__) and kind.__module__ != "builtins"
    return f"{kind.__module__}.{kind.__name__}" if is_ambiguous else kind.__name__


def _check_fields(value: dict[Any, Any], depth: int) -> None:
    key: Any = None
    for key, item in value.items():
        _check_key(key)
        try:
            _check(item, depth + 1)
        except _Refused as refused:
            refused.steps.append(key)
            raise


def _check_items(value: list[Any] | tuple[Any, ...], depth: int) -> None:
    for position, item in enumerate(value):
        try:
            _check(item, depth + 1)
        except _Refused as refused:
            refused.steps.append(position)
            raise


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise _Refused(f" has the key {key!r}; keys must be text, as in JSON")
    _check_text(key, "a key of ")


def _check_digits(number: int) -> None:
    if number.bit_length() > _SHORT_INTEGER:
        try:
            int.__repr__(number)
        except ValueError:
            raise _Refused(" has more digits than Python converts") from None


def _check_text(text: str, of: str = "") -> None:
    if str.isascii(text):  # by the class: a subclass may answer otherwise
        return
    try:
        str.encode(text, "utf-8")
    except UnicodeEncodeError:
        raise _Refused(" has a lone surrogate, which UTF-8 cannot hold", of) from None


def is_same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal. In Python, 1 and True are equal, too."""
    if isinstance(one, CONTAINERS):
        return one is other or (
            isinstance(other, CONTAINERS) and one == other and encode(one) == encode(other)
        )
    return type(one) is type(other) and bool(one == other)
