"""What names a session where packages keep Django's keys: 40 characters, the most that Django allows.

A public key is a handle in shorter form. It stays the same as long as the session has its id. It opens
nothing by itself, except where :mod:`.serving` says so.
"""

from __future__ import annotations

from base64 import b85decode, b85encode

_LENGTH = 40  # what 256 bits need in an alphabet of 85, the smallest for which 40 are enough
# These characters of the usual alphabet need escapes in cookies, HTML or SQL, so others replace them.
_OURS = str.maketrans(";<>&`", ".:[],")
_USUAL = str.maketrans(".:[],", ";<>&`")


def key_of(handle: str) -> str:
    """Return the public key of the session named *handle*, as ``session_key`` has it."""
    return b85encode(bytes.fromhex(handle)).decode("ascii").translate(_OURS)


def handle_of(key: str) -> str:
    """Return the handle of the session with the public *key*: what events and ``get_engine()`` call it.

    Raise ``ValueError`` if it is no such key; a token is not one.
    """
    handle = handle_in(key)
    if handle is None:
        raise ValueError("this is no public key of a session")  # it may be a secret, so it is not shown
    return handle


def handle_in(text: str | None) -> str | None:
    """Return the handle if *text* has the form of a public key."""
    if text is None or len(text) != _LENGTH or not text.isascii():
        return None
    try:
        handle = b85decode(text.translate(_USUAL)).hex()
    except ValueError:
        return None
    return handle if key_of(handle) == text else None
