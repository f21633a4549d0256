"""Tokens and policies for tests of cookies."""

from __future__ import annotations

from typing import Any

from fluidauth import CookieOptions, Keyring, Lifetime
from fluidauth.formats import tokens
from fluidauth.formats.payloads import Sealer
from fluidauth.keys import Key
from fluidauth.rules.policy import Policy

SECRET = "TEST-ONLY-0123456789-abcdefghijklmn"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
NAME = "__Host-session"
TOKEN = tokens.sign(Key(SECRET), SESSION_ID)
SECOND_ID = SESSION_ID[::-1]
SECOND = tokens.sign(Key(SECRET), SECOND_ID)

NOW = 1_700_000_000
DAY = 24 * 60 * 60
HOUR = 60 * 60


def policy_of(namespace: str = "fluidauth", **options: Any) -> Policy:
    sealer = Sealer(Keyring.from_secrets(SECRET), (), 4096)
    return Policy.of(sealer, CookieOptions(**options), Lifetime(DAY, HOUR), namespace)


POLICY = policy_of()
