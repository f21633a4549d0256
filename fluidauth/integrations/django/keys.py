"""What names a session where Django's keys are kept: 40 characters, the most that Django allows.

A public key is a handle, written shorter. It is stable as long as the session has its id, and opens
nothing by itself: :mod:`.serving` says where it does.
"""

from __future__ import annotations

from base64 import b85decode, b85encode

_LENGTH = 40  # what 256 bits need of an alphabet of 85, and none that is smaller
# Of the usual alphabet those go that cookies, HTML or SQL want escaped.
_OURS = str.maketrans(";<>&`", ".:[],")
_USUAL = str.maketrans(".:[],", ";<>&`")


def key_of(handle: str) -> str:
    """Return the public key of the session named *handle*, as ``session_key`` has it."""
    return b85encode(bytes.fromhex(handle)).decode("ascii").translate(_OURS)


def handle_of(key: str) -> str:
    """Return the handle of the session with the public *key*: what events and ``get_engine()`` call it.

    Raise ``ValueError`` for what is no such key; a token is none.
    """
    handle = handle_in(key)
    if handle is None:
        raise ValueError("this is no public key of a session")  # and maybe a secret: it is not shown
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
