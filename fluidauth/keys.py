"""Keys: one signs, the others still verify.

A secret is never used itself. HKDF-SHA256 (RFC 5869) extracts from it once, when it
is loaded, and expands one subkey for each purpose; the secret is then dropped. A key
is named by its ``kid``, derived too, so that a token picks exactly one key: no other
is ever tried, whatever the number of keys.

Policy. The *signing* key signs new cookies and seals rows; keep it in service for at
most a year. A *verifying* key only opens what it signed or sealed earlier; drop it
when the longest lifetime in use has passed since the last process stopped signing with it.
A leak of one secret lets its holder sign cookies, but each still needs the random id
of a live session, and with the database read encrypted fields; answer it by putting a
new secret first and taking the leaked one out, which ends the sessions under it.
"""

from __future__ import annotations

import base64
import os
import re
import secrets as _secrets
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .errors import ConfigError
from .records import is_utf8, length_prefixed

SECRET_PREFIX = "fask1_"
MIN_SECRET_LENGTH = 32
NEW_SECRET_COMMAND = 'python -c "from fluidauth.keys import new_secret; print(new_secret())"'

_SALT = b"fluidauth/1/extract"
_LABEL = b"fluidauth/1/"
_OWN_FORM = re.compile(r"fask1_[A-Za-z0-9_-]{43}")
_HEX = re.compile(r"[0-9a-fA-F]+")
# Words that stand in published examples; chance puts none into a random secret.
_PLACEHOLDERS = (
    "changeme",
    "change_me",
    "change-me",
    "insecure",
    "placeholder",
    "password",
    "your_secret",
    "your-secret",
    "secret_key",
    "secret-key",
    "secretkey",
    "thisismys",
    "thisisase",
    "your_own_random",
    "test_non_dev",
)
# Keys printed in the documentation of Flask and FastAPI: well-formed and known to all.
_PUBLISHED = (
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
)


