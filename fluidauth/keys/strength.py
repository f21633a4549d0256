"""Secrets that are strong enough to be keys, and how one is made."""

from __future__ import annotations

import re
import secrets as _secrets
from collections.abc import Sequence

from fluidauth.records import is_utf8

SECRET_PREFIX = "fask1_"
MIN_SECRET_LENGTH = 32
MAX_SECRET_LENGTH = 1024
NEW_SECRET_COMMAND = 'python -c "from fluidauth import new_secret; print(new_secret())"'
_OWN_FORM = re.compile(r"fask1_[A-Za-z0-9_-]{43}")
_HEX = re.compile(r"[0-9a-fA-F]+")
# What a shell would have replaced; files of settings (.env, compose, systemd) hand it over word for word.
_SUBSTITUTION = re.compile(
    r"""[\s'"]*\\?\$?(?:\$\(.*\)|\$\{.*\}|`.*`|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|\{\{.*\}\}|<.*>)[\s'"]*""",
    re.DOTALL,
)
_COMMAND = re.compile(r"(?:python[\d.]*|openssl|pwgen|uuidgen|head|cat|echo|fluidauth) .*", re.DOTALL)
_KEPT_ELSEWHERE = re.compile(
    r"(?:/(?:run|etc|var|home|opt|mnt|secrets)/|(?:op|file|vault|arn|aws|gcp)[:/]).*", re.DOTALL
)
# A long path has characters enough for a secret.
_PLACE = re.compile(
    r"(?:sqlite|postgres(?:ql)?|rediss?|valkeys?|unix|memory)(?:\+\w+)?://.*|.*\.(?:db|sqlite3?)", re.DOTALL
)


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
    "replace_me",
    "replace-me",
    "replaceme",
    "supersecret",
    "super-secret",
    "super_secret",
    "for-production",
    "random string",
    "test_non_dev",
)


# Keys printed in the documentation of Flask, FastAPI, Flask-Security and of JSON Web Tokens: known to all.
_PUBLISHED = (
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw",
    "146585145368132386173505678016728509634",
    "a-string-secret-at-least-256-bits-long",
)


def new_secret() -> str:
    """Return a new secret: ``fask1_`` (so that scanners find a leak) and 256 random bits."""
    return SECRET_PREFIX + _secrets.token_urlsafe(32)


def problem_with(
    secrets: Sequence[str | bytes], names: Sequence[str] = (), advice: str = "make a good one with"
) -> str | None:
    """Say which of *secrets* is weak and why, without showing it; None if none is.

    *names*: what each stands under in the settings. *advice*: what the command that makes one follows.
    """
    if not secrets:
        return "secret= is an empty list; give at least one secret"
    for position, secret in enumerate(secrets):
        weakness = _weakness(secret)
        if weakness:
            unnamed = "the secret" if len(secrets) == 1 else f"secret number {position + 1}"
            which = names[position] if names else unnamed
            return f"{which} {weakness}; {advice}\n    {NEW_SECRET_COMMAND}"
    return None


def is_substitution(text: str) -> bool:
    """Return whether *text* is what a shell was to put something in the place of, and did not."""
    return _SUBSTITUTION.fullmatch(text) is not None


def names_store(text: str) -> bool:
    """Return whether *text* is where sessions are kept, given where the secret belongs."""
    return _PLACE.fullmatch(text) is not None


def _weakness(secret: object) -> str | None:
    """Say what is wrong with *secret*, without showing it; None if nothing is."""
    if not isinstance(secret, str | bytes):
        return f"is of type {type(secret).__name__}, not text or bytes"
    if isinstance(secret, str) and not is_utf8(secret):
        return "has characters that UTF-8 cannot hold"
    text = secret.strip() if isinstance(secret, str) else secret.decode("latin-1")
    misplaced = _misplaced(text)
    if misplaced:
        return misplaced
    if len(text) < MIN_SECRET_LENGTH:
        return f"has {len(text)} characters; at least {MIN_SECRET_LENGTH} are needed"
    if len(text) > MAX_SECRET_LENGTH:
        return f"has {len(text)} characters; more than {MAX_SECRET_LENGTH} are no secret"
    if SECRET_PREFIX in text and not _OWN_FORM.fullmatch(text):
        return f"has {SECRET_PREFIX} in it but is not just that; was it cut, or copied with its name?"
    if text in _PUBLISHED or any(word in text.lower() for word in _PLACEHOLDERS):
        return "is a published example or a placeholder"
    if text in (text + text)[1:-1]:
        return "repeats one pattern"
    # A random secret of 64 hex digits misses one of the sixteen in 23 % of cases, so
    # the bound on distinct characters is lower where the alphabet has only sixteen.
    if len(set(text)) < (8 if _HEX.fullmatch(text) else 16):
        return f"has only {len(set(text))} distinct characters"
    return None


def _misplaced(text: str) -> str | None:
    """Say what *text* is instead of a secret; None if it may be one."""
    if is_substitution(text):
        return (
            "is a substitution that no shell carried out: the file that sets it takes it word for word, so "
            "run the command and paste what it prints"
        )
    if _COMMAND.fullmatch(text):
        return "is a command, and not what it prints; run it, and paste that"
    if names_store(text):
        return (
            "names a store, which goes into store= or FLUIDAUTH_DATABASE (SessionEngine's first argument is "
            "the secret)"
        )
    if _KEPT_ELSEWHERE.fullmatch(text):
        return "says where a secret is kept, and is none; a keyring file goes into FLUIDAUTH_KEYRING"
    if text.startswith("django-insecure-"):
        return "has the mark that startproject gives to keys that are not for production"
    return None
