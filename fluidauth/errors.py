"""Every error that fluidauth raises, sorted by whose fault it is.

A bad cookie is not an error: it is "no session". Messages say what happened,
to which value (never a secret) and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "FieldError",
    "FieldFormatError",
    "FieldKeyMissing",
    "FieldTampered",
    "FluidAuthError",
    "FreshLoginRequired",
    "KeyStateError",
    "NoSigningKey",
    "NoSuchSession",
    "NotEnded",
    "NotSupported",
    "OutcomeUnknown",
    "PayloadError",
    "RecordExists",
    "RecordTampered",
    "SessionClosed",
    "SessionNotLoaded",
    "StoreBusy",
    "StoreError",
    "TooManyCookies",
    "UsageError",
]


class FluidAuthError(Exception):
    """Base of all errors raised by this package."""


# -- the operator's: found when the engine is built -----------------------------------


class ConfigError(FluidAuthError, ValueError):
    """A setting is wrong or unsafe; raised before the first request is served."""


class WeakSecret(ConfigError):
    """A secret is missing, or too weak to sign with; in development mode another one is used."""


class KeyStateError(ConfigError):
    """The state of a key does not allow what is asked for."""


# -- the application's: a call that cannot work ---------------------------------------


class PayloadError(FluidAuthError, ValueError):
    """A session field is not a JSON value, or the fields are too large or too deep."""


class SessionNotLoaded(FluidAuthError, RuntimeError):
    """The session is in a remote store, so asynchronous code must call ``aload()`` first."""


class SessionClosed(FluidAuthError, RuntimeError):
    """The change cannot be kept: the response head is sent, or the session has ended."""


class UsageError(FluidAuthError, RuntimeError):
    """A blocking call was made where only its asynchronous twin can work."""


class NoSuchSession(FluidAuthError, LookupError):
    """No live session has the handle that was given."""


class NotSupported(FluidAuthError, NotImplementedError):
    """The store does not offer this optional capability."""


# -- the visitor's: answer by asking for credentials again ----------------------------


class FreshLoginRequired(FluidAuthError, PermissionError):
    """The last login is too long ago, or nobody is signed in. The response is 401, unless you catch this.

    ``max_age`` is the greatest age of the login in seconds. None means that any login is enough.
    """

    def __init__(self, message: str, max_age: int | None = None) -> None:
        super().__init__(message)
        self.max_age = max_age


# -- the environment's: the store is out of order -------------------------------------


class StoreError(FluidAuthError):
    """The store could not answer; the cause is the driver's own error."""


class StoreBusy(StoreError):
    """Another process or thread kept the store locked for longer than the time limit."""


class OutcomeUnknown(StoreError):
    """A change may have been made or not: the answer was lost, and others changed the session since."""

    def __init__(self) -> None:
        super().__init__(
            "the store's answer to a change was lost, and others have changed the session since. "
            "The change may have been made, and is not tried again; reload the session to find out"
        )


class NoSigningKey(StoreError):
    """Nothing can be stored: the signing key was revoked, and no other key was promoted."""


class NotEnded(StoreError):
    """A session may still be live after a logout: the store failed before its record was removed.

    ``handles`` maps each handle that was presented to the handle of the record that is left.
    """

    def __init__(self, handles: dict[str, str]) -> None:
        super().__init__("the session could not be ended")
        self.handles = handles


class RecordExists(FluidAuthError):
    """A record with this handle is stored already, and ``create`` only inserts."""

    def __init__(self) -> None:
        super().__init__("a record with this handle is stored already")


# -- an attacker's, or a damaged disk's -----------------------------------------------


class RecordTampered(FluidAuthError):
    """A stored record is not one that a key of this keyring sealed.

    ``reason`` is one of ``format``, ``unknown_key``, ``revoked_key``, ``mac``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"stored session refused: {reason}")
        self.reason = reason


class TooManyCookies(FluidAuthError):
    """A logout came with more cookies of our name than we read: somebody planted them."""


class FieldError(FluidAuthError):
    """An encrypted field cannot be read; ``field`` names it.

    The text is the same for every cause, so that it teaches an attacker nothing.
    """

    def __init__(self, field: str) -> None:
        super().__init__(f"encrypted session field {field!r} cannot be read")
        self.field = field


class FieldTampered(FieldError):
    """The ciphertext was altered, or belongs to another field, session or key."""


class FieldFormatError(FieldError):
    """The stored text is not an envelope of a known version."""


class FieldKeyMissing(FieldError):
    """The key that encrypted the field is no longer in the keyring."""
