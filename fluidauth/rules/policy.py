"""The configuration of an engine: all that the rules of a session's life need to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fluidauth.formats.cookies import CookieOptions
from fluidauth.formats.payloads import Sealer
from fluidauth.formats.request_head import RequestHead
from fluidauth.keys import Keyring
from fluidauth.records import Lifetime, handle_prefix

from .origins import REPORT, OriginRules
from .verified import Verified

UserOf = Callable[[dict[str, Any]], str | None]
"""From the fields of a session, plain JSON, to a user id; None for nobody."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Keys, cookie and timeouts of one engine."""

    sealer: Sealer
    verified: Verified
    keyring: Keyring
    cookie: CookieOptions
    lifetime: Lifetime
    cookie_names: tuple[str, ...]
    handle_prefix: bytes
    kin_digits: int
    """How many digits the handle of a renewed id must have in common with the old one, for the store."""
    user_of: UserOf | None = None
    """Finds the signed-in user, if the application says so in fields."""
    user_names: tuple[str, ...] = ()
    """The fields that may name that user."""
    client_tokens: bool = False
    """Whether tokens in ``Authorization: Bearer`` open sessions as well."""
    origins: OriginRules = REPORT
    """What is done with requests of other origins."""
    activity: Callable[[RequestHead], bool] | None = None
    """Whether a request prolongs its session; by default each does."""
    login_url: str | None = None
    """The page that asks for the password."""
    clear_site_data: str | None = None
    """The header of that name in the response of a logout."""

    @classmethod
    def of(
        cls,
        sealer: Sealer,
        cookie: CookieOptions,
        lifetime: Lifetime,
        namespace: str,
        kin_digits: int = 0,
        user_of: UserOf | None = None,
        client_tokens: bool = False,
        **more: Any,
    ) -> Policy:
        prefix = handle_prefix(namespace)
        keyring, names = sealer.keyring, cookie.names
        return cls(
            sealer,
            Verified(sealer),
            keyring,
            cookie,
            lifetime,
            names,
            prefix,
            kin_digits,
            user_of,
            client_tokens=client_tokens,
            **more,
        )
