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
# What a shell would have replaced. Settings files (.env, compose, systemd) pass it on word for word.
_SUBSTITUTION = re.compile(
    r"""[\s'"]*\\?\$?(?:\$\(.*\)|\$\{.*\}|`.*`|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|\{\{.*\}\}|<.*>)[\s'"]*""",
    re.DOTALL,
)
_COMMAND = re.compile(r"(?:python[\d.]*|openssl|pwgen|uuidgen|head|cat|echo|fluidauth) .*", re.DOTALL)
_KEPT_ELSEWHERE = re.compile(
    r"(?:/(?:run|etc|var|home|opt|mnt|secrets)/|(?:op|file|vault|arn|aws|gcp)[:/]).*", re.DOTALL
)
# A long path has enough characters for a secret.
_PLACE = re.compile(
    r"(?:sqlite|postgres(?:ql)?|rediss?|valkeys?|unix|memory)(?:\+\w+)?://.*|.*\.(?:db|sqlite3?)", re.DOTALL
)


# Words of published examples. No random secret has one by chance.
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


# Keys in the documentation of Flask, FastAPI, Flask-Security and JSON Web Tokens: everybody knows them.
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
    """Return which of *secrets* is weak and why, without showing it; None if none is.

    *names* are those of the secrets in the settings. *advice* is the text before the command that makes one.
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
    """Return whether *text* is something that a shell should have replaced, and did not."""
    return _SUBSTITUTION.fullmatch(text) is not None


def names_store(text: str) -> bool:
    """Return whether *text* names a store, given in the place of the secret."""
    return _PLACE.fullmatch(text) is not None


def _weakness(secret: object) -> str | None:
    """Return what is wrong with *secret*, without showing it; None if nothing is."""
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
        return f"has {len(text)} characters; a secret has at most {MAX_SECRET_LENGTH}"
    if SECRET_PREFIX in text and not _OWN_FORM.fullmatch(text):
        return f"contains {SECRET_PREFIX} but is not a whole secret; was it cut, or copied with its name?"
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
    """Return what *text* is instead of a secret; None if it may be one."""
    if is_substitution(text):
        return (
            "is a substitution that no shell carried out. The file that sets it takes it word for word: run "
            "the command, and paste what it prints"
        )
    if _COMMAND.fullmatch(text):
        return "is a command, and not its output; run it, and paste what it prints"
    if names_store(text):
        return (
            "names a store, which goes into store= or FLUIDAUTH_DATABASE (SessionEngine's first argument is "
            "the secret)"
        )
    if _KEPT_ELSEWHERE.fullmatch(text):
        return "is the path of a file, and not a secret; a keyring file goes into FLUIDAUTH_KEYRING"
    if text.startswith("django-insecure-"):
        return "begins as startproject's keys do, which are not for production"
    return None