class Key:
    """The subkeys of one secret. Shows nothing but its ``kid``, and cannot be copied out."""

    __slots__ = ("_cookie_mac", "_field_root", "_record_mac", "kid")

    def __init__(self, secret: str | bytes) -> None:
        try:
            root = _extract(_as_bytes(secret))
        finally:
            del secret  # a traceback that prints locals must not show it
        self.kid = base64.b32encode(_expand(root, b"kid"))[:6].decode("ascii").lower()
        self._cookie_mac = hmac.HMAC(_expand(root, b"cookie-mac"), hashes.SHA256())
        self._record_mac = hmac.HMAC(_expand(root, b"record-mac"), hashes.SHA256())
        self._field_root = _expand(root, b"field-encryption")
        # A token up to its last dot is always 41 bytes: its length is part of the template.
        self._cookie_mac.update((41).to_bytes(4, "big"))

    def cookie_mac(self, text: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 of *text*, the 41 bytes before a token's MAC."""
        mac = self._cookie_mac.copy()
        mac.update(text)
        return mac.finalize()

    def record_mac(self, message: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA-256 that seals a record."""
        mac = self._record_mac.copy()
        mac.update(message)
        return mac.finalize()

    def field_key(self, handle: str) -> bytes:
        """Return the 32-byte AES key for the encrypted fields of one session."""
        return HKDFExpand(
            hashes.SHA256(), 32, length_prefixed(_LABEL + b"session", handle.encode("ascii"))
        ).derive(self._field_root)

    def __repr__(self) -> str:
        return f"<Key {self.kid}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Key cannot be pickled or copied: it holds secrets")


class Keyring:
    """One signing key and any number of verifying ones. Immutable.

    Raise :class:`ConfigError` if two secrets derive one ``kid`` (or are the same).
    """

    __slots__ = ("_by_kid", "signing")

    def __init__(self, signing: Key, verifying: Iterable[Key] = ()) -> None:
        self.signing = signing
        self._by_kid = {signing.kid: signing}
        for key in verifying:
            if key.kid in self._by_kid:
                raise ConfigError(f"two secrets have the key id {key.kid!r}; remove the one given twice")
            self._by_kid[key.kid] = key

    @classmethod
    def from_secrets(cls, secrets: str | bytes | Iterable[str | bytes]) -> Keyring:
        """Build a keyring from one secret or several, newest first: the first one signs.

        A single ``str`` is one secret, never a list of characters. Raise
        :class:`ConfigError` for a weak secret.
        """
        try:
            given = _listed(secrets)
            problem = _problem(given)
            keys = [] if problem else [Key(secret) for secret in given]
        finally:
            del secrets
            given = []  # a traceback that prints locals must not show them
        if problem:
            raise ConfigError(problem)
        return cls(keys[0], keys[1:])

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Keyring:
        """Build a keyring from ``FLUIDAUTH_SECRET`` or ``FLUIDAUTH_SECRETS``.

        The second holds several, newest first, parted by white space. Raise
        :class:`ConfigError` if neither is set, or both are.
        """
        one, several = environ.get("FLUIDAUTH_SECRET"), environ.get("FLUIDAUTH_SECRETS")
        given = [one] if one else several.split() if several else []
        both = bool(one and several)
        del environ, one, several  # a traceback that prints locals must not show them
        if both:
            given.clear()
            raise ConfigError("set FLUIDAUTH_SECRET or FLUIDAUTH_SECRETS, not both")
        if not given:
            raise ConfigError(
                f"no secret: pass secret=, or set FLUIDAUTH_SECRET to one made by\n    {NEW_SECRET_COMMAND}"
            )
        try:
            return cls.from_secrets(given)
        finally:
            given.clear()

    def find(self, kid: str) -> Key | None:
        """Return the key named *kid*, or None."""
        return self._by_kid.get(kid)

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of all keys, the signing one first."""
        return tuple(self._by_kid)

    def __repr__(self) -> str:
        return f"<Keyring signing={self.signing.kid} verifying={list(self.kids[1:])}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Keyring cannot be pickled or copied: it holds secrets")


def new_secret() -> str:
    """Return a new secret: ``fask1_`` (so that scanners find a leak) and 256 random bits."""
    return SECRET_PREFIX + _secrets.token_urlsafe(32)


def _listed(secrets: Any) -> list[Any]:
    """Return *secrets* as a list; text is one secret, never a collection of characters."""
    return (
        list(secrets) if isinstance(secrets, Iterable) and not isinstance(secrets, str | bytes) else [secrets]
    )


def _problem(secrets: list[str | bytes]) -> str | None:
    if not secrets:
        return "secret= is an empty list; give at least one secret"
    for position, secret in enumerate(secrets):
        weakness = _weakness(secret)
        if weakness:
            which = "the secret" if len(secrets) == 1 else f"secret number {position + 1}"
            return f"{which} {weakness}; make a good one with\n    {NEW_SECRET_COMMAND}"
    return None


def _weakness(secret: object) -> str | None:
    """Say what is wrong with *secret*, without showing it; None if nothing is."""
    if not isinstance(secret, str | bytes):
        return f"is of type {type(secret).__name__}, not text or bytes"
    if isinstance(secret, str) and not is_utf8(secret):
        return "has characters that UTF-8 cannot hold"
    text = secret.strip() if isinstance(secret, str) else secret.decode("latin-1")
    if len(text) < MIN_SECRET_LENGTH:
        return f"has {len(text)} characters; at least {MIN_SECRET_LENGTH} are needed"
    if text.startswith(SECRET_PREFIX) and not _OWN_FORM.fullmatch(text):
        return f"starts with {SECRET_PREFIX} but is not whole; it may have been cut in copying"
    if text in _PUBLISHED or any(word in text.lower() for word in _PLACEHOLDERS):
        return "is a published example or a placeholder"
    if text in (text + text)[1:-1]:
        return "repeats one pattern"
    # A random secret of 64 hex digits misses one of the sixteen in 23 % of cases, so
    # the bound on distinct characters is lower where the alphabet has only sixteen.
    if len(set(text)) < (8 if _HEX.fullmatch(text) else 16):
        return f"has only {len(set(text))} distinct characters"
    return None


def _as_bytes(secret: str | bytes) -> bytes:
    # White space around text is an artefact of files and shells: without it a secret
    # has the same kid wherever it is read from.
    return secret.strip().encode("utf-8") if isinstance(secret, str) else secret


def _extract(secret: bytes) -> bytes:
    mac = hmac.HMAC(_SALT, hashes.SHA256())  # RFC 5869, section 2.2
    mac.update(secret)
    return mac.finalize()


def _expand(root: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, _LABEL + purpose).derive(root)
