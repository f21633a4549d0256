"""The token of a client that is no browser: a session id that we signed, for ``Authorization: Bearer``.

``fact1_`` kid(6) ``.`` id(32) ``.`` mac(24), 70 ASCII characters. By the prefix, people and scanners of
repositories know what they found. The MAC has its own key. So no cookie can be made from such a token, and no
such token from a cookie.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from fluidauth.keys import Key, Keyring

from .tokens import MAC_BYTES, Refusal

PREFIX = "fact1_"
_LENGTH = 70
_HEAD = 45  # up to the last dot
_SCHEME = re.compile(r"bearer +", re.IGNORECASE)  # RFC 9110, section 11.4


def sign(key: Key, session_id: str) -> str:
    """Return the token for *session_id*."""
    head = f"{PREFIX}{key.kid}.{session_id}"
    return f"{head}.{_mac(key, head)}"


def verify(keyring: Keyring, token: str) -> tuple[str, str] | Refusal:
    """Return ``(session_id, kid)`` if *token* is genuine, or else why it is not. No text makes it raise."""
    if (
        len(token) != _LENGTH
        or not token.isascii()
        or not token.startswith(PREFIX)
        or token[12] != "."
        or token[_HEAD] != "."
    ):
        return "malformed"
    kid = token[6:12]
    key = keyring.find(kid)
    if key is None:
        return "revoked_key" if kid in keyring.revoked else "unknown_key"
    if not hmac.compare_digest(_mac(key, token[:_HEAD]), token[_HEAD + 1 :]):
        return "bad_mac"
    return token[13:_HEAD], kid


def bearer_in(headers: str | Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the token for clients in *headers*: the text of ``Authorization``, or a scope's headers.

    Return None if there is none of ours: another system's token, such as a JWT, is left to the application.
    Of several headers none counts, because proxies disagree which one does. Then return the empty token,
    which opens nothing.
    """
    if isinstance(headers, str):
        return _ours(headers)
    found = [value.decode("latin-1") for name, value in headers if name.lower() == b"authorization"]
    ours = [token for token in map(_ours, found) if token is not None]
    return None if not ours else ours[0] if len(found) == 1 else ""


def _ours(credentials: str) -> str | None:
    scheme = _SCHEME.match(credentials)
    token = credentials[scheme.end() :].strip(" \t") if scheme else ""
    return token if token.startswith(PREFIX) else None


def _mac(key: Key, head: str) -> str:
    return urlsafe_b64encode(key.client_mac(head.encode("ascii"))[:MAC_BYTES]).decode("ascii")
